#include "dataplane/handlers/message_relay.h"

#include <algorithm>

#include "dataplane/base/counters.h"
#include "dataplane/base/log.h"
#include "dataplane/handlers/datagram_target.h"
#include "dataplane/upstream/outlier.h"

namespace headgate::handlers {

MessageRelay::MessageRelay(WorkerContext& worker, const ForwardRule& rule,
                           std::shared_ptr<const upstream::Upstream> upstream, MessageRelayOwner& owner)
    : worker_(worker),
      rule_(rule),
      upstream_(std::move(upstream)),
      owner_(owner),
      link_(worker, *this),
      idle_(worker.loop.timers(), event::Timer::call<&MessageRelay::on_idle>, this),
      end_(worker.loop, event::Timer::call<&MessageRelay::on_end>, this),
      patience_(rule.timeout) {}

MessageRelay::~MessageRelay() { link_.close(); }

void MessageRelay::start(std::unique_ptr<net::ByteStream> stream) {
  const SocketAddress client = stream->facts().remote;
  messages_ = std::make_unique<net::MessageStream>(worker_, std::move(stream), rule_.framing, rule_.buffer_bytes,
                                                   static_cast<net::MessageObserver&>(*this));
  if (const auto opened = open_datagram_target(worker_, upstream_, client, link_, use_); !opened) {
    HG_LOG(kWarn, kForward, "connection not forwarded", {"rule", rule_.name}, {"client", client.to_string()},
           {"error", to_string(opened.error())});
    end();
    return;
  }
  last_activity_ = worker_.loop.now();
  idle_.arm(patience_);
  messages_->start();
}

void MessageRelay::on_message(std::string_view message) {
  last_activity_ = worker_.loop.now();
  if (link_.send(message)) {
    worker_.counters.add(Counter::kDatagramsUp);
    worker_.counters.add(Counter::kForwardBytesUp, message.size());
  } else {
    worker_.counters.add(Counter::kDatagramsDropped);
  }
}

void MessageRelay::on_message_lost() { worker_.counters.add(Counter::kDatagramsDropped); }

void MessageRelay::on_messages_ended(bool reset) {
  if (reset) {
    end();
    return;
  }
  patience_ = std::min(patience_, kAfterLastWord);
  last_activity_ = worker_.loop.now();
  idle_.arm(patience_);
}

void MessageRelay::on_link_datagram(std::span<char> payload) {
  last_activity_ = worker_.loop.now();
  if (!answered_) {
    answered_ = true;
    upstream::record_success(use_.upstream(), use_.index(), worker_.loop.now());
  }
  if (messages_->send({payload.data(), payload.size()})) {
    worker_.counters.add(Counter::kDatagramsDown);
    worker_.counters.add(Counter::kForwardBytesDown, payload.size());
  } else {
    worker_.counters.add(Counter::kDatagramsDropped);
  }
}

void MessageRelay::on_link_failed(const Error& error) {
  HG_LOG(kInfo, kForward, "datagram target refused", {"rule", rule_.name}, {"endpoint", use_.endpoint().text},
         {"error", to_string(error)});
  if (upstream::record_failure(use_.upstream(), use_.index(), worker_.loop.now())) {
    worker_.counters.add(Counter::kUpstreamEjections);
  }
  end();
}

void MessageRelay::on_idle() {
  const MonotonicTime due = last_activity_ + patience_;
  if (due > worker_.loop.now()) {
    idle_.arm_at(due);
    return;
  }
  end();
}

void MessageRelay::end() {
  idle_.cancel();
  messages_->close();
  link_.close();
  use_.release();
  end_.schedule();
}

void MessageRelay::on_end() { owner_.on_relay_ended(); }

}  // namespace headgate::handlers
