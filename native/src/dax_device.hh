#pragma once

#include <cstdint>
#include <string>
#include <vector>

// Device-DAX devices, as sysfs makes them. native/functions.ts documents the functions, native/addon.ts NewDaxDevice.
namespace membroker {

struct DaxExtent {
  uint64_t start;
  uint64_t end;
};

struct DaxDevice {
  /** 0 or -errno. */
  int error = 0;
  std::string doing;
  /** A device that is half made has its name, too. */
  std::string name;
  uint64_t device = 0;
};

DaxDevice MakeDaxDevice(const std::string& region, const std::string& driver, const std::string& nodes,
                        const std::vector<DaxExtent>& extents, uint64_t align_bytes);

/** 0 or -errno. name stays empty where there is none. */
int FindUnboundDax(const std::string& bus, std::string* name);

}  // namespace membroker
