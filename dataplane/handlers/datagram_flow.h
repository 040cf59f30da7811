// datagram_flow.h -- one client of a datagram listener and its socket or connection on the upstream side.
//
//   kNew -> kOpen (a datagram target) | kConnecting -> kOpen (a stream target) -> kEnded
//
// Thread: worker.   Owner: DatagramFlows.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dataplane/handlers/forward_rule.h"
#include "dataplane/handlers/upstream_connect.h"
#include "dataplane/net/datagram_link.h"
#include "dataplane/net/datagram_socket.h"
#include "dataplane/net/message_stream.h"

namespace headgate::handlers {

class DatagramFlow;

class FlowOwner {
 public:
  // From the loop or from inside any call to the flow but open(). Destroy it by Loop::defer_delete.
  virtual void on_flow_ended(DatagramFlow& flow) = 0;

 protected:
  ~FlowOwner() = default;
};

struct FlowKey {
  net::DatagramAddress peer;
  net::DatagramLocal local;
  bool operator==(const FlowKey&) const = default;
};

class DatagramFlow final : public event::Disposable,
                           private net::DatagramLinkObserver,
                           private net::MessageObserver,
                           private UpstreamConnectObserver {
 public:
  DatagramFlow(WorkerContext& worker, net::DatagramSocket& socket, const FlowKey& key, const ForwardRule& rule,
               FlowOwner& owner);
  ~DatagramFlow() override;

  // `hops` as the first datagram came with. Errors: of the target; kInvalid: it is the listener itself, or so many relays
  // have had the datagram that they must be a ring.
  Result<void> open(std::shared_ptr<const upstream::Upstream> upstream, uint8_t hops);
  // Datagrams of this client, in order.
  void forward(std::span<net::Datagram> batch);
  // Withdraws everything, without a word to the owner.
  void close();

  [[nodiscard]] const FlowKey& key() const { return key_; }
  // Places in the limits, kept as long as the flow.
  ConnectionPermit listener_permit;
  ConnectionPermit rule_permit;

 private:
  enum class State : uint8_t { kNew, kConnecting, kOpen, kEnded };

  void on_link_datagram(std::span<char> payload) override;
  void on_link_failed(const Error& error) override;
  void on_message(std::string_view message) override;
  void on_message_lost() override;
  void on_messages_ended(bool reset) override;
  void on_upstream_connected(std::unique_ptr<net::ByteStream> stream) override;
  void on_upstream_failed(const Error& error) override;

  [[nodiscard]] bool is_own_listener(const SocketAddress& target) const;
  void keep(std::string_view payload);
  void send_kept();
  void reply(std::string_view payload);
  void forward_one(std::string_view payload);
  [[nodiscard]] Duration patience() const;
  void on_idle();
  void end();

  WorkerContext& worker_;
  net::DatagramSocket& socket_;
  FlowKey key_;
  const ForwardRule& rule_;
  FlowOwner& owner_;
  net::DatagramLink link_;
  EndpointUse use_;
  std::optional<UpstreamConnect> connect_;
  std::unique_ptr<net::MessageStream> messages_;
  std::vector<char> kept_;          // while connecting: payloads one after the other
  std::vector<uint32_t> kept_sizes_;
  event::Timer idle_;
  MonotonicTime last_activity_{};
  State state_ = State::kNew;
  bool answered_ = false;
  bool counted_ = false;
};

}  // namespace headgate::handlers
