// The UDP half of dns_server.h.
#include <memory>

#include "dataplane/base/counters.h"
#include "dataplane/dns/rate.h"
#include "dataplane/handlers/dns_counts.h"
#include "dataplane/handlers/dns_server.h"
#include "dataplane/net/datagram_socket.h"

namespace headgate::handlers {
namespace {

std::span<uint8_t> as_writable(std::span<char> bytes) {
  return {reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()};
}

class DnsDatagrams final : public net::DatagramRun {
 public:
  DnsDatagrams(std::shared_ptr<const DnsServer> server, net::DatagramSocket& socket, WorkerContext& worker)
      : server_(std::move(server)),
        socket_(socket),
        worker_(worker),
        options_(server_->answer_options(true)),
        limiter_(limits(server_->options(), worker.worker_count)) {
    if (server_->options().forward != nullptr) forwarder_ = DnsForwarders::find(server_->options().forward, worker);
  }

  void on_datagrams(std::span<net::Datagram> batch) override {
    options_.ttl_cap_s = server_->ttl_cap_s();
    for (const net::Datagram& datagram : batch) answer(datagram);
  }
  void drain(MonotonicTime) override { socket_.stop_receiving(); }
  [[nodiscard]] bool empty() const override { return askers_.empty(); }

 private:
  // A question under way, and where its answer goes.
  class Asker final : public DnsAsker, public ListNode<DnsDatagrams> {
   public:
    Asker(DnsDatagrams& run, const net::Datagram& datagram, Bytes query_bytes)
        : DnsAsker(query_bytes, true), run_(run), peer_(datagram.peer), local_(datagram.local) {}
    void on_dns_reply(Bytes response) override { run_.on_reply(*this, response); }
    [[nodiscard]] const net::DatagramAddress& peer() const { return peer_; }
    [[nodiscard]] const net::DatagramLocal& local() const { return local_; }

   private:
    DnsDatagrams& run_;
    net::DatagramAddress peer_;
    net::DatagramLocal local_;
  };

  // The budget holds over all workers: each has its part, and at least one answer a second.
  static dns::RateLimiter::Options limits(const DnsServer::Options& options, uint32_t workers) {
    dns::RateLimiter::Options limits;
    const auto part = [workers](uint32_t all) { return all == 0 ? 0 : std::max(1U, all / workers); };
    limits.per_second = part(options.responses_per_second);
    limits.errors_per_second = options.responses_per_second == 0 ? 0 : part(limits.errors_per_second);
    limits.slip = options.slip;
    return limits;
  }

  [[nodiscard]] bool may_answer(const net::Datagram& datagram) const {
    if (datagram.peer.is_unix()) return true;
    const SocketAddress& bound = socket_.local_address();
    const SocketAddress asked = datagram.local.address.is_any()
                                    ? bound
                                    : SocketAddress::ip(datagram.local.address, bound.port());
    return dns::may_answer(SocketAddress::ip(datagram.peer.ip(), datagram.peer.port()), asked);
  }

  void answer(const net::Datagram& datagram) {
    worker_.counters.add(Counter::kDnsQueries);
    const Bytes query = as_bytes({datagram.payload.data(), datagram.payload.size()});
    const dns::QueryView view = dns::parse_query(query);
    if (view.verdict == dns::QueryView::Verdict::kDrop || !datagram.peer.can_be_answered() || !may_answer(datagram)) {
      worker_.counters.add(Counter::kDnsDropped);
      return;
    }
    const std::span<uint8_t> out = as_writable(socket_.reserve(options_.udp_payload));
    if (out.empty()) {
      worker_.counters.add(Counter::kDnsDropped);
      return;
    }
    dns::AnswerReport report;
    size_t size = dns::answer(*server_->options().zones, query, view, out, options_, &report);
    if (forwarder_ != nullptr && is_for_resolvers(report, view)) {
      size = forwarder_->find(query, view, out, true);
      if (size == 0 && (view.flags & dns::kFlagRecursionDesired) != 0) {
        ask(datagram, query, view);
        return;
      }
      if (size == 0) size = dns::write_error(query, view, dns::kRcodeRefused, out, options_);
      report.outcome = size > 0 ? dns::Outcome::kAnswer : dns::Outcome::kDrop;
    }
    send(datagram.peer, datagram.local, query, view, report.outcome, size, out);
  }

  // What is at `out` (the socket's own memory), when the client's rate allows.
  void send(const net::DatagramAddress& peer, const net::DatagramLocal& local, Bytes query, const dns::QueryView& view,
            dns::Outcome outcome, size_t size, std::span<uint8_t> out) {
    dns::RateVerdict verdict = dns::RateVerdict::kDrop;
    if (size > 0) verdict = limiter_.check(peer.ip(), outcome, worker_.loop.now());
    if (verdict == dns::RateVerdict::kSlip) size = dns::write_truncated(query, view, out, options_);
    if (verdict == dns::RateVerdict::kDrop || size == 0) {
      worker_.counters.add(Counter::kDnsDropped);
      return;
    }
    count_dns_response(worker_.counters, Bytes(out).first(size));
    socket_.commit(peer, local, size);
  }

  void ask(const net::Datagram& datagram, Bytes query, const dns::QueryView& view) {
    auto asker = std::make_unique<Asker>(*this, datagram, query);
    askers_.push_back(*asker);
    if (forwarder_->ask(view, *asker)) {
      (void)asker.release();  // the list's, until on_reply()
      return;
    }
    const std::span<uint8_t> out = as_writable(socket_.reserve(options_.udp_payload));
    if (out.empty()) return;
    const size_t size = dns::write_error(query, view, dns::kRcodeServFail, out, options_);
    send(datagram.peer, datagram.local, query, view, dns::Outcome::kFormErr, size, out);
  }

  void on_reply(Asker& asker, Bytes response) {
    const std::unique_ptr<Asker> done(&asker);
    const std::span<uint8_t> out = as_writable(socket_.reserve(std::max<size_t>(response.size(), dns::kMinUdpPayload)));
    if (out.empty() || response.empty()) return;
    std::copy(response.begin(), response.end(), out.begin());
    const dns::QueryView view = dns::parse_query(done->query);
    send(done->peer(), done->local(), done->query, view, dns::Outcome::kAnswer, response.size(), out);
  }

 public:
  ~DnsDatagrams() override {
    while (Asker* asker = askers_.pop_front()) const std::unique_ptr<Asker> withdrawn(asker);
  }

 private:
  std::shared_ptr<const DnsServer> server_;
  net::DatagramSocket& socket_;
  WorkerContext& worker_;
  dns::AnswerOptions options_;
  dns::RateLimiter limiter_;
  std::shared_ptr<DnsForwarder> forwarder_;
  IntrusiveList<Asker, DnsDatagrams> askers_;
};

}  // namespace

std::unique_ptr<net::DatagramRun> DnsServer::start(net::DatagramSocket& socket, WorkerContext& worker) const {
  return std::make_unique<DnsDatagrams>(shared_from_this(), socket, worker);
}

dns::AnswerOptions DnsServer::answer_options(bool is_udp) const {
  return {.is_udp = is_udp,
          .udp_payload = options_.udp_payload,
          .any_full = options_.any_full,
          .recursion_available = options_.forward != nullptr};
}

}  // namespace headgate::handlers
