#include "arguments.hh"
#include "environment.hh"
#include "glue.hh"
#include "scrub.hh"

namespace membroker {

namespace {

class ScrubWrap final : public Napi::ObjectWrap<ScrubWrap>, private LoopUser {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "Scrub",
        {InstanceAccessor<&ScrubWrap::Errno>("errno"), InstanceMethod<&ScrubWrap::BytesDone>("bytesDone"),
         InstanceMethod<&ScrubWrap::Cancel>("cancel")});
  }

  explicit ScrubWrap(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<ScrubWrap>(info), environment_(Environment::Of(info.Env())) {
    Arguments args(info);
    const int fd = args.fd();
    const uint64_t offset = args.size();
    const uint64_t length = args.size();
    const auto threads = static_cast<unsigned>(args.integer(1, INT32_MAX));
    if (!args.ok()) return;
    napi_value promise;
    if (napi_create_promise(info.Env(), &deferred_, &promise) != napi_ok) return;
    promise_ = Napi::Persistent(Napi::Object(info.Env(), promise));
    int error;
    wakeup_ = Wakeup::Open(environment_, this, &error);
    if (error == 0) {
      const std::shared_ptr<Wakeup> wakeup = wakeup_;
      error = scrub_.start(fd, offset, length, threads, [wakeup] { wakeup->send(); });
    }
    if (error != 0) {
      shut();
      napi_resolve_deferred(info.Env(), deferred_, Napi::Number::New(info.Env(), error));
      return;
    }
    Ref();
  }

  ~ScrubWrap() { onEnding(); }

 private:
  Napi::Value Errno(const Napi::CallbackInfo& info) {
    return promise_.IsEmpty() ? info.Env().Undefined() : Napi::Value(promise_.Value());
  }

  Napi::Value BytesDone(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(scrub_.bytesDone()));
  }

  void Cancel(const Napi::CallbackInfo&) { scrub_.cancel(); }

  void onReady(int, int) override {
    Napi::HandleScope scope(Env());
    [[maybe_unused]] const Napi::Object self = Value();
    scrub_.join();
    shut();
    Unref();
    environment_->resolve(deferred_, Napi::Number::New(Env(), scrub_.result()));
  }

  void onEnding() override {
    scrub_.cancel();
    scrub_.join();
    shut();
  }

  void shut() {
    if (wakeup_) wakeup_->shut();
    wakeup_.reset();
  }

  std::shared_ptr<Environment> environment_;
  std::shared_ptr<Wakeup> wakeup_;
  Scrub scrub_;
  napi_deferred deferred_ = nullptr;
  Napi::ObjectReference promise_;
};

}  // namespace

void ExportScrub(Napi::Env env, Napi::Object exports) { exports["Scrub"] = ScrubWrap::Define(env); }

}  // namespace membroker
