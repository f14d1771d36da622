#include "tap.hh"

#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "fd.hh"

namespace membroker {

namespace {

// The kernel has no call that tells what TUNSETOFFLOAD has set, but each flag is a feature of the device.
struct Offload {
  const char* feature;
  unsigned flags;
};
constexpr Offload kOffloads[] = {
    {"tx-checksum-ip-generic", TUN_F_CSUM}, {"tx-tcp-segmentation", TUN_F_TSO4},
    {"tx-tcp6-segmentation", TUN_F_TSO6},   {"tx-tcp-ecn-segmentation", TUN_F_TSO_ECN},
    {"tx-udp-segmentation", 0x20 | 0x40},  // TUN_F_USO4, TUN_F_USO6: newer than many headers
};

/** The words of one of ethtool's structures, which the kernel fills. -1: errno is set. */
int AskEthtool(int fd, ifreq* request, std::vector<uint32_t>* words) {
  request->ifr_data = reinterpret_cast<char*>(words->data());
  return ioctl(fd, SIOCETHTOOL, request);
}

}  // namespace

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

int TapOffloads(int fd) {
  ifreq request{};
  if (ioctl(fd, TUNGETIFF, &request) < 0) return -errno;
  Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return -errno;
  // struct ethtool_sset_info: command, reserved, mask (64 bits), a count for each bit.
  std::vector<uint32_t> counts{ETHTOOL_GSSET_INFO, 0, 1u << ETH_SS_FEATURES, 0, 0};
  if (AskEthtool(socket.get(), &request, &counts) < 0) return -errno;
  const uint32_t count = counts[4];
  // struct ethtool_gstrings: command, set, length, texts.
  std::vector<uint32_t> names(3 + count * ETH_GSTRING_LEN / 4);
  names[0] = ETHTOOL_GSTRINGS, names[1] = ETH_SS_FEATURES, names[2] = count;
  if (AskEthtool(socket.get(), &request, &names) < 0) return -errno;
  // struct ethtool_gfeatures: command, size, blocks of (available, requested, active, never changed) for 32 features each.
  const uint32_t blocks = (count + 31) / 32;
  std::vector<uint32_t> features(2 + blocks * 4);
  features[0] = ETHTOOL_GFEATURES, features[1] = blocks;
  if (AskEthtool(socket.get(), &request, &features) < 0) return -errno;
  unsigned flags = 0;
  const char* name = reinterpret_cast<const char*>(&names[3]);
  for (uint32_t index = 0; index < count && index < names[2]; index++, name += ETH_GSTRING_LEN) {
    if ((features[2 + index / 32 * 4 + 2] >> index % 32 & 1) == 0) continue;
    for (const Offload& offload : kOffloads)
      if (strncmp(name, offload.feature, ETH_GSTRING_LEN) == 0) flags |= offload.flags;
  }
  return static_cast<int>(flags);
}

int SetTapOffloads(int fd, int flags) {
  return ioctl(fd, TUNSETOFFLOAD, static_cast<unsigned long>(flags)) < 0 ? -errno : 0;
}

}  // namespace membroker
