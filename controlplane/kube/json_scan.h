// json_scan.h -- walks over JSON text without building anything: finds members, skips values.
// Only as strict as walking needs: what is kept is read by a real parser afterwards.
// Spec: RFC 8259.   Thread: one owner; the text outlives it and the views it gives.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace headgate::kube {

class JsonScan {
 public:
  explicit JsonScan(std::string_view text) : text_(text) {}

  // The next character that is no white space, not taken; 0 at the end.
  char peek();
  // Only white space is left.
  bool at_end() { return peek() == '\0' && at_ >= text_.size(); }
  // Takes `c` if it comes next.
  bool take(char c);
  // Takes a string; its content as it stands, with escapes. nullopt: there is none, or it does not end.
  std::optional<std::string_view> take_string();
  // Takes a whole value, as text. nullopt: there is none, or it does not end.
  std::optional<std::string_view> take_value();

 private:
  bool skip_string();

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace headgate::kube
