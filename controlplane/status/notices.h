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

  // All there are now. Returns what is settled, of what was told, when there is room for it; room 0 tells nothing.
  std::vector<kube::Event> set(const std::vector<translate::Note>& notes, size_t room);
  // Those not told yet, or long ago; at most `room`. The others stay due.
  std::vector<kube::Event> due(MonotonicTime now, size_t room);

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
