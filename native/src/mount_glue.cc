#include "glue.hh"
#include "mount.hh"

namespace membroker {

void ExportMounts(Napi::Env, Napi::Object exports) {
  ExportNumber<MountPrivate, &Arguments::string>(exports, "mountPrivate");
  ExportNumber<MountNode, &Arguments::string, &Arguments::string, &Arguments::size, &Arguments::uint32>(exports, "mountNode");
  ExportNumber<BindPrivate, &Arguments::string, &Arguments::string>(exports, "bindPrivate");
  ExportNumber<UnshareMounts>(exports, "unshareMounts");
  ExportNumber<BindFile, &Arguments::fd, &Arguments::fd, &Arguments::boolean>(exports, "bindFile");
  ExportNumber<IsMountIdle, &Arguments::string>(exports, "isMountIdle");
  ExportNumber<Unmount, &Arguments::string, &Arguments::boolean>(exports, "unmount");
  ExportNumber<MakeNode, &Arguments::string, &Arguments::size>(exports, "makeNode");
  ExportNumber<SpliceToPipe, &Arguments::fd, &Arguments::size, &Arguments::size>(exports, "spliceToPipe");
}

}  // namespace membroker
