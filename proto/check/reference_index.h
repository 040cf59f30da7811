// reference_index.h -- do resources still agree after a few of them changed? At a cost of what changed.
//
// Counts who is there, who is referred to, who takes which host and who listens where. It says only that a change is
// sound; when it does not, check_references() looks at everything and finds the words. Whatever passes here passes there.
// Thread: one.   Owner: whoever keeps resources that change one by one.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "dataplane/base/hash.h"
#include "proto/check/check.h"

namespace headgate::check {

class ReferenceIndex {
 public:
  // `message` is of that kind; it is not kept.
  void insert(Kind kind, const google::protobuf::Message& message) { count(kind, message, 1); }
  // As it was inserted.
  void erase(Kind kind, const google::protobuf::Message& message) { count(kind, message, -1); }
  void clear();

  // After all that changed was erased and inserted, for each of it: null `before`: it is new; null `after`: it is gone.
  // A Listener that forwards is never sound: what its targets must agree on is looked at as a whole.
  [[nodiscard]] bool is_sound(Kind kind, const google::protobuf::Message* before,
                              const google::protobuf::Message* after) const;

 private:
  struct Named {
    uint32_t present = 0;
    uint32_t uses = 0;
    uint8_t roles = 0;  // what it can be used for
  };
  void count(Kind kind, const google::protobuf::Message& message, int by);
  [[nodiscard]] const Named* find(Kind kind, std::string_view name) const;

  template <typename T>
  using ByText = std::unordered_map<std::string, T, TextHash, TextEqual>;
  ByText<Named> names_;      // one letter for the kind, then the name
  ByText<uint32_t> hosts_;   // "TABLE/HOST" -> how many take it
  ByText<uint32_t> bound_;   // address -> how many listen there
};

}  // namespace headgate::check
