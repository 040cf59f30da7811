// default_workers(): how many CPUs the process may use.
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>

#include "dataplane/base/number.h"
#include "dataplane/control/cgroup.h"
#include "dataplane/control/options.h"

namespace headgate::control {
namespace {

std::optional<double> ratio(std::string_view quota, std::string_view period) {
  const auto quota_us = parse_decimal<uint64_t>(quota);  // "max" and "-1" are no number: no limit
  const auto period_us = parse_decimal<uint64_t>(period);
  if (!quota_us || !period_us || *quota_us == 0 || *period_us == 0) return std::nullopt;
  return static_cast<double>(*quota_us) / static_cast<double>(*period_us);
}

std::optional<double> limit_v2(const std::string& directory) {
  const auto line = read_first_line(directory + "/cpu.max");
  if (!line) return std::nullopt;
  const size_t space = line->find(' ');
  if (space == std::string::npos) return std::nullopt;
  return ratio(std::string_view(*line).substr(0, space), std::string_view(*line).substr(space + 1));
}

std::optional<double> limit_v1(const std::string& directory) {
  const auto quota = read_first_line(directory + "/cpu.cfs_quota_us");
  const auto period = read_first_line(directory + "/cpu.cfs_period_us");
  return quota && period ? ratio(*quota, *period) : std::nullopt;
}

void tighten(std::optional<double>& limit, std::optional<double> by) {
  if (by && (!limit || *by < *limit)) limit = by;
}

}  // namespace

std::optional<double> cgroup_cpu_limit(const std::string& root) {
  std::optional<double> limit;
  for (const CgroupDirectory& directory : cgroup_directories(root, "cpu")) {
    tighten(limit, directory.unified ? limit_v2(directory.path) : limit_v1(directory.path));
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
