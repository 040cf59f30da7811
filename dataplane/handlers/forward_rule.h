// forward_rule.h -- where connections and flows of a listener go on to, and which rule takes which.
//
// Rules are tried in the order of the file; the first whose selectors all match is taken. A selector that is empty
// matches everything; server names and ALPN only match connections that begin with TLS.
// Thread: const, shared by all workers.   Owner: the handler.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/process_cell.h"
#include "dataplane/base/random.h"
#include "dataplane/net/framing.h"

namespace headgate::handlers {

struct ForwardTarget {
  uint32_t slot = 0;  // of the Upstream
  uint32_t weight = 1;
};

struct ForwardRule {
  std::string name;                // for logs
  std::vector<std::string> sni;    // normalized patterns
  std::vector<std::string> alpn;
  CidrSet source;
  std::vector<ForwardTarget> targets;
  uint64_t total_weight = 0;
  bool datagrams = false;  // the targets are datagram sockets
  net::Framing framing = net::Framing::kRead;
  Duration timeout = std::chrono::seconds(60);  // idle, both directions
  Duration connect_timeout = std::chrono::seconds(5);
  uint32_t max_connections = 0;  // over all workers; 0: no limit
  size_t buffer_bytes = size_t{256} * 1024;
  std::shared_ptr<ConnectionCounts> counts;  // process cell; never null

  [[nodiscard]] bool needs_hello() const { return !sni.empty() || !alpn.empty(); }
  [[nodiscard]] bool takes_source(const SocketAddress& remote) const {
    return source.empty() || (remote.is_ip() && source.contains(remote.address()));
  }
  // A slot by weight; nullopt: no target takes traffic.
  [[nodiscard]] std::optional<uint32_t> choose(Random& random) const;
};

// What a client said at the beginning of TLS.
struct HelloView {
  std::string_view server_name{};
  const std::vector<std::string>* protocols = nullptr;  // as offered; null: none
};
bool takes_hello(const ForwardRule& rule, const HelloView& hello);

}  // namespace headgate::handlers
