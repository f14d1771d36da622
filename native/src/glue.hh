#pragma once

#include <napi.h>
#include <uv.h>

#include <string>

// What each part of the addon adds to its exports.
namespace membroker {

void ExportSockets(Napi::Env env, Napi::Object exports);
void ExportProcesses(Napi::Env env, Napi::Object exports);
void ExportReadableWatch(Napi::Env env, Napi::Object exports);
void ExportMemory(Napi::Env env, Napi::Object exports);
void ExportDax(Napi::Env env, Napi::Object exports);
void ExportMounts(Napi::Env env, Napi::Object exports);
void ExportWindow(Napi::Env env, Napi::Object exports);
void ExportSweeps(Napi::Env env, Napi::Object exports);
void ExportTableMap(Napi::Env env, Napi::Object exports);

/** Throws a libuv error with code and syscall, as an error of the environment. */
inline void ThrowUv(Napi::Env env, const char* syscall, int error) {
  Napi::Error thrown = Napi::Error::New(env, std::string(syscall) + ": " + uv_strerror(error));
  thrown.Set("code", Napi::String::New(env, uv_err_name(error)));
  thrown.Set("syscall", Napi::String::New(env, syscall));
  thrown.ThrowAsJavaScriptException();
}

}  // namespace membroker
