// default_workers(): how many CPUs the process may use.
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/control/options.h"

namespace headgate::control {
namespace {

std::optional<std::string> read_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  return line;
}

std::optional<double> ratio(std::string_view quota, std::string_view period) {
  const auto quota_us = parse_decimal<uint64_t>(quota);  // "max" and "-1" are no number: no limit
  const auto period_us = parse_decimal<uint64_t>(period);
  if (!quota_us || !period_us || *quota_us == 0 || *period_us == 0) return std::nullopt;
  return static_cast<double>(*quota_us) / static_cast<double>(*period_us);
}

std::optional<double> limit_v2(const std::string& directory) {
  const auto line = read_line(directory + "/cpu.max");
  if (!line) return std::nullopt;
  const size_t space = line->find(' ');
  if (space == std::string::npos) return std::nullopt;
  return ratio(std::string_view(*line).substr(0, space), std::string_view(*line).substr(space + 1));
}

std::optional<double> limit_v1(const std::string& directory) {
  const auto quota = read_line(directory + "/cpu.cfs_quota_us");
  const auto period = read_line(directory + "/cpu.cfs_period_us");
  return quota && period ? ratio(*quota, *period) : std::nullopt;
}

void tighten(std::optional<double>& limit, std::optional<double> by) {
  if (by && (!limit || *by < *limit)) limit = by;
}

// Every group from `path` up to the mount point may have a quota. In a container the path of the host may be missing
// below the mount point, where the own group is then found.
template <typename Read>
void walk_up(std::optional<double>& limit, const std::string& mount, std::string path, Read&& read) {
  if (path.find("..") != std::string::npos) path.clear();
  for (;;) {
    tighten(limit, read(mount + path));
    if (path.empty() || path == "/") return;
    path.resize(path.rfind('/'));
  }
}

}  // namespace

std::optional<double> cgroup_cpu_limit(const std::string& root) {
  std::optional<double> limit;
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
      walk_up(limit, root + "/sys/fs/cgroup", path, limit_v2);
    } else if (list_contains(controllers, "cpu")) {
      walk_up(limit, root + "/sys/fs/cgroup/cpu", path, limit_v1);
      walk_up(limit, root + "/sys/fs/cgroup/" + controllers, path, limit_v1);
    }
  }
  return limit;
}

uint32_t default_workers() {
  uint32_t cpus = 0;
#ifdef __linux__
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) == 0) cpus = static_cast<uint32_t>(CPU_COUNT(&set));
#endif
  if (cpus == 0) cpus = static_cast<uint32_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  if (const auto limit = cgroup_cpu_limit("")) {
    // Rounded up: half a CPU more is better used in bursts than left.
    cpus = std::min(cpus, static_cast<uint32_t>(std::max(1.0, std::ceil(*limit))));
  }
  return std::clamp(cpus, 1U, 1024U);
}

}  // namespace headgate::control
