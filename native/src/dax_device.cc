#include "dax_device.hh"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <functional>
#include <unordered_set>

#include "fd.hh"

namespace membroker {

namespace {

/** The limit of every attribute in sysfs. */
constexpr size_t kAttributeBytesMax = 4096;

/** The attribute's value at this moment, without the line's end. 0 or -errno. */
int ReadAttribute(int fd, std::string* text) {
  char bytes[kAttributeBytesMax];
  const ssize_t length = pread(fd, bytes, sizeof bytes, 0);
  if (length < 0) return -errno;
  text->assign(bytes, static_cast<size_t>(length));
  while (!text->empty() && strchr(" \n", text->back())) text->pop_back();
  return 0;
}

/** path is relative to directory. */
int ReadAttribute(int directory, const std::string& path, std::string* text) {
  const Fd fd(openat(directory, path.c_str(), O_RDONLY | O_CLOEXEC));
  return fd.valid() ? ReadAttribute(fd.get(), text) : -errno;
}

/** Decimal, or hexadecimal with 0x. */
int ReadNumber(int directory, const std::string& path, uint64_t* number) {
  std::string text;
  if (const int error = ReadAttribute(directory, path, &text)) return error;
  char* end;
  errno = 0;
  *number = strtoull(text.c_str(), &end, 0);
  return text.empty() || *end != 0 || errno != 0 ? -EPROTO : 0;
}

/** It makes one write: sysfs takes a value whole. */
int WriteAttribute(int directory, const std::string& path, const std::string& text) {
  const Fd fd(openat(directory, path.c_str(), O_WRONLY | O_CLOEXEC));
  const ssize_t written = fd.valid() ? write(fd.get(), text.data(), text.size()) : -1;
  if (written < 0) return -errno;
  return static_cast<size_t>(written) == text.size() ? 0 : -EIO;
}

int ForEachName(const std::string& path, const std::function<void(const char*)>& use) {
  DIR* const directory = opendir(path.c_str());
  if (!directory) return -errno;
  errno = 0;
  while (const dirent* entry = readdir(directory)) {
    if (entry->d_name[0] != '.') use(entry->d_name);
    errno = 0;
  }
  const int error = errno;
  closedir(directory);
  return -error;
}

/** The value of a line NAME=VALUE; empty where there is none. */
std::string ValueOf(const std::string& lines, const std::string& name) {
  const std::string text = "\n" + lines + "\n";
  const std::string before = "\n" + name + "=";
  const size_t at = text.find(before);
  if (at == std::string::npos) return std::string();
  const size_t start = at + before.size();
  return text.substr(start, text.find('\n', start) - start);
}

/** A step that fails returns false and writes into device what failed. */
class Maker {
 public:
  Maker(const std::string& region, const std::string& driver) : region_(region), driver_(driver) {}

  bool make(const std::string& nodes, const std::vector<DaxExtent>& extents, uint64_t align_bytes) {
    return enter() && create() && fill(extents, align_bytes) && bind() && guard(nodes + "/" + device.name);
  }

  DaxDevice device;

 private:
  /** From here on paths are relative to the region, which spares the kernel a long walk for each. */
  bool enter() {
    region_fd_ = Fd(open(region_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    return region_fd_.valid() || fail(-errno, "opening " + region_);
  }

  /**
   * The region's seed is the kernel's name for a device that no driver has had yet: the one that create() makes now, or
   * an empty one that an earlier maker left when it ended.
   */
  bool create() {
    const std::string seed = "dax_region/seed";
    const Fd fd(openat(region_fd_.get(), seed.c_str(), O_RDONLY | O_CLOEXEC));
    const auto read_name = [&] {
      const int error = fd.valid() ? ReadAttribute(fd.get(), &device.name) : -errno;
      return error == 0 || fail(error, "reading " + region_ + "/" + seed);
    };
    if (!read_name()) return false;
    if (device.name.empty() && !(put("dax_region/create", "1") && read_name())) return false;
    return !device.name.empty() || fail(-ENODEV, "reading the name of a new device");
  }

  /** Kernels have accepted an extent and added nothing, so fill() reads everything back. */
  bool fill(const std::vector<DaxExtent>& extents, uint64_t align_bytes) {
    const std::string place = device.name + "/";
    uint64_t found;
    if (!get(place + "align", &found)) return false;
    if (found != align_bytes && !(put(place + "align", std::to_string(align_bytes)) && has(place + "align", align_bytes)))
      return false;
    uint64_t bytes = 0;
    for (const DaxExtent& extent : extents) {
      char text[64];
      snprintf(text, sizeof text, "%" PRIx64 "-%" PRIx64, extent.start, extent.end - 1);
      if (!put(place + "mapping", text)) return false;
      bytes += extent.end - extent.start;
    }
    // The extents fill the whole size, so the device has no other mapping.
    if (!has(place + "size", bytes)) return false;
    uint64_t page_offset = 0;
    for (size_t index = 0; index < extents.size(); index++) {
      const std::string mapping = place + "mapping" + std::to_string(index);
      const DaxExtent& extent = extents[index];
      if (!has(mapping + "/start", extent.start) || !has(mapping + "/end", extent.end - 1)) return false;
      // The first mapping starts at page 0.
      if (index > 0 && !has(mapping + "/page_offset", page_offset)) return false;
      page_offset += (extent.end - extent.start) / kPageBytes;
    }
    return true;
  }

  bool bind() {
    const std::string file = driver_ + "/new_id";
    if (const int error = WriteAttribute(AT_FDCWD, file, device.name)) return fail(error, Writing(device.name, file));
    std::string facts;
    if (!get(device.name + "/uevent", &facts)) return false;
    const std::string driver = driver_.substr(driver_.rfind('/') + 1);
    if (ValueOf(facts, "DRIVER") != driver) return fail(-ENODEV, "binding " + device.name + " to " + driver);
    const std::string major_number = ValueOf(facts, "MAJOR"), minor_number = ValueOf(facts, "MINOR");
    if (major_number.empty() || minor_number.empty()) return fail(-ENODEV, "reading the number of " + device.name);
    device.device = makedev(static_cast<unsigned>(strtoul(major_number.c_str(), nullptr, 10)),
                            static_cast<unsigned>(strtoul(minor_number.c_str(), nullptr, 10)));
    return true;
  }

  /** The kernel makes the node root's alone; somebody else's udev rules may have changed that. */
  bool guard(const std::string& node) {
    struct stat found;
    const bool good = lstat(node.c_str(), &found) == 0 &&
                      (found.st_mode & 07777) == 0600 && found.st_uid == 0 && found.st_gid == 0;
    return good || (chmod(node.c_str(), 0600) == 0 && chown(node.c_str(), 0, 0) == 0) ||
           fail(-errno, "making " + node + " root's");
  }

  bool get(const std::string& path, std::string* text) {
    const int error = ReadAttribute(region_fd_.get(), path, text);
    return error == 0 || fail(error, "reading " + region_ + "/" + path);
  }
  bool get(const std::string& path, uint64_t* number) {
    const int error = ReadNumber(region_fd_.get(), path, number);
    return error == 0 || fail(error, "reading " + region_ + "/" + path);
  }
  bool has(const std::string& path, uint64_t wanted) {
    uint64_t found;
    return get(path, &found) &&
           (found == wanted || fail(-EPROTO, "reading " + std::to_string(wanted) + " back from " + region_ + "/" + path));
  }
  bool put(const std::string& path, const std::string& text) {
    const int error = WriteAttribute(region_fd_.get(), path, text);
    return error == 0 || fail(error, Writing(text, region_ + "/" + path));
  }
  bool fail(int error, const std::string& doing) {
    device.error = error;
    device.doing = doing;
    return false;
  }

  static std::string Writing(const std::string& text, const std::string& path) {
    return "writing '" + text + "' to " + path;
  }

  /** The unit of page_offset. */
  static constexpr uint64_t kPageBytes = 4096;

  const std::string region_;
  const std::string driver_;
  Fd region_fd_;
};

}  // namespace

DaxDevice MakeDaxDevice(const std::string& region, const std::string& driver, const std::string& nodes,
                        const std::vector<DaxExtent>& extents, uint64_t align_bytes) {
  Maker maker(region, driver);
  maker.make(nodes, extents, align_bytes);
  return maker.device;
}

int FindUnboundDax(const std::string& bus, std::string* name) {
  const std::string drivers = bus + "/drivers";
  const std::string devices = bus + "/devices";
  std::unordered_set<std::string> bound;
  const auto take = [&](const char* entry) { bound.insert(entry); };
  int error = 0;
  const int listed = ForEachName(drivers, [&](const char* driver) {
    const int failed = ForEachName(drivers + "/" + driver, take);
    if (failed != 0) error = failed;
  });
  if (listed != 0 || error != 0) return listed != 0 ? listed : error;
  const int looked = ForEachName(devices, [&](const char* device) {
    if (!name->empty() || bound.count(device)) return;
    uint64_t bytes;
    const int failed = ReadNumber(AT_FDCWD, devices + "/" + device + "/size", &bytes);
    if (failed != 0 && failed != -ENOENT) error = failed;
    if (failed == 0 && bytes > 0) *name = device;
  });
  return looked != 0 ? looked : error;
}

}  // namespace membroker
