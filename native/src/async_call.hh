#pragma once

#include <napi.h>

#include <functional>

namespace membroker {

/**
 * A promise for what work, run on libuv's thread pool, makes: result is called on the environment's thread after it
 * and gives the value. Plain N-API, because node-addon-api's worker aborts the process when a worker thread ends first.
 */
Napi::Value AsyncCall(Napi::Env env, const char* name, std::function<void()> work,
                      std::function<napi_value(napi_env)> result);

}  // namespace membroker
