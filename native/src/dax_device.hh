#pragma once

#include <cstdint>
#include <string>
#include <vector>

// Device-DAX devices, as sysfs makes them. Each write may block for as long as the kernel likes.
namespace membroker {

/** Physical addresses; end is exclusive. */
struct DaxExtent {
  uint64_t start;
  uint64_t end;
};

struct DaxDevice {
  /** 0, or -errno of what it was doing: -EPROTO where the kernel said yes, and did something else. */
  int error = 0;
  /** For people: "writing '1' to FILE". */
  std::string doing;
  /** Empty until there is one; of a device that is half made, too. */
  std::string name;
  /** As st_rdev of its node has it. */
  uint64_t device = 0;
};

/**
 * Makes an empty device in a region (the directory with dax_region in it), gives it these extents, reads back that it
 * has them and nothing else, and only then binds it to the driver (its directory in sysfs). Its node in the directory
 * nodes is root's alone.
 */
DaxDevice MakeDaxDevice(const std::string& region, const std::string& driver, const std::string& nodes,
                        const std::vector<DaxExtent>& extents, uint64_t align_bytes);

/** A device of the bus (its directory in sysfs) that has memory and no driver; empty: there is none. 0 or -errno. */
int FindUnboundDax(const std::string& bus, std::string* name);

}  // namespace membroker
