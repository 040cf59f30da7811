#include "dataplane/handlers/stream_forward.h"

#include "dataplane/base/counters.h"
#include "dataplane/base/log.h"
#include "dataplane/handlers/message_relay.h"
#include "dataplane/handlers/upstream_connect.h"
#include "dataplane/net/socket.h"
#include "dataplane/net/stream_pump.h"
#include "dataplane/tls/client_hello.h"
#include "dataplane/upstream/pool_set.h"

namespace headgate::handlers {
namespace {

// The address that the client asked. A listener on every address does not say which one it was.
SocketAddress asked_address(const net::ByteStream& stream) {
  const SocketAddress& known = stream.facts().local;
  const bool wildcard = known.is_ip() && known.address().is_any();
  if (!wildcard || stream.kernel_fd() < 0) return known;
  auto local = net::local_address(stream.kernel_fd());
  return local ? *local : known;
}

class StreamForwardRun final : public net::StreamRun,
                               private net::StreamObserver,
                               private UpstreamConnectObserver,
                               private net::PumpObserver,
                               private MessageRelayOwner {
 public:
  StreamForwardRun(std::shared_ptr<const StreamForward> handler, std::unique_ptr<net::ByteStream> stream,
                   net::StreamRunOwner& owner, WorkerContext& worker)
      : handler_(std::move(handler)),
        owner_(owner),
        worker_(worker),
        stream_(std::move(stream)),
        deadline_(worker.loop.timers(), event::Timer::call<&StreamForwardRun::on_deadline>, this),
        later_(worker.loop, event::Timer::call<&StreamForwardRun::on_later>, this) {}

  ~StreamForwardRun() override {
    if (counted_) worker_.counters.subtract(Counter::kForwardActive);
  }

  void start() { later_.schedule(); }

  void drain(MonotonicTime deadline) override {
    if (pump_ != nullptr) {
      pump_->end_at(deadline);
    } else {
      deadline_.arm_at(deadline);  // a relay of messages, or not connected yet: closed then
      draining_ = true;
    }
  }

 private:
  enum class State : uint8_t { kHello, kConnecting, kRelaying, kEnded };

  void on_later() {
    if (state_ == State::kEnded) {
      owner_.on_run_ended();
      return;
    }
    choose();
  }

  // Goes through the rules as far as is known now.
  void choose() {
    const SocketAddress& remote = stream_->facts().remote;
    const TlsFacts* tls = stream_->facts().tls;
    for (const ForwardRule& rule : handler_->options().rules) {
      if (!rule.takes_source(remote)) continue;
      if (!rule.needs_hello()) {
        take(rule);
        return;
      }
      if (tls != nullptr) {
        const std::vector<std::string> negotiated = {tls->alpn};
        if (takes_hello(rule, {.server_name = tls->server_name, .protocols = &negotiated})) {
          take(rule);
          return;
        }
        continue;
      }
      if (hello_state_ == tls::ClientHelloState::kNeedMore && !hello_given_up_) {
        wait_for_hello();
        return;
      }
      const tls::ClientHello& hello = parser_.hello();
      if (hello_state_ == tls::ClientHelloState::kParsed &&
          takes_hello(rule, {.server_name = hello.server_name, .protocols = &hello.protocols})) {
        take(rule);
        return;
      }
    }
    HG_LOG(kInfo, kForward, "no forward rule takes the connection", {"listener", handler_->options().listener},
           {"client", remote.to_string()}, {"sni", parser_.hello().server_name});
    end();
  }

  void wait_for_hello() {
    if (waiting_) return;
    waiting_ = true;
    if (!draining_) deadline_.arm(handler_->options().hello_timeout);
    stream_->watch(net::Interest::kRead, *this);
  }

  void on_stream_ready(bool, bool) override {
    if (state_ != State::kHello || !waiting_) return;
    BlockRef block(Block::allocate(tls::ClientHelloParser::kMaxBytes));
    const auto seen = stream_->peek({block->data(), block->capacity()});
    if (!seen || stream_->hung_up()) {
      end();
      return;
    }
    if (seen->state == net::IoState::kWouldBlock) return;
    if (seen->state == net::IoState::kEof) {
      stop_waiting();
      return;
    }
    hello_state_ = parser_.advance(as_bytes({block->data(), seen->bytes}));
    if (hello_state_ == tls::ClientHelloState::kMalformed) {
      HG_LOG(kInfo, kForward, "malformed ClientHello", {"listener", handler_->options().listener},
             {"client", stream_->facts().remote.to_string()});
      end();
      return;
    }
    if (hello_state_ != tls::ClientHelloState::kNeedMore) stop_waiting();
  }

  void stop_waiting() {
    if (hello_state_ == tls::ClientHelloState::kNeedMore) hello_given_up_ = true;
    waiting_ = false;
    if (!draining_) deadline_.cancel();
    stream_->unwatch();
    choose();
  }

  void on_deadline() {
    if (state_ == State::kHello && waiting_ && !draining_) {
      stop_waiting();
      return;
    }
    end();
  }

  void take(const ForwardRule& rule) {
    rule_ = &rule;
    const SocketAddress& remote = stream_->facts().remote;
    if (rule.counts->acquire(remote.address(), {.total = rule.max_connections}, permit_) != Admission::kAdmitted) {
      worker_.counters.add(Counter::kForwardRefused);
      HG_LOG(kInfo, kForward, "connection refused", {"rule", rule.name}, {"client", remote.to_string()},
             {"limit", "max_connections"});
      end();
      return;
    }
    worker_.counters.add(Counter::kForwardConnections);
    worker_.counters.add(Counter::kForwardActive);
    counted_ = true;
    const auto slot = rule.choose(worker_.random);
    std::shared_ptr<const upstream::Upstream> upstream;
    if (slot) upstream = worker_.pools->share(*slot);
    if (upstream == nullptr) {
      worker_.counters.add(Counter::kUpstreamNoEndpoint);
      end();
      return;
    }
    if (upstream->settings().protocol == upstream::Protocol::kDatagram) {
      relay_messages(std::move(upstream));
      return;
    }
    state_ = State::kConnecting;
    connect_.emplace(worker_, std::move(upstream),
                     UpstreamConnect::Client{.remote = remote, .local = asked_address(*stream_)}, rule.connect_timeout,
                     static_cast<UpstreamConnectObserver&>(*this));
    connect_->start();
  }

  void on_upstream_connected(std::unique_ptr<net::ByteStream> upstream) override {
    if (state_ == State::kEnded) return;
    use_ = connect_->take_use();
    state_ = State::kRelaying;
    pump_ = std::make_unique<net::StreamPump>(
        worker_, std::move(stream_), std::move(upstream),
        net::PumpOptions{.buffer_bytes = rule_->buffer_bytes, .idle_timeout = rule_->timeout},
        static_cast<net::PumpObserver&>(*this));
    if (draining_) pump_->end_at(deadline_.deadline());
    deadline_.cancel();
    pump_->start();
  }

  void on_upstream_failed(const Error& error) override {
    if (state_ == State::kEnded) return;
    HG_LOG(kWarn, kForward, "connection not forwarded", {"rule", rule_->name},
           {"client", stream_->facts().remote.to_string()}, {"error", to_string(error)});
    stream_->reset_on_close();  // "connection refused", as near as an accepted connection can say it
    end();
  }

  void relay_messages(std::shared_ptr<const upstream::Upstream> upstream) {
    state_ = State::kRelaying;
    relay_ = std::make_unique<MessageRelay>(worker_, *rule_, std::move(upstream), static_cast<MessageRelayOwner&>(*this));
    relay_->start(std::move(stream_));
  }
  void on_relay_ended() override { end(); }

  void on_pump_ended(net::PumpEnd how) override {
    if (how == net::PumpEnd::kIdle) {
      HG_LOG(kDebug, kForward, "idle connection closed", {"rule", rule_->name});
    }
    end();
  }

  // Everything that may be on the stack lives until the end of the turn; the owner learns of it from the loop.
  void end() {
    if (state_ == State::kEnded) return;
    state_ = State::kEnded;
    deadline_.cancel();
    permit_.release();
    use_.release();
    event::Loop& loop = worker_.loop;
    if (stream_ != nullptr) {
      stream_->unwatch();
      stream_->say_goodbye();
      loop.defer_delete(std::move(stream_));
    }
    loop.defer_delete(std::move(pump_));
    loop.defer_delete(std::move(relay_));
    later_.schedule();
  }

  std::shared_ptr<const StreamForward> handler_;  // a reload does not end what it began
  net::StreamRunOwner& owner_;
  WorkerContext& worker_;
  std::unique_ptr<net::ByteStream> stream_;  // until a relay takes it
  event::Timer deadline_;
  event::DeferredCall later_;
  tls::ClientHelloParser parser_;
  tls::ClientHelloState hello_state_ = tls::ClientHelloState::kNeedMore;
  const ForwardRule* rule_ = nullptr;
  ConnectionPermit permit_;
  EndpointUse use_;
  std::optional<UpstreamConnect> connect_;
  std::unique_ptr<net::StreamPump> pump_;
  std::unique_ptr<MessageRelay> relay_;
  State state_ = State::kHello;
  bool waiting_ = false;
  bool hello_given_up_ = false;
  bool counted_ = false;
  bool draining_ = false;
};

}  // namespace

std::unique_ptr<net::StreamRun> StreamForward::start(std::unique_ptr<net::ByteStream> stream, net::StreamRunOwner& owner,
                                                     WorkerContext& worker) const {
  auto run = std::make_unique<StreamForwardRun>(shared_from_this(), std::move(stream), owner, worker);
  run->start();
  return run;
}

}  // namespace headgate::handlers
