#include "tap.hh"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "fd.hh"

namespace membroker {

int OpenTap(const std::string& name, bool vnet_header) {
  ifreq request{};
  if (name.empty() || name.size() >= sizeof(request.ifr_name)) return -EINVAL;
  memcpy(request.ifr_name, name.data(), name.size());
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | (vnet_header ? IFF_VNET_HDR : 0));
  Fd fd(open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC));
  if (!fd.valid()) return -errno;
  if (ioctl(fd.get(), TUNSETIFF, &request) < 0) return -errno;
  return fd.take();
}

int TapHeaderBytes(int fd) {
  int bytes = 0;
  return ioctl(fd, TUNGETVNETHDRSZ, &bytes) < 0 ? -errno : bytes;
}

int SetTapHeaderBytes(int fd, int bytes) { return ioctl(fd, TUNSETVNETHDRSZ, &bytes) < 0 ? -errno : 0; }

}  // namespace membroker
