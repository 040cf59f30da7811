// proxy_session.h -- what one dataplane has, wants and was sent: a pure state machine.
//
//   kNew --Hello--> kIdle --take_part(): a Push begins--> kSending --last part--> kUnanswered --Ack--> kIdle
//
// A Push is the difference between what the dataplane was sent last (at first: what Hello says it has) and what its set
// holds when the Push begins. Changes of the set meanwhile wait for the Ack and become one Push. The first change after
// a pause is sent at once; the next Push begins at least kGap after the beginning of the one before it.
// Thread: one (the hub's).   Owner: Hub.   Time comes as an argument.
#pragma once

#include <optional>
#include <string>

#include "controlplane/publish/resource_set.h"
#include "dataplane/base/clock.h"

namespace headgate::publish {

class ProxySession {
 public:
  static constexpr Duration kGap = std::chrono::milliseconds(10);
  static constexpr size_t kPartBytes = size_t{1} << 20;  // a part ends with the resource that reaches it
  static constexpr int kMaxRejects = 10'000;
  static constexpr int kMaxListeners = 4'096;

  explicit ProxySession(std::string replica);

  // Messages of the dataplane. False: the protocol was violated, the stream must end; problem() says how.
  bool on_hello(control::v1::Hello hello);
  bool on_ack(control::v1::Ack ack);
  bool on_report(const control::v1::Report& report);
  [[nodiscard]] bool greeted() const { return state_ != State::kNew; }
  [[nodiscard]] const std::string& problem() const { return problem_; }

  // The set as it is now. Before the first call there is nothing to send.
  void want(ResourceSetPtr set) { wanted_ = std::move(set); }

  // When take_part() will have bytes: now or earlier = at once; nothing = not before something else happens.
  [[nodiscard]] std::optional<MonotonicTime> due() const;
  // The next ServerMessage with a Push, serialized; only when due. The one before it must have been written.
  std::string take_part(MonotonicTime now);
  // Since when a Push that was sent to its end has no Ack.
  [[nodiscard]] std::optional<MonotonicTime> unanswered_since() const;

  // Grows with every message; `set` is filled in by the hub.
  [[nodiscard]] const control::v1::ProxyFacts& facts() const { return facts_; }
  [[nodiscard]] control::v1::ProxyFacts& facts() { return facts_; }

 private:
  enum class State : uint8_t { kNew, kIdle, kSending, kUnanswered };
  bool violated(std::string problem);

  State state_ = State::kNew;
  std::vector<KnownResource> known_;  // of Hello, until the first Push
  ResourceSetPtr wanted_;
  ResourceSetPtr sent_;  // begun to be sent; null: the first Push is still to come
  std::shared_ptr<const Difference> pushing_;
  size_t next_upsert_ = 0;
  uint64_t push_id_ = 0;
  MonotonicTime began_{};
  MonotonicTime finished_{};
  std::string problem_;
  control::v1::ProxyFacts facts_;
};

}  // namespace headgate::publish
