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

  void Close(const Napi::CallbackInfo&) { table_.close(); }

  TableMap table_;
  int error_ = 0;
};

}  // namespace

void ExportTableMap(Napi::Env env, Napi::Object exports) { exports["TableMap"] = TableMapWrap::Define(env); }

}  // namespace membroker
