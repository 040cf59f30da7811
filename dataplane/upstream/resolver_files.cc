#include "dataplane/upstream/resolver_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

#include "dataplane/base/host_name.h"
#include "dataplane/base/number.h"
#include "dataplane/base/unique_fd.h"

namespace headgate::upstream {
namespace {

std::string_view next_line(std::string_view& rest) {
  const size_t end = rest.find('\n');
  const std::string_view line = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return line;
}

std::string_view next_word(std::string_view& rest) {
  constexpr std::string_view kBlank = " \t\r\f\v";
  const size_t start = rest.find_first_not_of(kBlank);
  if (start == std::string_view::npos) {
    rest = {};
    return {};
  }
  rest.remove_prefix(start);
  const size_t end = std::min(rest.find_first_of(kBlank), rest.size());
  const std::string_view word = rest.substr(0, end);
  rest.remove_prefix(end);
  return word;
}

void read_option(std::string_view word, ResolvConf& conf) {
  const size_t colon = word.find(':');
  if (colon == std::string_view::npos) return;
  const auto value = parse_decimal<uint32_t>(word.substr(colon + 1));
  if (!value.has_value()) return;
  const std::string_view name = word.substr(0, colon);
  if (name == "ndots") conf.ndots = std::min(*value, 15U);
  if (name == "timeout" && *value > 0) conf.timeout = std::chrono::seconds(std::min(*value, 30U));
  if (name == "attempts" && *value > 0) conf.attempts = std::min(*value, 5U);
}

}  // namespace

HostsTable parse_hosts(std::string_view text) {
  HostsTable table;
  while (!text.empty()) {
    std::string_view line = next_line(text);
    line = line.substr(0, line.find('#'));
    const auto address = IpAddress::parse(next_word(line));
    if (!address) continue;
    for (std::string_view name = next_word(line); !name.empty(); name = next_word(line)) {
      if (!is_valid_host_name(name)) continue;
      auto& addresses = table[normalize_host(name)];
      if (std::find(addresses.begin(), addresses.end(), *address) == addresses.end()) addresses.push_back(*address);
    }
  }
  return table;
}

ResolvConf parse_resolv_conf(std::string_view text) {
  ResolvConf conf;
  while (!text.empty()) {
    std::string_view line = next_line(text);
    line = line.substr(0, line.find_first_of("#;"));
    const std::string_view key = next_word(line);
    if (key == "nameserver") {
      // A link-local server with a zone ("fe80::1%eth0") is not supported: parse() refuses it.
      const auto address = IpAddress::parse(next_word(line));
      if (address && conf.servers.size() < ResolvConf::kMaxServers) {
        conf.servers.push_back(SocketAddress::ip(*address, 53));
      }
    } else if (key == "search" || key == "domain") {
      conf.search.clear();  // the last one counts
      for (std::string_view name = next_word(line); !name.empty(); name = next_word(line)) {
        if (is_valid_host_name(name) && conf.search.size() < ResolvConf::kMaxSearch) {
          conf.search.push_back(normalize_host(name));
        }
      }
    } else if (key == "options") {
      for (std::string_view word = next_word(line); !word.empty(); word = next_word(line)) read_option(word, conf);
    }
  }
  if (conf.servers.empty()) conf.servers.push_back(SocketAddress::ip(IpAddress::v4(0x7f000001), 53));
  return conf;
}

bool WatchedFile::read_if_changed(MonotonicTime now, std::string& text) {
  if (now < next_look_) return false;
  next_look_ = now + std::chrono::seconds(1);
  struct stat found {};
  if (::stat(path_.c_str(), &found) != 0) {
    const bool changed = !known_ || exists_;
    known_ = true;
    exists_ = false;
    text.clear();
    return changed;
  }
  if (known_ && exists_ && found.st_size == seen_.st_size && found.st_ino == seen_.st_ino &&
      found.st_mtim.tv_sec == seen_.st_mtim.tv_sec && found.st_mtim.tv_nsec == seen_.st_mtim.tv_nsec) {
    return false;
  }
  known_ = exists_ = true;
  seen_ = found;
  text.clear();
  const UniqueFd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  char bytes[8192];
  while (fd.valid() && text.size() < kMaxBytes) {
    const ssize_t got = ::read(fd.get(), bytes, sizeof(bytes));
    if (got <= 0) break;
    text.append(bytes, static_cast<size_t>(got));
  }
  return true;
}

}  // namespace headgate::upstream
