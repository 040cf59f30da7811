// dns_server.h -- answers DNS over UDP, Unix datagrams, TCP and TLS from our zones; other names go to resolvers, or are
// refused.
// Spec: RFC 1035 4.2, RFC 7766 (TCP), RFC 7858 (TLS), and those of dns/answer.h.
// Thread: const and shared by all workers; what start() returns belongs to one of them.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "dataplane/dns/answer.h"
#include "dataplane/dns/zone.h"
#include "dataplane/handlers/dns_forward.h"
#include "dataplane/net/stream_handler.h"

namespace headgate::handlers {

class DnsServer final : public net::DatagramHandler,
                        public net::StreamHandler,
                        public std::enable_shared_from_this<DnsServer> {
 public:
  struct Options {
    std::string listener;  // for logs
    std::shared_ptr<const dns::ZoneSet> zones;
    std::shared_ptr<const DnsForwardSettings> forward;  // null: REFUSED
    // AnswerOptions::ttl_cap_s of this moment, for names whose source is out of reach; null: never.
    std::shared_ptr<const std::atomic<uint32_t>> ttl_cap_s;
    uint16_t udp_payload = dns::kUdpPayload;
    bool any_full = false;
    uint32_t responses_per_second = 100;  // per client network over all workers; 0: no limit
    uint32_t slip = 2;
    Duration idle = std::chrono::seconds(10);  // of connections
  };
  explicit DnsServer(Options options) : options_(std::move(options)) {}

  std::unique_ptr<net::DatagramRun> start(net::DatagramSocket& socket, WorkerContext& worker) const override;
  std::unique_ptr<net::StreamRun> start(std::unique_ptr<net::ByteStream> stream, net::StreamRunOwner& owner,
                                        WorkerContext& worker) const override;

  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] dns::AnswerOptions answer_options(bool is_udp) const;
  [[nodiscard]] uint32_t ttl_cap_s() const {
    return options_.ttl_cap_s == nullptr ? 0 : options_.ttl_cap_s->load(std::memory_order_relaxed);
  }

 private:
  Options options_;
};

}  // namespace headgate::handlers
