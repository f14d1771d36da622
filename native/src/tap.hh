#pragma once

#include <string>

// native/functions.ts documents the function. Results below zero are -errno.
namespace membroker {

int OpenTap(const std::string& name, bool vnet_header);

}  // namespace membroker
