#include <errno.h>

#include "arguments.hh"
#include "glue.hh"
#include "table_map.hh"

namespace membroker {

namespace {

class TableMapWrap final : public Napi::ObjectWrap<TableMapWrap> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(
        env, "TableMap",
        {InstanceAccessor<&TableMapWrap::Errno>("errno"), InstanceMethod<&TableMapWrap::Read>("read"),
         InstanceMethod<&TableMapWrap::Write>("write"), InstanceMethod<&TableMapWrap::Publish>("publish"),
         InstanceMethod<&TableMapWrap::StoreAll>("storeAll"), InstanceAccessor<&TableMapWrap::Stored>("stored"),
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

  Napi::Value StoreAll(const Napi::CallbackInfo& info) {
    Arguments args(info);
    const Bytes bytes = args.bytes();
    const Numbers stores = args.numbers();
    if (!args.ok()) return info.Env().Undefined();
    int error = 0;
    for (stored_ = 0; error == 0 && stored_ < stores.count / 3; stored_ += error == 0) {
      error = Store(bytes, stores.data + 3 * stored_);
    }
    return Napi::Number::New(info.Env(), error);
  }

  int Store(const Bytes& bytes, const double* store) {
    for (int index = 0; index < 3; index++) {
      if (!(store[index] >= 0 && store[index] <= static_cast<double>(kSafeIntegerMax))) return -EINVAL;
    }
    const auto offset = static_cast<uint64_t>(store[0]);
    const auto from = static_cast<uint64_t>(store[1]);
    const auto length = static_cast<uint64_t>(store[2]);
    const uint64_t used = length == 0 ? sizeof(uint64_t) : length;
    if (from > bytes.size || used > bytes.size - from) return -ERANGE;
    return table_.store(offset, bytes.data + from, length);
  }

  Napi::Value Stored(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), stored_); }

  void Close(const Napi::CallbackInfo&) { table_.close(); }

  TableMap table_;
  int error_ = 0;
  /** Stores that the last StoreAll has made. */
  size_t stored_ = 0;
};

}  // namespace

void ExportTableMap(Napi::Env env, Napi::Object exports) { exports["TableMap"] = TableMapWrap::Define(env); }

}  // namespace membroker
