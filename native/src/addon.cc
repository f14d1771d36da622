#include <napi.h>

#include "environment.hh"
#include "glue.hh"

namespace membroker {

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  if (!Environment::Create(env)) {
    Napi::Error::New(env, "membroker: this environment has no event loop").ThrowAsJavaScriptException();
    return exports;
  }
  ExportSockets(env, exports);
  ExportProcesses(env, exports);
  ExportReadableWatch(env, exports);
  ExportMemory(env, exports);
  ExportDax(env, exports);
  ExportLiveUpdate(env, exports);
  ExportMounts(env, exports);
  ExportWindow(env, exports);
  ExportSweeps(env, exports);
  ExportTableMap(env, exports);
  return exports;
}

NODE_API_MODULE(membroker, Init)

}  // namespace membroker
