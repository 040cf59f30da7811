#include "dataplane/control/stream_source.h"

#include <algorithm>

#include "dataplane/base/log.h"

namespace headgate::control {

using control::v1::ClientMessage;
using control::v1::ServerMessage;

StreamSource::StreamSource(event::Loop& loop, LinkOpener& opener, control::v1::Node node, StreamSourceObserver& observer)
    : loop_(loop),
      opener_(opener),
      node_(std::move(node)),
      observer_(observer),
      timer_(loop.timers(), event::Timer::call<&StreamSource::on_timer>, this) {}

StreamSource::~StreamSource() = default;

void StreamSource::start() { timer_.arm(Duration(0)); }

void StreamSource::hurry() {
  if (state_ == State::kWaiting) timer_.arm(Duration(0));
}

void StreamSource::reconnect(const std::string& reason) {
  if (state_ != State::kWaiting) close(reason);
}

void StreamSource::on_timer() {
  switch (state_) {
    case State::kWaiting: return try_open();
    case State::kOpening: return close("no connection in time");
    case State::kGreeting: return close("no Welcome in time");
    case State::kOpen: return;
  }
}

void StreamSource::try_open() {
  std::string problem;
  link_ = opener_.open({.path = "/headgate.control.v1.ControlPlane/Stream"}, *this, problem);
  if (link_ == nullptr) {
    observer_.on_stream_closed(problem);
    return wait_again();
  }
  ++number_;
  state_ = State::kOpening;
  timer_.arm(kWelcomeLimit);
}

void StreamSource::on_link_open() {
  state_ = State::kGreeting;
  timer_.arm(kWelcomeLimit);
  ClientMessage message;
  control::v1::Hello& hello = *message.mutable_hello();
  *hello.mutable_node() = node_;
  observer_.fill_hello(hello);
  send(message);
}

void StreamSource::on_link_message(std::string_view bytes) {
  if (link_ == nullptr) return;
  ServerMessage message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return close("the controller sent what is no ServerMessage");
  }
  if (state_ == State::kGreeting && message.message_case() != ServerMessage::kWelcome) {
    return close("the controller did not begin with Welcome");
  }
  switch (message.message_case()) {
    case ServerMessage::kWelcome:
      if (state_ != State::kGreeting) return close("a second Welcome");
      state_ = State::kOpen;
      timer_.cancel();
      pause_ = kFirstPause;
      HG_LOG(kInfo, kControl, "connected to the controller", {"server", message.welcome().server_id()},
             {"version", message.welcome().server_version()});
      observer_.on_stream_open();
      return;
    case ServerMessage::kPush: {
      std::string problem;
      if (!observer_.on_push(std::move(*message.mutable_push()), problem)) close(problem);
      return;
    }
    case ServerMessage::kGoodbye: {
      const auto& after = message.goodbye().reconnect_after();
      asked_pause_ = std::clamp(Duration(std::chrono::seconds(after.seconds()) + std::chrono::nanoseconds(after.nanos())),
                                Duration(0), Duration(std::chrono::minutes(1)));
      return close("goodbye: " + message.goodbye().reason().substr(0, 200));
    }
    case ServerMessage::kPing: {
      ClientMessage answer;
      answer.mutable_pong()->set_id(message.ping().id());
      return send(answer);
    }
    case ServerMessage::MESSAGE_NOT_SET: return;  // of a later version
  }
}

void StreamSource::on_link_closed(bool, const std::string& reason) {
  if (link_ != nullptr) close(reason);
}

void StreamSource::close(const std::string& reason) {
  const bool was_open = state_ == State::kOpen;
  HG_LOG(kWarn, kControl, was_open ? "the stream to the controller ended" : "no stream to the controller",
         {"reason", reason});
  loop_.defer_delete(std::move(link_));  // it may be further up the stack
  link_ = nullptr;
  observer_.on_stream_closed(reason);
  wait_again();
}

void StreamSource::wait_again() {
  state_ = State::kWaiting;
  if (asked_pause_ >= Duration(0)) {
    timer_.arm(std::exchange(asked_pause_, Duration(-1)));
    return;
  }
  timer_.arm(Duration(static_cast<int64_t>(random_.unit() * static_cast<double>(pause_.count()))));
  pause_ = std::min(pause_ * 2, kLongestPause);
}

void StreamSource::send(const ClientMessage& message) { link_->send(message.SerializeAsString()); }

void StreamSource::acknowledge(uint64_t stream, const control::v1::Ack& ack) {
  if (state_ != State::kOpen || stream != number_) return;
  ClientMessage message;
  *message.mutable_ack() = ack;
  send(message);
}

void StreamSource::report(const control::v1::Report& report) {
  if (state_ != State::kOpen) return;
  ClientMessage message;
  *message.mutable_report() = report;
  send(message);
}

}  // namespace headgate::control
