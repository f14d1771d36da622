#include "arguments.hh"
#include "digest.hh"
#include "environment.hh"
#include "glue.hh"
#include "scrub.hh"

namespace membroker {

namespace {

/** Work is a class derived from Sweep. */
template <typename Work>
class SweepWrap final : public Napi::ObjectWrap<SweepWrap<Work>>, private LoopUser {
  using Wrap = Napi::ObjectWrap<SweepWrap<Work>>;

 public:
  static Napi::Function Define(Napi::Env env, const char* name) {
    std::vector<typename Wrap::PropertyDescriptor> members = {
        Wrap::template InstanceAccessor<&SweepWrap::Errno>("errno"),
        Wrap::template InstanceMethod<&SweepWrap::BytesDone>("bytesDone"),
        Wrap::template InstanceMethod<&SweepWrap::Cancel>("cancel"),
        Wrap::template InstanceMethod<&SweepWrap::Bad>("bad"),
    };
    if constexpr (std::is_same_v<Work, Digest>) {
      members.push_back(Wrap::template InstanceMethod<&SweepWrap::Hash>("hash"));
    }
    return Wrap::DefineClass(env, name, members);
  }

  explicit SweepWrap(const Napi::CallbackInfo& info) : Wrap(info), environment_(Environment::Of(info.Env())) {
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
      error = work_.start(fd, offset, length, threads, [wakeup] { wakeup->send(); });
    }
    if (error != 0) {
      shut();
      napi_resolve_deferred(info.Env(), deferred_, Napi::Number::New(info.Env(), error));
      return;
    }
    Wrap::Ref();
  }

  ~SweepWrap() { onEnding(); }

 private:
  Napi::Value Errno(const Napi::CallbackInfo& info) {
    return promise_.IsEmpty() ? info.Env().Undefined() : Napi::Value(promise_.Value());
  }

  Napi::Value BytesDone(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(work_.bytesDone()));
  }

  void Cancel(const Napi::CallbackInfo&) { work_.cancel(); }

  Napi::Value Bad(const Napi::CallbackInfo& info) {
    const Napi::Array pieces = Napi::Array::New(info.Env());
    if (!over_) return pieces;
    for (const Piece& bad : work_.bad()) {
      const Napi::Object piece = Napi::Object::New(info.Env());
      piece.Set("offset", static_cast<double>(bad.offset));
      piece.Set("length", static_cast<double>(bad.length));
      pieces.Set(pieces.Length(), piece);
    }
    return pieces;
  }

  Napi::Value Hash(const Napi::CallbackInfo& info) {
    if (!over_ || work_.result() != 0) return info.Env().Undefined();
    return Napi::Buffer<uint8_t>::Copy(info.Env(), reinterpret_cast<const uint8_t*>(work_.hash().words),
                                       sizeof(work_.hash().words));
  }

  void onReady(int, int) override {
    Napi::HandleScope scope(Wrap::Env());
    [[maybe_unused]] const Napi::Object self = Wrap::Value();
    work_.join();
    over_ = true;
    shut();
    Wrap::Unref();
    environment_->resolve(deferred_, Napi::Number::New(Wrap::Env(), work_.result()));
  }

  void onEnding() override {
    work_.cancel();
    work_.join();
    shut();
  }

  void shut() {
    if (wakeup_) wakeup_->shut();
    wakeup_.reset();
  }

  std::shared_ptr<Environment> environment_;
  std::shared_ptr<Wakeup> wakeup_;
  Work work_;
  bool over_ = false;
  napi_deferred deferred_ = nullptr;
  Napi::ObjectReference promise_;
};

}  // namespace

void ExportSweeps(Napi::Env env, Napi::Object exports) {
  exports["Scrub"] = SweepWrap<Scrub>::Define(env, "Scrub");
  exports["Digest"] = SweepWrap<Digest>::Define(env, "Digest");
}

}  // namespace membroker
