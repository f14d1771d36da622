#include <errno.h>

#include <memory>

#include "arguments.hh"
#include "glue.hh"
#include "mapping.hh"

namespace membroker {

namespace {

/** Node 20 makes no larger external ArrayBuffer. */
constexpr uint64_t kWindowBytesMax = uint64_t{4} << 30;

using Share = std::shared_ptr<Mapping>;

void DropShare(napi_env, void*, void* share) { delete static_cast<Share*>(share); }

/*
 * The address range goes back to the kernel when both V8's backing store and the ArrayBuffer object have let go of the
 * mapping.
 *
 * Detaching alone frees the backing store at once, though work in flight on the thread pool may still hold the bare
 * pointer. Unmapping then makes that work crash or, worse, write into whatever the kernel maps there next. No marker in
 * the pool's queue and no delay proves such work to be over. But its rule does: whoever gives memory to the pool keeps
 * the view alive until the work is done, by a reference to the JavaScript object (fs) or to the backing store
 * (streams, crypto). Until both are gone the range holds private zero pages, which cost address space only.
 */
class Window final : public Napi::ObjectWrap<Window> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Window",
                       {InstanceAccessor<&Window::Errno>("errno"), InstanceAccessor<&Window::Buffer>("buffer"),
                        InstanceAccessor<&Window::Address>("address"), InstanceMethod<&Window::Revoke>("revoke")});
  }

  explicit Window(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Window>(info) {
    Arguments args(info);
    const int fd = args.fd();
    const uint64_t offset = args.size();
    const uint64_t length = args.size();
    const bool writable = args.boolean();
    if (args.ok()) error_ = open(info.Env(), fd, offset, length, writable);
  }

 private:
  int open(Napi::Env env, int fd, uint64_t offset, uint64_t length, bool writable) {
    if (length > kWindowBytesMax) return -EFBIG;
    auto mapping = std::make_shared<Mapping>();
    if (const int error = mapping->map(fd, offset, length, writable)) return error;
    napi_value buffer;
    if (napi_create_external_arraybuffer(env, mapping->data(), length, DropShare, new Share(mapping), &buffer) !=
        napi_ok) {
      return -ENOMEM;
    }
    Share* share = new Share(mapping);
    if (napi_add_finalizer(env, buffer, nullptr, DropShare, share, nullptr) != napi_ok) {
      delete share;
      return -ENOMEM;
    }
    buffer_ = Napi::Persistent(Napi::ArrayBuffer(env, buffer));
    address_ = reinterpret_cast<uintptr_t>(mapping->data());
    mapping_ = std::move(mapping);
    return 0;
  }

  Napi::Value Errno(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), error_); }

  Napi::Value Buffer(const Napi::CallbackInfo& info) {
    const Napi::ArrayBuffer buffer = buffer_.IsEmpty() ? Napi::ArrayBuffer() : buffer_.Value();
    return buffer.IsEmpty() ? Napi::ArrayBuffer::New(info.Env(), 0) : buffer;
  }

  Napi::Value Address(const Napi::CallbackInfo& info) { return Napi::BigInt::New(info.Env(), address_); }

  void Revoke(const Napi::CallbackInfo&) {
    if (!mapping_) return;
    // In this order nothing in JavaScript sees the replacement, and nothing reaches the file after it.
    buffer_.Value().Detach();
    mapping_->replaceByAnonymous();
    mapping_.reset();
    address_ = 0;
    // The reference is weak from now on, so that the range can go while this object stays.
    buffer_.Unref();
  }

  int error_ = 0;
  uint64_t address_ = 0;
  std::shared_ptr<Mapping> mapping_;
  Napi::Reference<Napi::ArrayBuffer> buffer_;
};

}  // namespace

void ExportWindow(Napi::Env env, Napi::Object exports) { exports["Window"] = Window::Define(env); }

}  // namespace membroker
