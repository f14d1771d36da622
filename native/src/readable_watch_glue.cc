#include "glue.hh"

namespace membroker {

namespace {

/** Calls once, and then again only after again(): a peer that floods the descriptor can't keep the loop busy. */
class ReadableWatch final : public Napi::ObjectWrap<ReadableWatch>, private PolledFd {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "ReadableWatch",
        {InstanceMethod<&ReadableWatch::Again>("again"), InstanceMethod<&ReadableWatch::Close>("close")});
  }

  explicit ReadableWatch(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ReadableWatch>(info), PolledFd(info.Env()) {
    Arguments args(info);
    const int fd = args.fd();
    const Napi::Function on_readable = args.function();
    if (!args.ok() || !open(fd)) return;
    on_readable_ = Napi::Persistent(on_readable);
    Ref();
    poller_->watch(UV_READABLE);
  }

 private:
  void Again(const Napi::CallbackInfo&) {
    if (poller_) poller_->watch(UV_READABLE);
  }

  void Close(const Napi::CallbackInfo&) {
    if (!poller_) return;
    shut();
    on_readable_.Reset();
    Unref();
  }

  void onReady(int, int) override {
    Napi::HandleScope scope(Env());
    poller_->watch(0);
    const Napi::Object self = Value();
    const Napi::Function on_readable = on_readable_.Value();
    environment_->call(self, on_readable, 0, nullptr);
  }

  Napi::FunctionReference on_readable_;
};

}  // namespace

void ExportReadableWatch(Napi::Env env, Napi::Object exports) {
  exports["ReadableWatch"] = ReadableWatch::Define(env);
}

}  // namespace membroker
