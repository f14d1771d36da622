#pragma once

#include <napi.h>

#include <string>
#include <utility>
#include <vector>

#include "fd.hh"

namespace membroker {

struct Bytes {
  const uint8_t* data;
  size_t size;
};

constexpr int64_t kSafeIntegerMax = (int64_t{1} << 53) - 1;

struct Numbers {
  const double* data;
  size_t count;
};

/**
 * Takes the arguments of a call one after another. After a wrong one, ok() returns false and throws a TypeError.
 * Nothing throws before ok(), so that the caller still takes, and thereby closes, the descriptors in later arguments.
 */
class Arguments {
 public:
  explicit Arguments(const Napi::CallbackInfo& info) : info_(info) {}

  bool ok() {
    if (error_.empty()) return true;
    if (!info_.Env().IsExceptionPending()) Napi::TypeError::New(info_.Env(), error_).ThrowAsJavaScriptException();
    return false;
  }
  Napi::Value skip() { return info_[next_++]; }

  int64_t integer(int64_t min, int64_t max) {
    const Napi::Value value = skip();
    const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : 0.5;
    const bool good = number >= static_cast<double>(min) && number <= static_cast<double>(max) &&
                      number == static_cast<double>(static_cast<int64_t>(number));
    return good ? static_cast<int64_t>(number) : (fail("an integer in range"), min);
  }
  int fd() { return static_cast<int>(integer(0, INT32_MAX)); }
  uint32_t uint32() { return static_cast<uint32_t>(integer(0, UINT32_MAX)); }
  int int32() { return static_cast<int>(integer(INT32_MIN, INT32_MAX)); }
  uint64_t size() { return static_cast<uint64_t>(integer(0, kSafeIntegerMax)); }
  bool boolean() {
    const Napi::Value value = skip();
    return value.IsBoolean() ? value.As<Napi::Boolean>().Value() : fail("a boolean");
  }
  std::string string() {
    const Napi::Value value = skip();
    return value.IsString() ? value.As<Napi::String>().Utf8Value() : (fail("a string"), std::string());
  }
  Bytes bytes() {
    size_t size;
    const void* data = typed_array(napi_uint8_array, "a Uint8Array", &size);
    return {static_cast<const uint8_t*>(data), size};
  }
  Numbers numbers() {
    size_t count;
    const void* data = typed_array(napi_float64_array, "a Float64Array", &count);
    return {static_cast<const double*>(data), count};
  }
  Napi::Function function() {
    const Napi::Value value = skip();
    if (!value.IsFunction()) fail("a function");
    return value.As<Napi::Function>();
  }
  Napi::Object object() {
    const Napi::Value value = skip();
    if (!value.IsObject()) fail("an object");
    return value.As<Napi::Object>();
  }
  std::vector<int> fds() {
    return list<int>("an array of descriptors", [](const Napi::Value& value, int* fd) {
      if (!value.IsNumber()) return false;
      *fd = value.As<Napi::Number>().Int32Value();
      return *fd >= 0;
    });
  }
  std::vector<std::string> strings() {
    return list<std::string>("an array of strings", [](const Napi::Value& value, std::string* text) {
      if (!value.IsString()) return false;
      *text = value.As<Napi::String>().Utf8Value();
      return true;
    });
  }
  bool fail(const char* wanted) {
    if (error_.empty()) error_ = "argument " + std::to_string(next_) + " must be " + wanted;
    return false;
  }
  /** fail() after the last argument. */
  void reject(const char* wanted) {
    fail(wanted);
    ok();
  }

 private:
  /** One call of N-API instead of the four that its C++ classes make. */
  const void* typed_array(napi_typedarray_type wanted, const char* name, size_t* length) {
    napi_typedarray_type type;
    void* data;
    const napi_status status =
        napi_get_typedarray_info(info_.Env(), skip(), &type, length, &data, nullptr, nullptr);
    if (status == napi_ok && type == wanted) return data;
    fail(name);
    *length = 0;
    return nullptr;
  }

  /** Also after a wrong element it returns the elements before that: they may be descriptors to close. */
  template <typename T, typename Take>
  std::vector<T> list(const char* wanted, Take take) {
    const Napi::Value value = skip();
    const Napi::Array array = value.As<Napi::Array>();
    const uint32_t length = value.IsArray() ? array.Length() : (fail(wanted), 0);
    std::vector<T> taken;
    for (uint32_t index = 0; index < length; index++) {
      T element;
      if (!take(array.Get(index), &element)) {
        fail(wanted);
        break;
      }
      taken.push_back(std::move(element));
    }
    return taken;
  }

  const Napi::CallbackInfo& info_;
  size_t next_ = 0;
  std::string error_;
};

}  // namespace membroker
