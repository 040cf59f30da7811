// snapshot.h -- everything built from one accepted configuration; no protobuf, no pointers to anything mutable.
//
// Anything reachable from a Snapshot is const. Parts that did not change are shared with the Snapshot before it.
// Thread: built on control, read by all workers.   Owner: shared_ptr; workers pin it by SnapshotRef.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/process_cell.h"
#include "dataplane/http/exchange_sink.h"
#include "dataplane/http/forwarded.h"
#include "dataplane/net/socket.h"
#include "dataplane/net/stream_handler.h"
#include "dataplane/observe/access_log.h"
#include "dataplane/routing/router.h"
#include "dataplane/tls/context.h"
#include "dataplane/upstream/upstream.h"

namespace headgate::snapshot {

// TLS ended by a listener. Workers make one SSL_CTX each from `settings`; a change of `names` alone is swapped in.
struct ListenerTls {
  tls::ServerSettings settings;
  std::string fingerprint;  // equal texts: equal settings
  std::shared_ptr<const tls::ServerNames> names;
};

struct Listener {
  enum class Kind : uint8_t { kHttp, kStream, kDatagram };

  std::string name;
  SocketAddress address;
  net::BindOptions bind;
  Kind kind = Kind::kHttp;
  std::shared_ptr<const ListenerTls> tls;  // null: plain

  // -- limits of connections
  ConnectionLimits connections;
  std::shared_ptr<ConnectionCounts> connection_counts;  // process cell; never null
  Duration tls_handshake_timeout = std::chrono::seconds(10);
  Duration proxy_header_timeout = std::chrono::seconds(5);
  Duration max_connection_age{0};  // zero: none
  Duration drain = std::chrono::seconds(30);
  bool proxy_protocol = false;
  bool proxy_protocol_optional = false;
  CidrSet proxy_protocol_trusted;
  bool exact_local = false;  // bound to every address, and a PROXY header will name the one that was asked

  // -- kHttp
  http::HttpLimits http;
  bool h2c = true;
  std::shared_ptr<const routing::RouteTable> routes;
  std::shared_ptr<const observe::AccessLog> access_log;  // null: off
  CidrSet trusted_proxies;
  bool server_header = false;

  // -- kStream, kDatagram
  std::shared_ptr<const net::StreamHandler> stream_handler;
  std::shared_ptr<const net::DatagramHandler> datagram_handler;

  // The same socket serves both?
  [[nodiscard]] bool same_socket(const Listener& other) const {
    return address == other.address && bind.transport == other.bind.transport && bind.reuse_port == other.bind.reuse_port;
  }
};

struct Snapshot {
  uint64_t version = 0;  // grows with every Snapshot of this process
  std::vector<std::shared_ptr<const Listener>> listeners;
  upstream::UpstreamSlots upstreams;
  size_t file_cache_bytes = 64 * 1024 * 1024;  // over all workers
  uint32_t open_files = 512;                   // over all workers
};

}  // namespace headgate::snapshot
