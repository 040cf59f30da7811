// resolver_files.h -- /etc/hosts and /etc/resolv.conf: what they say, and whether they have changed.
// Spec: hosts(5), resolv.conf(5).   Thread: that of the Resolver.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"

namespace headgate::upstream {

// Names lower case without the final dot; IPv4 and IPv6 addresses in the order of the file.
using HostsTable = std::unordered_map<std::string, std::vector<IpAddress>, TextHash, TextEqual>;
// Lines that make no sense are skipped, as every reader of the file does.
HostsTable parse_hosts(std::string_view text);

struct ResolvConf {
  static constexpr size_t kMaxServers = 8;
  static constexpr size_t kMaxSearch = 16;
  std::vector<SocketAddress> servers{};  // empty in the file: 127.0.0.1:53
  std::vector<std::string> search{};     // lower case without the final dot
  uint32_t ndots = 1;                    // a name with fewer dots is first tried with the search list
  Duration timeout = std::chrono::seconds(2);  // per try
  uint32_t attempts = 2;                       // rounds over all servers
};
ResolvConf parse_resolv_conf(std::string_view text);

// A file that is read again when its size, time or inode has changed; looked at once a second at most.
class WatchedFile {
 public:
  static constexpr size_t kMaxBytes = 8U << 20;

  explicit WatchedFile(std::string path) : path_(std::move(path)) {}
  // True: `text` is the new content (empty when the file is gone).
  bool read_if_changed(MonotonicTime now, std::string& text);

 private:
  std::string path_;
  MonotonicTime next_look_ = MonotonicTime::min();
  bool known_ = false;
  bool exists_ = false;
  struct stat seen_ {};
};

}  // namespace headgate::upstream
