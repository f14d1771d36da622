#include "dax_device.hh"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <functional>
#include <set>
#include <unordered_set>

#include "fd.hh"

namespace membroker {

namespace {

/** Of every attribute of sysfs. */
constexpr size_t kAttributeBytesMax = 4096;

/** 0 or -errno. Without the line's end. */
int ReadAttribute(const std::string& path, std::string* text) {
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  char bytes[kAttributeBytesMax];
  const ssize_t length = fd.valid() ? read(fd.get(), bytes, sizeof bytes) : -1;
  if (length < 0) return -errno;
  text->assign(bytes, static_cast<size_t>(length));
  while (!text->empty() && strchr(" \n", text->back())) text->pop_back();
  return 0;
}

/** Decimal, or hexadecimal with 0x. */
int ReadNumber(const std::string& path, uint64_t* number) {
  std::string text;
  if (const int error = ReadAttribute(path, &text)) return error;
  char* end;
  errno = 0;
  *number = strtoull(text.c_str(), &end, 0);
  return text.empty() || *end != 0 || errno != 0 ? -EBADMSG : 0;
}

/** One write: sysfs takes a value whole. */
int WriteAttribute(const std::string& path, const std::string& text) {
  const Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
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

std::string LastName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/** Each step is false when it failed; device then tells of it. */
class Maker {
 public:
  Maker(const std::string& region, const std::string& driver) : region_(region), driver_(driver) {}

  bool make(const std::vector<DaxExtent>& extents, uint64_t align_bytes) {
    return create() && fill(extents, align_bytes) && bind();
  }

  DaxDevice device;

 private:
  /** The kernel names the newest device that was never bound as the region's seed, unless there was one already. */
  bool create() {
    const std::string seed = region_ + "/dax_region/seed";
    std::string before;
    std::set<std::string> known;
    const auto learn = [&](const char* name) { known.insert(name); };
    const auto compare = [&](const char* name) {
      if (strncmp(name, "dax", 3) == 0 && !known.count(name)) device.name = name;
    };
    if (!get(seed, &before) || (!before.empty() && !list(learn))) return false;
    if (!put(region_ + "/dax_region/create", "1")) return false;
    if (before.empty() ? !get(seed, &device.name) : !list(compare)) return false;
    path_ = region_ + "/" + device.name;
    return !device.name.empty() || fail(-ENODEV, "reading the name of a new device");
  }

  /** Kernels have said yes and added nothing; only what can be read back is there. */
  bool fill(const std::vector<DaxExtent>& extents, uint64_t align_bytes) {
    const std::string align = path_ + "/align";
    uint64_t found;
    if (!get(align, &found)) return false;
    if (found != align_bytes &&
        !(put(align, std::to_string(align_bytes)) && get(align, &found) && same(found, align_bytes, align))) {
      return false;
    }
    uint64_t bytes = 0;
    for (const DaxExtent& extent : extents) {
      char text[64];
      snprintf(text, sizeof text, "%" PRIx64 "-%" PRIx64, extent.start, extent.end - 1);
      if (!put(path_ + "/mapping", text)) return false;
      bytes += extent.end - extent.start;
    }
    // With the sum of the sizes right, there is no room for another mapping.
    const std::string size = path_ + "/size";
    if (!get(size, &found) || !same(found, bytes, size)) return false;
    uint64_t page_offset = 0;
    for (size_t index = 0; index < extents.size(); index++) {
      const std::string mapping = path_ + "/mapping" + std::to_string(index);
      const auto has = [&](const char* attribute, uint64_t wanted) {
        return get(mapping + attribute, &found) && same(found, wanted, mapping + attribute);
      };
      const DaxExtent& extent = extents[index];
      if (!has("/start", extent.start) || !has("/end", extent.end - 1) || !has("/page_offset", page_offset)) {
        return false;
      }
      page_offset += (extent.end - extent.start) / kPageBytes;
    }
    return true;
  }

  bool bind() {
    if (!put(driver_ + "/new_id", device.name)) return false;
    const std::string link = path_ + "/driver";
    char target[kAttributeBytesMax];
    const ssize_t length = readlink(link.c_str(), target, sizeof target);
    if (length < 0 || LastName(std::string(target, static_cast<size_t>(length))) != LastName(driver_)) {
      return fail(-ENODEV, "binding " + device.name + " to " + LastName(driver_));
    }
    std::string numbers;
    unsigned major_number, minor_number;
    const std::string file = path_ + "/dev";
    if (!get(file, &numbers)) return false;
    if (sscanf(numbers.c_str(), "%u:%u", &major_number, &minor_number) != 2) return fail(-EBADMSG, "reading " + file);
    device.device = makedev(major_number, minor_number);
    return true;
  }

  bool list(const std::function<void(const char*)>& use) {
    const int error = ForEachName(region_, use);
    return error == 0 || fail(error, "listing " + region_);
  }
  bool get(const std::string& path, std::string* text) {
    const int error = ReadAttribute(path, text);
    return error == 0 || fail(error, "reading " + path);
  }
  bool get(const std::string& path, uint64_t* number) {
    const int error = ReadNumber(path, number);
    return error == 0 || fail(error, "reading " + path);
  }
  bool put(const std::string& path, const std::string& text) {
    const int error = WriteAttribute(path, text);
    return error == 0 || fail(error, "writing '" + text + "' to " + path);
  }
  bool same(uint64_t found, uint64_t wanted, const std::string& path) {
    return found == wanted || fail(-EBADMSG, "reading " + std::to_string(wanted) + " back from " + path);
  }
  bool fail(int error, const std::string& doing) {
    device.error = error;
    device.doing = doing;
    return false;
  }

  /** The unit of page_offset. */
  static constexpr uint64_t kPageBytes = 4096;

  const std::string region_;
  const std::string driver_;
  std::string path_;
};

}  // namespace

DaxDevice MakeDaxDevice(const std::string& region, const std::string& driver, const std::vector<DaxExtent>& extents,
                        uint64_t align_bytes) {
  Maker maker(region, driver);
  maker.make(extents, align_bytes);
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
    const int failed = ReadNumber(devices + "/" + device + "/size", &bytes);
    if (failed != 0 && failed != -ENOENT) error = failed;
    if (failed == 0 && bytes > 0) *name = device;
  });
  return looked != 0 ? looked : error;
}

}  // namespace membroker
