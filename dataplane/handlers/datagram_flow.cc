#include "dataplane/handlers/datagram_flow.h"

#include <algorithm>
#include <array>

#include "dataplane/base/counters.h"
#include "dataplane/base/log.h"
#include "dataplane/handlers/datagram_forward.h"
#include "dataplane/handlers/datagram_target.h"
#include "dataplane/upstream/outlier.h"

namespace headgate::handlers {
namespace {

constexpr size_t kRun = 64;        // datagrams handed to the link at once
constexpr size_t kMaxKept = 1024;  // while a connection is being opened, whatever their size

}  // namespace

DatagramFlow::DatagramFlow(WorkerContext& worker, net::DatagramSocket& socket, const FlowKey& key,
                           const ForwardRule& rule, FlowOwner& owner)
    : worker_(worker),
      socket_(socket),
      key_(key),
      rule_(rule),
      owner_(owner),
      link_(worker, *this),
      idle_(worker.loop.timers(), event::Timer::call<&DatagramFlow::on_idle>, this) {}

DatagramFlow::~DatagramFlow() { close(); }

Result<void> DatagramFlow::open(std::shared_ptr<const upstream::Upstream> upstream, uint8_t hops) {
  const SocketAddress client = key_.peer.address();
  last_activity_ = worker_.loop.now();
  if (upstream->settings().protocol == upstream::Protocol::kDatagram) {
    // Each relay takes one, as a router does: in a ring, where every datagram comes back as a new client's, none is left.
    if (hops == 1) return Error{.code = Errc::kInvalid, .detail = "no hop left"};
    HG_TRY(open_datagram_target(worker_, upstream, client, link_, use_, static_cast<uint8_t>(hops > 0 ? hops - 1 : 0)));
    if (is_own_listener(use_.endpoint().address())) {
      return Error{.code = Errc::kInvalid, .detail = "the target is the listener itself"};
    }
    state_ = State::kOpen;
  } else {
    SocketAddress asked = socket_.local_address();
    if (asked.is_ip() && !key_.local.address.is_any()) asked = SocketAddress::ip(key_.local.address, asked.port());
    state_ = State::kConnecting;
    connect_.emplace(worker_, std::move(upstream), UpstreamConnect::Client{.remote = client, .local = asked},
                     rule_.connect_timeout, static_cast<UpstreamConnectObserver&>(*this));
    connect_->start();
  }
  worker_.counters.add(Counter::kDatagramFlows);
  worker_.counters.add(Counter::kDatagramFlowsActive);
  counted_ = true;
  idle_.arm(patience());
  return {};
}

// A datagram to ourselves would come back as one of a new client, for ever.
bool DatagramFlow::is_own_listener(const SocketAddress& target) const {
  const SocketAddress& listener = socket_.local_address();
  if (target == listener) return true;
  if (!target.is_ip() || !listener.is_ip() || target.port() != listener.port()) return false;
  // Bound to every address: the target is ours when the kernel talks to it from that same address.
  return listener.address().is_any() && link_.local_address().address() == target.address();
}

Duration DatagramFlow::patience() const {
  if (answered_ || state_ == State::kConnecting || messages_ != nullptr) return rule_.timeout;
  return std::min(rule_.timeout, DatagramForward::kUnanswered);
}

void DatagramFlow::forward(std::span<net::Datagram> batch) {
  last_activity_ = worker_.loop.now();
  if (state_ != State::kOpen || messages_ != nullptr || batch.size() == 1) {
    for (const net::Datagram& datagram : batch) forward_one({datagram.payload.data(), datagram.payload.size()});
    return;
  }
  std::array<std::span<char>, kRun> run;
  for (size_t at = 0; at < batch.size();) {
    const size_t count = std::min(run.size(), batch.size() - at);
    size_t bytes = 0;
    for (size_t i = 0; i < count; ++i) {
      run[i] = batch[at + i].payload;
      bytes += run[i].size();
    }
    const size_t sent = link_.send_run({run.data(), count});
    worker_.counters.add(Counter::kDatagramsUp, sent);
    worker_.counters.add(Counter::kForwardBytesUp, bytes);
    if (sent < count) worker_.counters.add(Counter::kDatagramsDropped, count - sent);
    at += count;
  }
}

void DatagramFlow::forward_one(std::string_view payload) {
  bool sent = false;
  switch (state_) {
    case State::kConnecting: keep(payload); return;
    case State::kOpen: sent = messages_ != nullptr ? messages_->send(payload) : link_.send(payload); break;
    case State::kNew:
    case State::kEnded: break;
  }
  if (!sent) {
    worker_.counters.add(Counter::kDatagramsDropped);
    return;
  }
  worker_.counters.add(Counter::kDatagramsUp);
  worker_.counters.add(Counter::kForwardBytesUp, payload.size());
}

void DatagramFlow::keep(std::string_view payload) {
  if (kept_.size() + payload.size() > rule_.buffer_bytes || kept_sizes_.size() >= kMaxKept) {
    worker_.counters.add(Counter::kDatagramsDropped);
    return;
  }
  kept_.insert(kept_.end(), payload.begin(), payload.end());
  kept_sizes_.push_back(static_cast<uint32_t>(payload.size()));
}

void DatagramFlow::send_kept() {
  const std::vector<char> bytes = std::move(kept_);
  const std::vector<uint32_t> sizes = std::move(kept_sizes_);
  kept_ = {};
  kept_sizes_ = {};
  size_t at = 0;
  for (const uint32_t size : sizes) {
    forward_one(std::string_view(bytes.data(), bytes.size()).substr(at, size));
    at += size;
  }
}

void DatagramFlow::reply(std::string_view payload) {
  last_activity_ = worker_.loop.now();
  if (!answered_) {
    answered_ = true;
    if (use_.held()) upstream::record_success(use_.upstream(), use_.index(), worker_.loop.now());
  }
  // Drops are counted by the socket.
  if (!socket_.send(key_.peer, key_.local, payload)) return;
  worker_.counters.add(Counter::kDatagramsDown);
  worker_.counters.add(Counter::kForwardBytesDown, payload.size());
}

void DatagramFlow::on_link_datagram(std::span<char> payload) { reply({payload.data(), payload.size()}); }
void DatagramFlow::on_message(std::string_view message) { reply(message); }
void DatagramFlow::on_message_lost() { worker_.counters.add(Counter::kDatagramsDropped); }
void DatagramFlow::on_messages_ended(bool) { end(); }

void DatagramFlow::on_link_failed(const Error& error) {
  HG_LOG(kInfo, kForward, "datagram target refused", {"rule", rule_.name}, {"endpoint", use_.endpoint().text},
         {"error", to_string(error)});
  if (upstream::record_failure(use_.upstream(), use_.index(), worker_.loop.now())) {
    worker_.counters.add(Counter::kUpstreamEjections);
  }
  end();
}

void DatagramFlow::on_upstream_connected(std::unique_ptr<net::ByteStream> stream) {
  if (state_ != State::kConnecting) return;
  use_ = connect_->take_use();
  state_ = State::kOpen;
  messages_ = std::make_unique<net::MessageStream>(worker_, std::move(stream), rule_.framing, rule_.buffer_bytes,
                                                   static_cast<net::MessageObserver&>(*this));
  messages_->start();
  send_kept();
}

void DatagramFlow::on_upstream_failed(const Error& error) {
  if (state_ != State::kConnecting) return;
  worker_.counters.add(Counter::kDatagramsDropped, kept_sizes_.size());
  HG_LOG(kWarn, kForward, "flow not forwarded", {"rule", rule_.name}, {"client", key_.peer.address().to_string()},
         {"error", to_string(error)});
  end();
}

void DatagramFlow::on_idle() {
  const MonotonicTime due = last_activity_ + patience();
  if (due > worker_.loop.now()) {
    idle_.arm_at(due);
    return;
  }
  end();
}

void DatagramFlow::close() {
  if (state_ == State::kEnded) return;
  if (counted_) worker_.counters.subtract(Counter::kDatagramFlowsActive);
  counted_ = false;
  state_ = State::kEnded;
  idle_.cancel();
  link_.close();
  if (messages_ != nullptr) messages_->close();
  use_.release();
  listener_permit.release();
  rule_permit.release();
}

void DatagramFlow::end() {
  if (state_ == State::kEnded) return;
  close();
  owner_.on_flow_ended(*this);
}

}  // namespace headgate::handlers
