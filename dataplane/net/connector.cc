#include "dataplane/net/connector.h"

#include <algorithm>

#include "dataplane/net/socket.h"
#include "dataplane/net/socket_stream.h"

namespace headgate::net {

Connector::Connector(event::Loop& loop, ConnectObserver& observer)
    : loop_(loop),
      observer_(observer),
      deadline_(loop.timers(), event::Timer::call<&Connector::on_deadline>, this),
      head_start_(loop.timers(), event::Timer::call<&Connector::on_head_start_over>, this),
      report_later_(loop, event::Timer::call<&Connector::report>, this) {}

Connector::~Connector() {
  for (Attempt& attempt : attempts_) attempt.watch.stop();
}

void Connector::start(std::span<const SocketAddress> addresses, Duration timeout, const SocketAddress* bind_to) {
  if (bind_to != nullptr) {
    bind_ = true;
    bind_to_ = *bind_to;
  }
  count_ = std::min(addresses.size(), kMaxAddresses);
  for (size_t i = 0; i < count_; ++i) attempts_[i].address = addresses[i];
  last_error_ = {.code = Errc::kUnreachable, .retry = Retry::kYes, .detail = "no address to connect to"};
  deadline_.arm(timeout);
  start_next();
}

void Connector::start_next() {
  while (started_ < count_) {
    Attempt& attempt = attempts_[started_++];
    attempt.connector = this;
    auto fd = start_connect(attempt.address, bind_ ? &bind_to_ : nullptr);
    if (!fd) {
      last_error_ = fd.error().with_retry(Retry::kYes);
      continue;
    }
    attempt.fd = std::move(*fd);
    if (auto watched = attempt.watch.start(loop_, attempt.fd.get(), attempt); !watched) {
      last_error_ = watched.error().with_retry(Retry::kYes);
      continue;
    }
    ++open_;
    if (started_ < count_) head_start_.arm(kFamilyHeadStart);
    return;
  }
  if (open_ == 0) report_later_.schedule();
}

void Connector::on_head_start_over() { start_next(); }

void Connector::on_deadline() {
  last_error_ = {.code = Errc::kTimeout, .retry = Retry::kYes, .detail = "connect"};
  started_ = count_;
  report();
}

void Connector::Attempt::on_fd_ready(uint8_t) { connector->on_attempt_ready(*this); }

void Connector::on_attempt_ready(Attempt& attempt) {
  const auto outcome = connect_result(attempt.fd.get());
  if (outcome) {
    settle(attempt);
    return;
  }
  last_error_ = outcome.error().with_retry(Retry::kYes);
  attempt.watch.stop();
  attempt.fd.reset();
  --open_;
  // This one is out: do not make the next one wait for its turn.
  head_start_.cancel();
  start_next();
}

void Connector::settle(Attempt& winner) {
  head_start_.cancel();
  deadline_.cancel();
  winner.watch.stop();
  ConnectionFacts facts;
  facts.remote = winner.address;
  facts.peer = winner.address;
  auto stream = SocketStream::open(loop_, std::move(winner.fd), std::move(facts));
  for (Attempt& attempt : attempts_) {
    attempt.watch.stop();
    attempt.fd.reset();
  }
  if (stream) {
    connected_ = std::move(*stream);
  } else {
    last_error_ = stream.error();
  }
  report();
}

void Connector::report() {
  deadline_.cancel();
  head_start_.cancel();
  // The observer may destroy us: nothing of ours is touched after the call.
  if (connected_ != nullptr) {
    observer_.on_connected(std::move(connected_));
  } else {
    observer_.on_connect_failed(last_error_.from(Origin::kUpstream));
  }
}

}  // namespace headgate::net
