// stream_forward.h -- TCP, TLS and Unix stream connections on to an Upstream: as bytes, or each message as a datagram.
//
//   kHello       waits for a ClientHello, when a rule in reach asks for names in it   -> kConnecting | kEnded
//   kConnecting  to an endpoint (stream targets)                                      -> kRelaying | kEnded
//   kRelaying    a StreamPump, or messages <-> datagrams                              -> kEnded
//
// The hello is looked at, never taken: what follows sees the whole connection. When none comes in time, or what comes is
// not TLS, the rules that do not ask for one are left, so that protocols in which the server speaks first work beside
// those that are routed by name.
// Thread: the handler is const and shared by all workers; a run belongs to its Session.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "dataplane/handlers/forward_rule.h"
#include "dataplane/net/stream_handler.h"

namespace headgate::handlers {

class StreamForward final : public net::StreamHandler, public std::enable_shared_from_this<StreamForward> {
 public:
  struct Options {
    std::string listener;  // for logs
    std::vector<ForwardRule> rules;
    Duration hello_timeout = std::chrono::seconds(5);
  };
  explicit StreamForward(Options options) : options_(std::move(options)) {}

  std::unique_ptr<net::StreamRun> start(std::unique_ptr<net::ByteStream> stream, net::StreamRunOwner& owner,
                                        WorkerContext& worker) const override;
  [[nodiscard]] const Options& options() const { return options_; }

 private:
  Options options_;
};

}  // namespace headgate::handlers
