// notices.h -- which notes become Events now: new ones, the same ones half an hour later, and that one is settled.
// Thread: one at a time.   Owner: Writer, under its lock.
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "controlplane/kube/events.h"
#include "controlplane/translate/output.h"
#include "dataplane/base/clock.h"

namespace headgate::status {

// What a dataplane could not use, as a note for each object it came from.
std::vector<translate::Note> notes_of(const control::v1::Reject& reject);

class Notices {
 public:
  static constexpr Duration kAgain = std::chrono::minutes(30);

  explicit Notices(std::string action) : action_(std::move(action)) {}

  // All there are now. With `tell` the Events that are due; without, nothing is due, and nothing counts as told.
  std::vector<kube::Event> set(const std::vector<translate::Note>& notes, bool tell, MonotonicTime now);
  // Those that are due although nothing changed: told long ago, or not told yet.
  std::vector<kube::Event> due(MonotonicTime now);

 private:
  struct Told {
    translate::Note note;
    bool told = false;
    MonotonicTime at{};
  };
  [[nodiscard]] kube::Event event_of(const translate::Note& note) const;

  const std::string action_;
  // Object, reason and message. A new generation with the same fault is no news.
  std::map<std::tuple<kube::ObjectReference, std::string, std::string>, Told> open_;
};

}  // namespace headgate::status
