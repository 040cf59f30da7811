// splitter.h -- cuts the body of a list into its objects, and that of a watch into its events, as the bytes arrive.
// A list of 5,000 objects is never in memory as text; one object or event at a time is, at most kMaxObject of it.
// Thread: one owner.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"

namespace headgate::kube {

inline constexpr size_t kMaxObject = 16 << 20;  // etcd takes 1.5 MiB; JSON escapes may multiply that

// The text is valid during the call only. An error ends the reading.
using OnText = std::function<Result<void>(std::string_view text)>;

// The body of a list: {"metadata": {...}, "items": [{...}, ...], ...}, members in any order.
class ListSplitter {
 public:
  // kMalformed: no such object. kTooLarge: an item over kMaxObject.
  Result<void> feed(std::string_view piece, const OnText& on_item);
  // The whole object was there.
  [[nodiscard]] bool complete() const { return complete_; }
  // Of the list, as text; empty when it has none.
  [[nodiscard]] const std::string& metadata() const { return metadata_; }

 private:
  enum class Capture : unsigned char { kNone, kItem, kMetadata };

  void open(char c, size_t at);
  Result<void> close(std::string_view piece, size_t at, const OnText& on_item);

  size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
  bool in_items_ = false;
  bool complete_ = false;
  Capture capture_ = Capture::kNone;
  size_t capture_depth_ = 0;
  size_t capture_begin_ = 0;  // in the current piece
  std::string last_string_;   // of the outermost object: a key, until a colon says so
  std::string key_;
  std::string captured_;      // what earlier pieces held of it
  std::string metadata_;
};

// The body of a watch: a JSON object on each line.
class LineSplitter {
 public:
  // kTooLarge: a line over kMaxObject. Empty lines are left out.
  Result<void> feed(std::string_view piece, const OnText& on_line);

 private:
  std::string partial_;
};

}  // namespace headgate::kube
