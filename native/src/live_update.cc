#include "live_update.hh"

#include <errno.h>
#include <linux/ioctl.h>
#include <string.h>
#include <sys/ioctl.h>

namespace membroker {

namespace {

// As linux/liveupdate.h of Linux 7.2 has them: the headers of most systems do not have that file.
constexpr size_t kNameBytes = 64;
constexpr unsigned kType = 0xBA;
constexpr unsigned kCreateSession = _IO(kType, 0x00);
constexpr unsigned kRetrieveSession = _IO(kType, 0x01);
constexpr unsigned kPreserveFd = _IO(kType, 0x40);
constexpr unsigned kRetrieveFd = _IO(kType, 0x41);
constexpr unsigned kFinish = _IO(kType, 0x42);
constexpr unsigned kGetName = _IO(kType, 0x43);

/** Of creating, retrieving and naming a session. */
struct Named {
  uint32_t size;
  int32_t fd;
  char name[kNameBytes];
};

/** Of preserving and retrieving a file. */
struct Token {
  uint32_t size;
  int32_t fd;
  uint64_t token __attribute__((aligned(8)));
};

struct Finish {
  uint32_t size;
  uint32_t reserved;
};

template <class Argument>
int Call(int fd, unsigned request, Argument* argument) {
  return ioctl(fd, request, argument) < 0 ? -errno : 0;
}

int SessionOf(int device, unsigned request, const std::string& name) {
  Named argument{sizeof(Named), -1, {}};
  if (name.empty() || name.size() >= kNameBytes) return -EINVAL;
  memcpy(argument.name, name.data(), name.size());
  const int error = Call(device, request, &argument);
  return error < 0 ? error : argument.fd;
}

}  // namespace

int CreateLiveSession(int device, const std::string& name) { return SessionOf(device, kCreateSession, name); }

int RetrieveLiveSession(int device, const std::string& name) { return SessionOf(device, kRetrieveSession, name); }

int LiveSessionName(int session, std::string* name) {
  Named argument{sizeof(Named), 0, {}};
  const int error = Call(session, kGetName, &argument);
  if (error == 0) name->assign(argument.name, strnlen(argument.name, kNameBytes));
  return error;
}

int PreserveFile(int session, int file, uint64_t token) {
  Token argument{sizeof(Token), file, token};
  return Call(session, kPreserveFd, &argument);
}

int RetrieveFile(int session, uint64_t token) {
  Token argument{sizeof(Token), -1, token};
  const int error = Call(session, kRetrieveFd, &argument);
  return error < 0 ? error : argument.fd;
}

int FinishLiveSession(int session) {
  Finish argument{sizeof(Finish), 0};
  return Call(session, kFinish, &argument);
}

}  // namespace membroker
