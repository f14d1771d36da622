#include "async_call.hh"

namespace membroker {

namespace {

struct Call {
  napi_async_work work;
  napi_deferred deferred;
  std::function<void()> run;
  std::function<napi_value(napi_env)> result;
};

void Complete(napi_env env, napi_status status, void* data) {
  Call* call = static_cast<Call*>(data);
  if (status == napi_ok) {
    napi_handle_scope scope;
    if (napi_open_handle_scope(env, &scope) == napi_ok) {
      napi_resolve_deferred(env, call->deferred, call->result(env));
      napi_close_handle_scope(env, scope);
    }
  }
  napi_delete_async_work(env, call->work);
  delete call;
}

}  // namespace

Napi::Value AsyncCall(Napi::Env env, const char* name, std::function<void()> work,
                      std::function<napi_value(napi_env)> result) {
  Call* call = new Call{nullptr, nullptr, std::move(work), std::move(result)};
  napi_value promise;
  const auto run = [](napi_env, void* data) { static_cast<Call*>(data)->run(); };
  if (napi_create_promise(env, &call->deferred, &promise) != napi_ok ||
      napi_create_async_work(env, nullptr, Napi::String::New(env, name), run, Complete, call, &call->work) != napi_ok ||
      napi_queue_async_work(env, call->work) != napi_ok) {
    delete call;
    return env.Undefined();
  }
  return Napi::Value(env, promise);
}

}  // namespace membroker
