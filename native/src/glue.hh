#pragma once

#include <napi.h>
#include <uv.h>

#include <string>
#include <tuple>

#include "arguments.hh"
#include "environment.hh"
#include "fd.hh"

// Each part of the addon adds its functions and classes to the exports. native/functions.ts and addon.ts document them.
namespace membroker {

void ExportSockets(Napi::Env env, Napi::Object exports);
void ExportProcesses(Napi::Env env, Napi::Object exports);
void ExportReadableWatch(Napi::Env env, Napi::Object exports);
void ExportMemory(Napi::Env env, Napi::Object exports);
void ExportDax(Napi::Env env, Napi::Object exports);
void ExportLiveUpdate(Napi::Env env, Napi::Object exports);
void ExportMounts(Napi::Env env, Napi::Object exports);
void ExportWindow(Napi::Env env, Napi::Object exports);
void ExportSweeps(Napi::Env env, Napi::Object exports);
void ExportTableMap(Napi::Env env, Napi::Object exports);

/** Adds a function to the addon's exports. */
template <Napi::Value (*function)(const Napi::CallbackInfo&)>
void Export(Napi::Object exports, const char* name) {
  exports[name] = Napi::Function::New<function>(exports.Env(), name);
}

template <auto call, auto... take>
Napi::Value NumberOf(const Napi::CallbackInfo& info) {
  Arguments args(info);
  // Braces keep the order of evaluation.
  const std::tuple<decltype((args.*take)())...> values{(args.*take)()...};
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), static_cast<double>(std::apply(call, values)));
}

/**
 * Adds a function that takes its arguments by the members of Arguments in take, one after another, and returns the
 * number that call returns.
 */
template <auto call, auto... take>
void ExportNumber(Napi::Object exports, const char* name) {
  Export<NumberOf<call, take...>>(exports, name);
}

/** Throws a libuv error with code and syscall, as an error of the environment. */
inline void ThrowUv(Napi::Env env, const char* syscall, int error) {
  Napi::Error thrown = Napi::Error::New(env, std::string(syscall) + ": " + uv_strerror(error));
  thrown.Set("code", Napi::String::New(env, uv_err_name(error)));
  thrown.Set("syscall", Napi::String::New(env, syscall));
  thrown.ThrowAsJavaScriptException();
}

/** A class of the addon that owns a descriptor and waits for its events. */
class PolledFd : protected LoopUser {
 protected:
  explicit PolledFd(Napi::Env env) : environment_(Environment::Of(env)) {}
  ~PolledFd() { shut(); }

  /** Adopts fd. False: it has thrown. */
  bool open(int fd) {
    int error;
    poller_ = Poller::Open(environment_, fd, this, &error);
    // UV_EEXIST: another handle polls this descriptor and owns it.
    if (error != UV_EEXIST) fd_ = Fd(fd);
    if (!poller_) ThrowUv(environment_->env(), "uv_poll_init", error);
    return poller_ != nullptr;
  }

  void shut() {
    if (!poller_) return;
    poller_->shut();
    poller_.reset();
    fd_.reset();
  }

  void onEnding() override { shut(); }

  std::shared_ptr<Environment> environment_;
  std::shared_ptr<Poller> poller_;
  Fd fd_;
};

}  // namespace membroker
