#include <errno.h>
#include <string.h>

#include <memory>
#include <new>

#include "arguments.hh"
#include "crc32c.hh"
#include "glue.hh"
#include "table_map.hh"

namespace membroker {

namespace {

constexpr uint64_t kStageBytesMax = uint64_t{1} << 30;

/**
 * What StoreAll() makes its stores from and by: the plan, which native/addon.ts describes, and bytes. JavaScript has the same memory,
 * and either end keeps it.
 */
struct Stage {
  std::unique_ptr<uint8_t[]> memory;
  uint64_t stores = 0;
  uint64_t bytes = 0;

  static constexpr uint64_t kHeadBytes = 2 * sizeof(double);
  static constexpr uint64_t kStoreBytes = 3 * sizeof(double);
  uint8_t* data() const { return memory.get() + kHeadBytes + stores * kStoreBytes; }
  /** A number of the plan that is at most max; it is larger where it is none. */
  uint64_t number(uint64_t index, uint64_t max) const {
    const double value = reinterpret_cast<const double*>(memory.get())[index];
    return value >= 0 && value <= static_cast<double>(max) ? static_cast<uint64_t>(value) : max + 1;
  }
};

using Share = std::shared_ptr<Stage>;

void DropShare(napi_env, void*, void* share) { delete static_cast<Share*>(share); }

class TableMapWrap final : public Napi::ObjectWrap<TableMapWrap> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "TableMap",
        {InstanceAccessor<&TableMapWrap::Errno>("errno"), InstanceMethod<&TableMapWrap::Read>("read"),
         InstanceMethod<&TableMapWrap::Write>("write"), InstanceMethod<&TableMapWrap::Publish>("publish"),
         InstanceMethod<&TableMapWrap::MakeStage>("stage"), InstanceMethod<&TableMapWrap::StoreAll>("storeAll"), InstanceAccessor<&TableMapWrap::Stored>("stored"),
         InstanceMethod<&TableMapWrap::Close>("close")});
  }

  explicit TableMapWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<TableMapWrap>(info) {
    Arguments args(info);
    const int fd = args.fd();
    const uint64_t offset = args.size();
    const uint64_t length = args.size();
    if (args.ok()) error_ = table_.open(fd, offset, length);
  }

 private:
  Napi::Value Errno(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), error_); }

  Napi::Value Read(const Napi::CallbackInfo& info) {
    Arguments args(info);
    const uint64_t offset = args.size();
    const uint64_t length = args.size();
    if (!args.ok()) return info.Env().Undefined();
    if (const int error = table_.check(offset, length)) return Napi::Number::New(info.Env(), error);
    void* data;
    napi_value buffer;
    if (napi_create_buffer(info.Env(), length, &data, &buffer) != napi_ok) {
      return Napi::Number::New(info.Env(), -ENOMEM);
    }
    if (length > 0) {
      if (const int error = table_.read(offset, data, length)) return Napi::Number::New(info.Env(), error);
    }
    return Napi::Value(info.Env(), buffer);
  }

  Napi::Value Write(const Napi::CallbackInfo& info) {
    Arguments args(info);
    const uint64_t offset = args.size();
    const Bytes bytes = args.bytes();
    if (!args.ok()) return info.Env().Undefined();
    const int result = bytes.size == 0 ? table_.check(offset, 0) : table_.write(offset, bytes.data, bytes.size);
    return Napi::Number::New(info.Env(), result);
  }

  Napi::Value Publish(const Napi::CallbackInfo& info) {
    Arguments args(info);
    const uint64_t offset = args.size();
    const auto low = static_cast<uint64_t>(args.integer(0, UINT32_MAX));
    const auto high = static_cast<uint64_t>(args.integer(0, UINT32_MAX));
    if (!args.ok()) return info.Env().Undefined();
    return Napi::Number::New(info.Env(), table_.publish(offset, low | (high << 32)));
  }

  Napi::Value MakeStage(const Napi::CallbackInfo& info) {
    Arguments args(info);
    const uint64_t stores = args.size();
    const uint64_t bytes = args.size();
    if (!args.ok()) return info.Env().Undefined();
    const Napi::Value refused = Napi::Number::New(info.Env(), -ENOMEM);
    if (stores > kStageBytesMax / Stage::kStoreBytes || bytes > kStageBytesMax) return refused;
    const uint64_t size = Stage::kHeadBytes + stores * Stage::kStoreBytes + bytes;
    auto stage = std::make_shared<Stage>();
    stage->memory.reset(new (std::nothrow) uint8_t[size]());
    stage->stores = stores;
    stage->bytes = bytes;
    if (!stage->memory) return refused;
    napi_value area;
    Share* share = new Share(stage);
    if (napi_create_external_arraybuffer(info.Env(), stage->memory.get(), size, DropShare, share, &area) != napi_ok) {
      delete share;
      return refused;
    }
    stage_ = std::move(stage);
    return Napi::Value(info.Env(), area);
  }

  Napi::Value StoreAll(const Napi::CallbackInfo& info) {
    stored_ = 0;
    return Napi::Number::New(info.Env(), stage_ ? StoreStage(*stage_) : -EINVAL);
  }

  int StoreStage(const Stage& stage) {
    const uint64_t count = stage.number(0, stage.stores);
    const uint64_t entry = stage.number(1, stage.bytes);
    if (count > stage.stores || entry > stage.bytes) return -ERANGE;
    if (entry >= sizeof(uint64_t)) SealEntry(stage.data(), entry);
    for (; stored_ < count; stored_++) {
      if (const int error = Store(stage, 2 + 3 * stored_)) return error;
    }
    return 0;
  }

  /** TABLE.md, "Journal": the CRC in an entry's word is over the length before it, and all behind the word. */
  static void SealEntry(uint8_t* entry, uint64_t bytes) {
    const uint32_t crc = Crc32c(entry + 8, bytes - 8, Crc32c(entry, 4, 0));
    memcpy(entry + 4, &crc, sizeof(crc));
  }

  int Store(const Stage& stage, uint64_t at) {
    constexpr uint64_t max = kSafeIntegerMax;
    const uint64_t offset = stage.number(at, max), from = stage.number(at + 1, max), length = stage.number(at + 2, max);
    if (offset > max || from > max || length > max) return -EINVAL;
    const uint64_t used = length == 0 ? sizeof(uint64_t) : length;
    if (from > stage.bytes || used > stage.bytes - from) return -ERANGE;
    return table_.store(offset, stage.data() + from, length);
  }

  Napi::Value Stored(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), stored_); }

  void Close(const Napi::CallbackInfo&) { table_.close(); }

  TableMap table_;
  int error_ = 0;
  /** Stores that the last StoreAll has made. */
  size_t stored_ = 0;
  Share stage_;
};

}  // namespace

void ExportTableMap(Napi::Env env, Napi::Object exports) { exports["TableMap"] = TableMapWrap::Define(env); }

}  // namespace membroker
