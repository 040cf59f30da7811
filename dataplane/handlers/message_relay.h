// message_relay.h -- a stream connection whose messages go on as datagrams, and whose answers come back as messages.
//
// One connected datagram socket per connection; the endpoint is picked once. When the client has finished writing, what
// it asked may still be answered: the relay ends after the idle time-out, but at most five seconds after the last
// datagram. Nobody listening at the target ends the connection.
// Thread: worker.   Owner: StreamForward's run.
#pragma once

#include <memory>

#include "dataplane/handlers/forward_rule.h"
#include "dataplane/handlers/upstream_connect.h"
#include "dataplane/net/datagram_link.h"
#include "dataplane/net/message_stream.h"

namespace headgate::handlers {

class MessageRelayOwner {
 public:
  // Once, from the loop, never from inside start(). Destroy the relay by Loop::defer_delete.
  virtual void on_relay_ended() = 0;

 protected:
  ~MessageRelayOwner() = default;
};

class MessageRelay final : public event::Disposable, private net::MessageObserver, private net::DatagramLinkObserver {
 public:
  // `rule` outlives the relay.
  MessageRelay(WorkerContext& worker, const ForwardRule& rule, std::shared_ptr<const upstream::Upstream> upstream,
               MessageRelayOwner& owner);
  ~MessageRelay() override;

  void start(std::unique_ptr<net::ByteStream> stream);

 private:
  static constexpr Duration kAfterLastWord = std::chrono::seconds(5);

  void on_message(std::string_view message) override;
  void on_message_lost() override;
  void on_messages_ended(bool reset) override;
  void on_link_datagram(std::span<char> payload) override;
  void on_link_failed(const Error& error) override;

  bool open_link(const SocketAddress& client);
  void on_idle();
  void on_end();
  void end();

  WorkerContext& worker_;
  const ForwardRule& rule_;
  std::shared_ptr<const upstream::Upstream> upstream_;
  MessageRelayOwner& owner_;
  net::DatagramLink link_;
  std::unique_ptr<net::MessageStream> messages_;
  EndpointUse use_;
  event::Timer idle_;
  event::DeferredCall end_;
  MonotonicTime last_activity_{};
  Duration patience_;
  bool answered_ = false;
};

}  // namespace headgate::handlers
