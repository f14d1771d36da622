#include <errno.h>

#include "async_call.hh"
#include "blake3.hh"
#include "crc32c.hh"
#include "glue.hh"
#include "mapping.hh"
#include "memory_file.hh"

namespace membroker {

namespace {

/** MappedRead copies at once, on the event loop. */
constexpr int64_t kMappedReadBytesMax = 1 << 20;

Napi::Value MemfdCreateGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const std::string name = args.string();
  const Napi::Object options = args.object();
  if (!args.ok()) return info.Env().Undefined();
  const Napi::Value huge = options.Get("hugePageBytes");
  const Napi::Value sealing = options.Get("allowSealing");
  const Napi::Value writable = options.Get("staysWritable");
  if (!huge.IsNumber() || huge.As<Napi::Number>().DoubleValue() < 0 || !sealing.IsBoolean() ||
      !(writable.IsBoolean() || writable.IsUndefined())) {
    args.reject("{ hugePageBytes: number, allowSealing: boolean, staysWritable?: boolean }");
    return info.Env().Undefined();
  }
  const auto huge_page_bytes = static_cast<uint64_t>(huge.As<Napi::Number>().Int64Value());
  const bool stays_writable = writable.IsBoolean() && writable.As<Napi::Boolean>();
  return Napi::Number::New(info.Env(),
                           MemfdCreate(name, huge_page_bytes, sealing.As<Napi::Boolean>(), stays_writable));
}

int DupFd(int fd) {
  const int copy = Fd::dup(fd).take();
  return copy < 0 ? -errno : copy;
}

template <int (*call)(int, uint64_t, uint64_t)>
Napi::Value OfFdRange(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const int fd = args.fd();
  const uint64_t offset = args.size();
  const uint64_t length = args.size();
  if (!args.ok()) return info.Env().Undefined();
  // The call gets a copy, because the caller may close its own descriptor before the thread pool gets to it.
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

Napi::Value Blake3Glue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const Bytes bytes = args.bytes();
  const auto lanes_max = static_cast<unsigned>(args.integer(1, kBlake3LanesMax));
  if (!args.ok()) return info.Env().Undefined();
  const Blake3Value hash = Blake3(bytes.data, bytes.size, lanes_max);
  return Napi::Buffer<uint8_t>::Copy(info.Env(), reinterpret_cast<const uint8_t*>(hash.words), sizeof(hash.words));
}

template <uint32_t (*call)(const void*, size_t, uint32_t)>
uint32_t OfBytes(Bytes bytes, uint32_t initial) {
  return call(bytes.data, bytes.size, initial);
}

}  // namespace

void ExportMemory(Napi::Env, Napi::Object exports) {
  Export<MemfdCreateGlue>(exports, "memfdCreate");
  ExportNumber<AddSeals, &Arguments::fd, &Arguments::int32>(exports, "addSeals");
  ExportNumber<GetSeals, &Arguments::fd>(exports, "getSeals");
  ExportNumber<Reopen, &Arguments::fd, &Arguments::boolean>(exports, "reopen");
  ExportNumber<DupFd, &Arguments::fd>(exports, "dupFd");
  Export<OfFdRange<Fallocate>>(exports, "fallocate");
  Export<OfFdRange<PunchHole>>(exports, "punchHole");
  ExportNumber<IsDirectAccess, &Arguments::string>(exports, "isDirectAccess");
  ExportNumber<IsSoleOpener, &Arguments::fd>(exports, "isSoleOpener");
  ExportNumber<OpenSole, &Arguments::string>(exports, "openSole");
  ExportNumber<LockFile, &Arguments::fd, &Arguments::size, &Arguments::size>(exports, "lockFile");
  ExportNumber<TakeWriteError, &Arguments::fd>(exports, "takeWriteError");
  ExportNumber<WatchWrites, &Arguments::string>(exports, "watchWrites");
  Export<MappedReadGlue>(exports, "mappedRead");
  ExportNumber<OfBytes<Crc32c>, &Arguments::bytes, &Arguments::uint32>(exports, "crc32c");
  Export<Blake3Glue>(exports, "blake3");
  ExportNumber<OfBytes<Crc32cPortable>, &Arguments::bytes, &Arguments::uint32>(exports, "crc32cPortable");
}

}  // namespace membroker
