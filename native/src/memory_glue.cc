#include <errno.h>

#include "arguments.hh"
#include "async_call.hh"
#include "blake3.hh"
#include "crc32c.hh"
#include "glue.hh"
#include "mapped_read.hh"
#include "memory_file.hh"

namespace membroker {

namespace {

/** It is done at once, on the event loop. */
constexpr int64_t kMappedReadBytesMax = 1 << 20;

Napi::Value MemfdCreateGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const std::string name = args.string();
  const Napi::Object options = args.object();
  if (!args.ok()) return info.Env().Undefined();
  const Napi::Value huge = options.Get("hugePageBytes");
  const Napi::Value sealing = options.Get("allowSealing");
  if (!huge.IsNumber() || huge.As<Napi::Number>().DoubleValue() < 0 || !sealing.IsBoolean()) {
    args.reject("{ hugePageBytes: number, allowSealing: boolean }");
    return info.Env().Undefined();
  }
  const auto huge_page_bytes = static_cast<uint64_t>(huge.As<Napi::Number>().Int64Value());
  return Napi::Number::New(info.Env(), MemfdCreate(name, huge_page_bytes, sealing.As<Napi::Boolean>()));
}

Napi::Value AddSealsGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const int fd = args.fd();
  const int seals = args.int32();
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), AddSeals(fd, seals));
}

Napi::Value ReopenGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const int fd = args.fd();
  const bool writable = args.boolean();
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), Reopen(fd, writable));
}

int DupFd(int fd) {
  const int copy = Fd::dup(fd).take();
  return copy < 0 ? -errno : copy;
}

template <int (*call)(int)>
Napi::Value OfFd(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const int fd = args.fd();
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), call(fd));
}

template <int (*call)(int, uint64_t, uint64_t)>
Napi::Value OfFdRange(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const int fd = args.fd();
  const uint64_t offset = args.size();
  const uint64_t length = args.size();
  if (!args.ok()) return info.Env().Undefined();
  // A copy, because the caller may close its own before the thread pool gets to it.
  struct State {
    Fd fd;
    int result;
  };
  auto state = std::make_shared<State>(State{Fd::dup(fd), -EBADF});
  return AsyncCall(
      info.Env(), "membroker.fallocate",
      [=] {
        if (state->fd.valid()) state->result = call(state->fd.get(), offset, length);
        state->fd.reset();
      },
      [=](napi_env env) -> napi_value { return Napi::Number::New(env, state->result); });
}

Napi::Value MappedReadGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const int fd = args.fd();
  const uint64_t offset = args.size();
  const auto length = static_cast<size_t>(args.integer(1, kMappedReadBytesMax));
  const uint64_t page_bytes = args.size();
  if (!args.ok()) return info.Env().Undefined();
  const Napi::Buffer<uint8_t> bytes = Napi::Buffer<uint8_t>::New(info.Env(), length);
  const int error = MappedRead(fd, offset, bytes.Data(), length, page_bytes);
  if (error != 0) return Napi::Number::New(info.Env(), error);
  return bytes;
}

Napi::Value Crc32cGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const Bytes bytes = args.bytes();
  const auto initial = static_cast<uint32_t>(args.integer(0, UINT32_MAX));
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), Crc32c(bytes.data, bytes.size, initial));
}

Napi::Value Blake3Glue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const Bytes bytes = args.bytes();
  const auto lanes_max = static_cast<unsigned>(args.integer(1, kBlake3LanesMax));
  if (!args.ok()) return info.Env().Undefined();
  const Blake3Value hash = Blake3(bytes.data, bytes.size, lanes_max);
  return Napi::Buffer<uint8_t>::Copy(info.Env(), reinterpret_cast<const uint8_t*>(hash.words), sizeof(hash.words));
}

Napi::Value Crc32cPortableGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const Bytes bytes = args.bytes();
  const auto initial = static_cast<uint32_t>(args.integer(0, UINT32_MAX));
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), Crc32cPortable(bytes.data, bytes.size, initial));
}

}  // namespace

void ExportMemory(Napi::Env env, Napi::Object exports) {
  exports["memfdCreate"] = Napi::Function::New<MemfdCreateGlue>(env, "memfdCreate");
  exports["addSeals"] = Napi::Function::New<AddSealsGlue>(env, "addSeals");
  exports["getSeals"] = Napi::Function::New<OfFd<GetSeals>>(env, "getSeals");
  exports["reopen"] = Napi::Function::New<ReopenGlue>(env, "reopen");
  exports["dupFd"] = Napi::Function::New<OfFd<DupFd>>(env, "dupFd");
  exports["fallocate"] = Napi::Function::New<OfFdRange<Fallocate>>(env, "fallocate");
  exports["punchHole"] = Napi::Function::New<OfFdRange<PunchHole>>(env, "punchHole");
  exports["isSoleOpener"] = Napi::Function::New<OfFd<IsSoleOpener>>(env, "isSoleOpener");
  exports["lockFile"] = Napi::Function::New<OfFd<LockFile>>(env, "lockFile");
  exports["mappedRead"] = Napi::Function::New<MappedReadGlue>(env, "mappedRead");
  exports["crc32c"] = Napi::Function::New<Crc32cGlue>(env, "crc32c");
  exports["blake3"] = Napi::Function::New<Blake3Glue>(env, "blake3");
  exports["crc32cPortable"] = Napi::Function::New<Crc32cPortableGlue>(env, "crc32cPortable");
}

}  // namespace membroker
