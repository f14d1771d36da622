#pragma once

#include <napi.h>

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

}  // namespace membroker
