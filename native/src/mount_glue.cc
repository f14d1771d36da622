#include "arguments.hh"
#include "glue.hh"
#include "mount.hh"

namespace membroker {

namespace {

template <int (*call)(const std::string&)>
Napi::Value OfPath(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const std::string path = args.string();
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), call(path));
}

Napi::Value BindPrivateGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const std::string file = args.string();
  const std::string path = args.string();
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), BindPrivate(file, path));
}

Napi::Value MountNodeGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const std::string path = args.string();
  const std::string name = args.string();
  const uint64_t device = args.size();
  const auto uid = static_cast<uint32_t>(args.integer(0, UINT32_MAX));
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), MountNode(path, name, device, uid));
}

Napi::Value UnmountGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const std::string path = args.string();
  const bool detach = args.boolean();
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), Unmount(path, detach));
}

Napi::Value MakeNodeGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const std::string path = args.string();
  const uint64_t device = args.size();
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), MakeNode(path, device));
}

Napi::Value SpliceToPipeGlue(const Napi::CallbackInfo& info) {
  Arguments args(info);
  const int fd = args.fd();
  const uint64_t offset = args.size();
  const uint64_t map_bytes = args.size();
  if (!args.ok()) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), SpliceToPipe(fd, offset, map_bytes));
}

}  // namespace

void ExportMounts(Napi::Env env, Napi::Object exports) {
  exports["mountPrivate"] = Napi::Function::New<OfPath<MountPrivate>>(env, "mountPrivate");
  exports["mountNode"] = Napi::Function::New<MountNodeGlue>(env, "mountNode");
  exports["bindPrivate"] = Napi::Function::New<BindPrivateGlue>(env, "bindPrivate");
  exports["isMountIdle"] = Napi::Function::New<OfPath<IsMountIdle>>(env, "isMountIdle");
  exports["unmount"] = Napi::Function::New<UnmountGlue>(env, "unmount");
  exports["makeNode"] = Napi::Function::New<MakeNodeGlue>(env, "makeNode");
  exports["spliceToPipe"] = Napi::Function::New<SpliceToPipeGlue>(env, "spliceToPipe");
}

}  // namespace membroker
