#pragma once

#include <napi.h>

#include <functional>

namespace membroker {

/**
 * Runs work on libuv's thread pool, then result on the environment's thread. The promise settles with what result
 * returns. This is plain N-API, because node-addon-api's worker aborts the process when a worker thread ends first.
 */
Napi::Value AsyncCall(Napi::Env env, const char* name, std::function<void()> work,
                      std::function<napi_value(napi_env)> result);

}  // namespace membroker
