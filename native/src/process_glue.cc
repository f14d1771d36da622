#include <errno.h>

#include "glue.hh"
#include "process.hh"
#include "spawn.hh"

namespace membroker {

namespace {

class ExitWatch final : public Napi::ObjectWrap<ExitWatch>, private PolledFd {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "ExitWatch", {InstanceMethod<&ExitWatch::Close>("close")});
  }

  explicit ExitWatch(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ExitWatch>(info), PolledFd(info.Env()) {
    Arguments args(info);
    const int pidfd = args.fd();
    const Napi::Function on_exit = args.function();
    if (!args.ok() || !open(pidfd)) return;
    on_exit_ = Napi::Persistent(on_exit);
    Ref();
    poller_->watch(UV_READABLE);
  }

 private:
  void Close(const Napi::CallbackInfo&) { finish(); }

  void onReady(int, int) override {
    Napi::HandleScope scope(Env());
    [[maybe_unused]] const Napi::Object self = Value();
    if (PidfdIsAlive(fd_.get()) == 1) {
      poller_->watch(UV_READABLE);
      return;
    }
    const Napi::Function on_exit = on_exit_.Value();
    finish();
    environment_->call(self, on_exit, 0, nullptr);
  }

  void finish() {
    if (!poller_) return;
    shut();
    on_exit_.Reset();
    Unref();
  }

  Napi::FunctionReference on_exit_;
};

Napi::Value ExecGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const std::string file = args.string();
  const std::vector<std::string> argv = args.strings();
  const std::vector<std::string> environment = args.strings();
  const Napi::Value list = args.skip();
  if (!args.ok()) return info.Env().Undefined();
  std::vector<FdMove> moves;
  const Napi::Array array = list.As<Napi::Array>();
  const uint32_t length = list.IsArray() ? array.Length() : 0;
  for (uint32_t index = 0; index < length; index++) {
    const Napi::Value move = array.Get(index);
    const Napi::Value from = move.IsObject() ? move.As<Napi::Object>().Get("from") : move;
    const Napi::Value to = move.IsObject() ? move.As<Napi::Object>().Get("to") : move;
    if (!from.IsNumber() || !to.IsNumber()) break;
    moves.push_back({from.As<Napi::Number>().Int32Value(), to.As<Napi::Number>().Int32Value()});
  }
  if (!list.IsArray() || moves.size() != length) {
    args.reject("an array of { from: number, to: number }");
    return info.Env().Undefined();
  }
  uv_tty_reset_mode();
  return Napi::Number::New(info.Env(), Exec(file, argv, environment, moves));
}

Napi::Value SpawnWorkerGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const int executable = args.fd();
  const int socket = args.fd();
  const int area = args.fd();
  if (!args.ok()) return info.Env().Undefined();
  const Spawned spawned = SpawnWorker(executable, socket, area);
  if (spawned.pid < 0) return Napi::Number::New(info.Env(), spawned.pid);
  Napi::Object object = Napi::Object::New(info.Env());
  object["pid"] = spawned.pid;
  object["pidfd"] = spawned.pidfd;
  return object;
}

int Write(int fd, Bytes bytes) { return WriteNonblocking(fd, bytes.data, bytes.size); }

}  // namespace

void ExportProcesses(Napi::Env env, Napi::Object exports) {
  ExportNumber<Write, &Arguments::fd, &Arguments::bytes>(exports, "writeNonblocking");
  ExportNumber<PidfdOpen, &Arguments::int32>(exports, "pidfdOpen");
  ExportNumber<PidfdSendSignal, &Arguments::fd, &Arguments::int32>(exports, "pidfdSendSignal");
  ExportNumber<PidfdIsAlive, &Arguments::fd>(exports, "isAlive");
  ExportNumber<PidfdGetfd, &Arguments::fd, &Arguments::int32>(exports, "pidfdGetfd");
  Export<ExecGlue>(exports, "exec");
  Export<SpawnWorkerGlue>(exports, "spawnWorker");
  ExportNumber<Reap, &Arguments::int32>(exports, "reap");
  exports["ExitWatch"] = ExitWatch::Define(env);
}

}  // namespace membroker
