#include "arguments.hh"
#include "environment.hh"
#include "fd.hh"
#include "glue.hh"

namespace membroker {

namespace {

/** Calls once, and then again only after again(): a peer that floods the descriptor can't keep the loop busy. */
class ReadableWatch final : public Napi::ObjectWrap<ReadableWatch>, private LoopUser {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "ReadableWatch",
        {InstanceMethod<&ReadableWatch::Again>("again"), InstanceMethod<&ReadableWatch::Close>("close")});
  }

  explicit ReadableWatch(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ReadableWatch>(info), environment_(Environment::Of(info.Env())) {
    Arguments args(info);
    const int fd = args.fd();
    const Napi::Function on_readable = args.function();
    if (!args.ok()) return;
    int error;
    poller_ = Poller::Open(environment_, fd, this, &error);
    if (error != UV_EEXIST) fd_ = Fd(fd);
    if (!poller_) {
      ThrowUv(info.Env(), "uv_poll_init", error);
      return;
    }
    on_readable_ = Napi::Persistent(on_readable);
    Ref();
    poller_->watch(UV_READABLE);
  }

  ~ReadableWatch() { shut(); }

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

  void onEnding() override { shut(); }

  void shut() {
    if (!poller_) return;
    poller_->shut();
    poller_.reset();
    fd_.reset();
  }

  std::shared_ptr<Environment> environment_;
  std::shared_ptr<Poller> poller_;
  Fd fd_;
  Napi::FunctionReference on_readable_;
};

}  // namespace

void ExportReadableWatch(Napi::Env env, Napi::Object exports) {
  exports["ReadableWatch"] = ReadableWatch::Define(env);
}

}  // namespace membroker
