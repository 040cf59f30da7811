#include "dataplane/control/cgroup.h"

#include <fstream>

#include "dataplane/base/text.h"

namespace headgate::control {
namespace {

void add_chain(const std::string& mount, std::string path, bool unified, std::vector<CgroupDirectory>& into) {
  if (path.find("..") != std::string::npos) path.clear();
  for (;;) {
    into.push_back({mount + path, unified});
    if (path.empty() || path == "/") return;
    path.resize(path.rfind('/'));
  }
}

}  // namespace

std::optional<std::string> read_first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

std::vector<CgroupDirectory> cgroup_directories(const std::string& root, std::string_view controller) {
  std::vector<CgroupDirectory> directories;
  std::ifstream groups(root + "/proc/self/cgroup");
  std::string line;
  while (std::getline(groups, line)) {
    // "0::/user.slice" (version 2) or "4:cpu,cpuacct:/docker/1234" (version 1)
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {
      add_chain(root + "/sys/fs/cgroup", path, true, directories);
    } else if (list_contains(controllers, controller)) {
      add_chain(root + "/sys/fs/cgroup/" + std::string(controller), path, false, directories);
      if (controllers != controller) add_chain(root + "/sys/fs/cgroup/" + controllers, path, false, directories);
    }
  }
  return directories;
}

}  // namespace headgate::control
