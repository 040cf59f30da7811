// cgroup.h -- where the limits of the process's control groups can be read, both versions.
// Thread: any.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headgate::control {

struct CgroupDirectory {
  std::string path;
  bool unified = false;  // version 2
};

// The directories of the process's group for `controller` and of all groups above it: each may have a limit. In a
// container the path of the host may be missing below the mount point, where the own group is then found; directories
// that do not exist are in the list. `root`: "" or, for tests, where /proc and /sys are.
std::vector<CgroupDirectory> cgroup_directories(const std::string& root, std::string_view controller);

std::optional<std::string> read_first_line(const std::string& path);

}  // namespace headgate::control
