#include <errno.h>

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

/** Runs call on the thread pool, with a copy of the session: the caller may close its own descriptor before. */
Napi::Value OfSession(Napi::Env env, const char* name, int session, std::function<int(int)> call) {
  struct State {
    Fd session;
    int result;
  };
  auto state = std::make_shared<State>(State{Fd::dup(session), -EBADF});
  return AsyncCall(
      env, name,
      [=] {
        if (state->session.valid()) state->result = call(state->session.get());
        state->session.reset();
      },
      [=](napi_env result) -> napi_value { return Napi::Number::New(result, state->result); });
}

Napi::Value RetrieveFileGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const int session = args.fd();
  const uint64_t token = args.size();
  if (!args.ok()) return info.Env().Undefined();
  return OfSession(info.Env(), "membroker.retrieveFile", session, [=](int fd) { return RetrieveFile(fd, token); });
}

Napi::Value FinishLiveSessionGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const int session = args.fd();
  if (!args.ok()) return info.Env().Undefined();
  return OfSession(info.Env(), "membroker.finishLiveSession", session, FinishLiveSession);
}

}  // namespace

void ExportLiveUpdate(Napi::Env, Napi::Object exports) {
  ExportNumber<CreateLiveSession, &Arguments::fd, &Arguments::string>(exports, "createLiveSession");
  ExportNumber<RetrieveLiveSession, &Arguments::fd, &Arguments::string>(exports, "retrieveLiveSession");
  Export<LiveSessionNameGlue>(exports, "liveSessionName");
  Export<RetrieveFileGlue>(exports, "retrieveFile");
  Export<FinishLiveSessionGlue>(exports, "finishLiveSession");
}

}  // namespace membroker
