// datagram_forward.h -- UDP and Unix datagrams on to an Upstream, in flows: one per client address (and address asked).
//
// A flow has a socket of its own, connected to one endpoint, so that answers come from the chosen target only and find
// their client; or, towards stream targets, one connection whose messages are the datagrams. A flow without an answer
// ends five seconds after its last datagram, another one after the rule's timeout, and any when its target refuses.
// Flows are limited over all workers: in all, per client address, and per rule. Nobody can be asked to wait: what does
// not fit is dropped and counted.
// Refused: senders that cannot be answered (port 0, multicast), targets that are this listener itself, and datagrams
// without a hop left: what a flow sends has one hop less than what came, so relays that forward to each other end.
// Thread: the handler is const and shared by all workers; a run belongs to one listener on one worker.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/handlers/forward_rule.h"
#include "dataplane/net/stream_handler.h"

namespace headgate::handlers {

class DatagramForward final : public net::DatagramHandler, public std::enable_shared_from_this<DatagramForward> {
 public:
  static constexpr Duration kUnanswered = std::chrono::seconds(5);

  struct Options {
    std::string listener;  // for logs
    std::vector<ForwardRule> rules;
    uint32_t flows = 65536;                         // over all workers
    uint32_t flows_per_client = 256;                // over all workers
    std::shared_ptr<ConnectionCounts> flow_counts;  // process cell; never null
  };
  explicit DatagramForward(Options options) : options_(std::move(options)) {}

  std::unique_ptr<net::DatagramRun> start(net::DatagramSocket& socket, WorkerContext& worker) const override;
  [[nodiscard]] const Options& options() const { return options_; }

 private:
  Options options_;
};

}  // namespace headgate::handlers
