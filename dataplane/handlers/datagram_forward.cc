#include "dataplane/handlers/datagram_forward.h"

#include <unordered_map>

#include "dataplane/base/counters.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/log.h"
#include "dataplane/handlers/datagram_flow.h"
#include "dataplane/upstream/pool_set.h"

namespace headgate::handlers {
namespace {

struct FlowKeyHash {
  size_t operator()(const FlowKey& key) const {
    const auto& local = key.local.address.bytes();
    uint64_t hash = keyed_hash(key.peer.bytes());
    if (!key.local.address.is_any()) {
      hash ^= keyed_hash({reinterpret_cast<const char*>(local.data()), local.size()}) * 0x9e3779b97f4a7c15U;
    }
    return hash;
  }
};

// The flows of one listener on one worker.
class DatagramFlows final : public net::DatagramRun, private FlowOwner {
 public:
  DatagramFlows(std::shared_ptr<const DatagramForward> handler, net::DatagramSocket& socket, WorkerContext& worker)
      : handler_(std::move(handler)),
        socket_(socket),
        worker_(worker),
        deadline_(worker.loop.timers(), event::Timer::call<&DatagramFlows::on_deadline>, this) {
    socket_.enable_receive_offload();
    socket_.report_hops();
  }

  void on_datagrams(std::span<net::Datagram> batch) override {
    for (size_t at = 0; at < batch.size();) {
      const FlowKey key{.peer = batch[at].peer, .local = batch[at].local};
      size_t count = 1;
      while (at + count < batch.size() && batch[at + count].peer == key.peer && batch[at + count].local == key.local) {
        ++count;
      }
      if (DatagramFlow* flow = find_or_open(key, batch[at].hops)) {
        flow->forward(batch.subspan(at, count));
      } else {
        worker_.counters.add(Counter::kDatagramsDropped, count);
      }
      at += count;
    }
  }

  void drain(MonotonicTime deadline) override {
    socket_.stop_receiving();
    deadline_.arm_at(deadline);
  }
  [[nodiscard]] bool empty() const override { return flows_.empty(); }

 private:
  DatagramFlow* find_or_open(const FlowKey& key, uint8_t hops) {
    const auto known = flows_.find(key);
    if (known != flows_.end()) return known->second.get();
    if (!can_be_client(key.peer)) return nullptr;
    const ForwardRule* rule = choose(key.peer);
    if (rule == nullptr) return nullptr;
    const auto slot = rule->choose(worker_.random);
    std::shared_ptr<const upstream::Upstream> upstream;
    if (slot) upstream = worker_.pools->share(*slot);
    if (upstream == nullptr) {
      worker_.counters.add(Counter::kUpstreamNoEndpoint);
      return nullptr;
    }
    auto flow = std::make_unique<DatagramFlow>(worker_, socket_, key, *rule, static_cast<FlowOwner&>(*this));
    if (!admit(*flow, *rule)) {
      worker_.counters.add(Counter::kDatagramFlowsRefused);
      return nullptr;
    }
    if (const auto opened = flow->open(std::move(upstream), hops); !opened) {
      HG_LOG(kWarn, kForward, "flow not forwarded", {"rule", rule->name}, {"client", key.peer.address().to_string()},
             {"error", to_string(opened.error())});
      return nullptr;
    }
    return flows_.emplace(key, std::move(flow)).first->second.get();
  }

  static bool can_be_client(const net::DatagramAddress& peer) {
    // A Unix sender without a name is heard, and not answered.
    if (peer.is_unix() || !peer.can_be_answered()) return true;
    const IpAddress address = peer.ip();
    const bool multicast = address.is_v4() ? address.bytes()[12] >= 224 : address.bytes()[0] == 0xff;
    return peer.port() != 0 && !multicast && !address.is_any();
  }

  const ForwardRule* choose(const net::DatagramAddress& peer) const {
    for (const ForwardRule& rule : handler_->options().rules) {
      if (rule.source.empty()) return &rule;
      if (!peer.is_unix() && rule.source.contains(peer.ip())) return &rule;
    }
    return nullptr;
  }

  bool admit(DatagramFlow& flow, const ForwardRule& rule) const {
    const DatagramForward::Options& options = handler_->options();
    const IpAddress client = flow.key().peer.ip();
    const uint32_t per_client = client.is_any() ? 0 : options.flows_per_client;
    return options.flow_counts->acquire(client, {.total = options.flows, .per_address = per_client},
                                        flow.listener_permit) == Admission::kAdmitted &&
           rule.counts->acquire(client, {.total = rule.max_connections}, flow.rule_permit) == Admission::kAdmitted;
  }

  void on_flow_ended(DatagramFlow& flow) override {
    const auto at = flows_.find(flow.key());
    if (at == flows_.end()) return;
    worker_.loop.defer_delete(std::move(at->second));
    flows_.erase(at);
  }

  void on_deadline() {
    while (!flows_.empty()) {
      flows_.begin()->second->close();
      worker_.loop.defer_delete(std::move(flows_.begin()->second));
      flows_.erase(flows_.begin());
    }
  }

  std::shared_ptr<const DatagramForward> handler_;
  net::DatagramSocket& socket_;
  WorkerContext& worker_;
  event::Timer deadline_;
  std::unordered_map<FlowKey, std::unique_ptr<DatagramFlow>, FlowKeyHash> flows_;
};

}  // namespace

std::unique_ptr<net::DatagramRun> DatagramForward::start(net::DatagramSocket& socket, WorkerContext& worker) const {
  return std::make_unique<DatagramFlows>(shared_from_this(), socket, worker);
}

}  // namespace headgate::handlers
