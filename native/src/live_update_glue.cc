#include "async_call.hh"
#include "glue.hh"
#include "live_update.hh"

namespace membroker {

namespace {

Napi::Value LiveSessionNameGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const int session = args.fd();
  if (!args.ok()) return info.Env().Undefined();
  std::string name;
  const int error = LiveSessionName(session, &name);
  if (error < 0) return Napi::Number::New(info.Env(), error);
  return Napi::String::New(info.Env(), name);
}

/** Runs call for each of so many on the thread pool. The promise settles with an array of what it returned. */
Napi::Value ForEach(Napi::Env env, const char* name, size_t count, std::function<int(size_t)> call) {
  auto results = std::make_shared<std::vector<int>>(count);
  return AsyncCall(
      env, name,
      [=] {
        for (size_t index = 0; index < count; index++) (*results)[index] = call(index);
      },
      [=](napi_env environment) -> napi_value {
        Napi::Array array = Napi::Array::New(environment, count);
        for (uint32_t index = 0; index < count; index++) array[index] = (*results)[index];
        return array;
      });
}

Napi::Value PreserveFilesGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const std::vector<int> sessions = args.fds();
  const std::vector<int> files = args.fds();
  const uint64_t token = args.size();
  if (sessions.size() != files.size()) args.fail("as long as the first");
  if (!args.ok()) return info.Env().Undefined();
  return ForEach(info.Env(), "membroker.preserveFiles", sessions.size(),
                 [=](size_t index) { return PreserveFile(sessions[index], files[index], token); });
}

Napi::Value RetrieveFilesGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const std::vector<int> sessions = args.fds();
  const uint64_t token = args.size();
  if (!args.ok()) return info.Env().Undefined();
  return ForEach(info.Env(), "membroker.retrieveFiles", sessions.size(),
                 [=](size_t index) { return RetrieveFile(sessions[index], token); });
}

Napi::Value FinishLiveSessionsGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const std::vector<int> sessions = args.fds();
  if (!args.ok()) return info.Env().Undefined();
  return ForEach(info.Env(), "membroker.finishLiveSessions", sessions.size(),
                 [=](size_t index) { return FinishLiveSession(sessions[index]); });
}

template <int (*call)(int, const std::string&)>
Napi::Value OfNames(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const int device = args.fd();
  const std::vector<std::string> names = args.strings();
  if (!args.ok()) return info.Env().Undefined();
  Napi::Array array = Napi::Array::New(info.Env(), names.size());
  for (uint32_t index = 0; index < names.size(); index++) array[index] = call(device, names[index]);
  return array;
}

}  // namespace

void ExportLiveUpdate(Napi::Env, Napi::Object exports) {
  Export<OfNames<CreateLiveSession>>(exports, "createLiveSessions");
  Export<OfNames<RetrieveLiveSession>>(exports, "retrieveLiveSessions");
  Export<LiveSessionNameGlue>(exports, "liveSessionName");
  Export<PreserveFilesGlue>(exports, "preserveFiles");
  Export<RetrieveFilesGlue>(exports, "retrieveFiles");
  Export<FinishLiveSessionsGlue>(exports, "finishLiveSessions");
}

}  // namespace membroker
