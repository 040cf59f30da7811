#include "controlplane/publish/proxy_session.h"

#include <algorithm>

#include "dataplane/base/check.h"

namespace headgate::publish {

using control::v1::Push;
using control::v1::ServerMessage;

ProxySession::ProxySession(std::string replica) { facts_.set_replica(std::move(replica)); }

bool ProxySession::violated(std::string problem) {
  problem_ = std::move(problem);
  return false;
}

bool ProxySession::on_hello(control::v1::Hello hello) {
  if (state_ != State::kNew) return violated("a second Hello");
  if (hello.node().id().empty() || hello.node().id().size() > 512) return violated("Hello without a usable node.id");
  if (hello.open_rejects_size() > kMaxRejects) return violated("too many open rejects");
  known_ = known_resources(hello.known());
  *facts_.mutable_node() = std::move(*hello.mutable_node());
  *facts_.mutable_rejects() = std::move(*hello.mutable_open_rejects());
  facts_.set_lifecycle(control::v1::LIFECYCLE_STARTING);
  state_ = State::kIdle;
  return true;
}

bool ProxySession::on_ack(control::v1::Ack ack) {
  if (state_ != State::kUnanswered || ack.push_id() != push_id_) return violated("an Ack that answers no Push");
  if (ack.rejects_size() > kMaxRejects) return violated("too many rejects");
  *facts_.mutable_rejects() = std::move(*ack.mutable_rejects());
  facts_.set_digest(ack.digest());
  // Listeners that it no longer has will never be reported again.
  auto& listeners = *facts_.mutable_listeners();
  listeners.erase(std::remove_if(listeners.begin(), listeners.end(),
                                 [&](const auto& one) { return !sent_->has(control::v1::KIND_LISTENER, one.name()); }),
                  listeners.end());
  state_ = State::kIdle;
  return true;
}

bool ProxySession::on_report(const control::v1::Report& report) {
  if (state_ == State::kNew) return violated("a Report before Hello");
  auto& all = *facts_.mutable_listeners();
  for (const control::v1::ListenerState& one : report.listeners()) {
    const auto known =
        std::find_if(all.begin(), all.end(), [&](const auto& other) { return other.name() == one.name(); });
    if (known != all.end()) {
      *known = one;
    } else if (all.size() < kMaxListeners) {
      *all.Add() = one;
    }
  }
  if (report.lifecycle() != control::v1::LIFECYCLE_UNSPECIFIED) facts_.set_lifecycle(report.lifecycle());
  return true;
}

std::optional<MonotonicTime> ProxySession::due() const {
  switch (state_) {
    case State::kSending: return began_;
    case State::kIdle:
      if (wanted_ == nullptr || wanted_ == sent_) return std::nullopt;
      return began_ + kGap;
    case State::kNew:
    case State::kUnanswered: return std::nullopt;
  }
  return std::nullopt;
}

std::optional<MonotonicTime> ProxySession::unanswered_since() const {
  return state_ == State::kUnanswered ? std::optional(finished_) : std::nullopt;
}

std::string ProxySession::take_part(MonotonicTime now) {
  const bool first = sent_ == nullptr;
  if (state_ == State::kIdle) {
    pushing_ =
        first ? wanted_->difference_from(std::span<const KnownResource>(known_)) : wanted_->difference_from(sent_);
    known_ = {};
    began_ = now;
    sent_ = wanted_;
    // The same content in other objects: nobody needs to know. (The first Push says "complete" and is sent in any
    // case.)
    if (!first && pushing_->empty()) return {};
    ++push_id_;
    next_upsert_ = 0;
    state_ = State::kSending;
  }
  HG_CHECK(state_ == State::kSending);
  std::string body;
  append_tag(body, Push::kPushIdFieldNumber, kWireVarint);
  append_varint(body, push_id_);
  while (next_upsert_ < pushing_->upsert.size() && body.size() < kPartBytes) {
    pushing_->upsert[next_upsert_++]->append_to(body);
  }
  if (next_upsert_ < pushing_->upsert.size()) {
    append_tag(body, Push::kMoreFieldNumber, kWireVarint);
    append_varint(body, 1);
  } else {
    for (const control::v1::ResourceKey& key : pushing_->remove) {
      append_tag(body, Push::kRemoveFieldNumber, kWireBytes);
      append_varint(body, key.ByteSizeLong());
      key.AppendToString(&body);
    }
    append_tag(body, Push::kInitialCompleteFieldNumber, kWireVarint);
    append_varint(body, 1);
    pushing_ = nullptr;
    finished_ = now;
    state_ = State::kUnanswered;
  }
  std::string message;
  message.reserve(body.size() + 16);
  append_tag(message, ServerMessage::kPushFieldNumber, kWireBytes);
  append_varint(message, body.size());
  message += body;
  return message;
}

}  // namespace headgate::publish
