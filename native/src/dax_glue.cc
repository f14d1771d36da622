#include "dax_device.hh"
#include "glue.hh"

namespace membroker {

namespace {

bool IsExtent(double start, double end) { return start >= 0 && start < end && end <= kSafeIntegerMax; }

/** False where value is no list of extents. */
bool TakeExtents(const Napi::Value& value, std::vector<DaxExtent>* extents) {
  if (!value.IsArray()) return false;
  const Napi::Array array = value.As<Napi::Array>();
  const uint32_t length = array.Length();
  for (uint32_t index = 0; index < length; index++) {
    const Napi::Value element = array.Get(index);
    if (!element.IsObject()) return false;
    const Napi::Value start = element.As<Napi::Object>().Get("start");
    const Napi::Value end = element.As<Napi::Object>().Get("end");
    if (!start.IsNumber() || !end.IsNumber()) return false;
    const double from = start.As<Napi::Number>().DoubleValue();
    const double to = end.As<Napi::Number>().DoubleValue();
    if (!IsExtent(from, to)) return false;
    extents->push_back({static_cast<uint64_t>(from), static_cast<uint64_t>(to)});
  }
  return true;
}

Napi::Value MakeDaxDeviceGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const std::string region = args.string();
  const std::string driver = args.string();
  const std::string nodes = args.string();
  std::vector<DaxExtent> extents;
  if (!TakeExtents(args.skip(), &extents)) args.fail("an array of { start: number, end: number }");
  const uint64_t align_bytes = args.size();
  if (!args.ok()) return info.Env().Undefined();
  const DaxDevice device = MakeDaxDevice(region, driver, nodes, extents, align_bytes);
  Napi::Object result = Napi::Object::New(info.Env());
  result["errno"] = device.error;
  result["doing"] = device.doing;
  result["name"] = device.name;
  result["device"] = static_cast<double>(device.device);
  return result;
}

Napi::Value FindUnboundDaxGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const std::string bus = args.string();
  if (!args.ok()) return info.Env().Undefined();
  std::string name;
  const int error = FindUnboundDax(bus, &name);
  if (error != 0) return Napi::Number::New(info.Env(), error);
  return Napi::String::New(info.Env(), name);
}

}  // namespace

void ExportDax(Napi::Env, Napi::Object exports) {
  Export<MakeDaxDeviceGlue>(exports, "makeDaxDevice");
  Export<FindUnboundDaxGlue>(exports, "findUnboundDax");
}

}  // namespace membroker
