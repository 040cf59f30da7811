// regex.h -- regular expressions with linear time, behind one class (RE2 stays in regex.cc).
// Thread: any; a compiled Regex is immutable and may be shared by all workers.
// Unit: patterns up to 4,096 bytes, programs up to 16,384 instructions. Texts are bytes, not UTF-8 characters: a path
// may hold any byte after decoding.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"

namespace re2 {
class RE2;
}

namespace headgate {

// $0 is the whole match, $1..$9 the groups; a group that took no part is empty. Views into the searched text.
struct Captures {
  std::array<std::string_view, 10> groups{};
  size_t count = 0;  // groups that the pattern has, $0 included, at most 10
};

class Regex {
 public:
  enum class Case : bool { kSensitive, kIgnore };

  // kInvalid: not a pattern RE2 accepts (look-around and back-references are not); kTooLarge: over a limit above.
  // `why`, if given, gets a sentence for the user.
  static Result<Regex> compile(std::string_view pattern, Case letter_case = Case::kSensitive,
                               std::string* why = nullptr);

  Regex(Regex&&) noexcept;
  Regex& operator=(Regex&&) noexcept;
  ~Regex();

  [[nodiscard]] bool search(std::string_view text) const;                      // somewhere in the text
  [[nodiscard]] bool search(std::string_view text, Captures& captures) const;  // leftmost match
  [[nodiscard]] bool matches(std::string_view text) const;                     // the whole text
  [[nodiscard]] size_t group_count() const;                                    // without $0
  [[nodiscard]] std::string_view pattern() const;

 private:
  explicit Regex(std::unique_ptr<re2::RE2> compiled);
  std::unique_ptr<re2::RE2> compiled_;
};

// Appends `replacement` with $0..$9 and ${0}..${9} filled in; "$$" is one dollar, any other "$" stays as it is.
void append_replacement(std::string& into, std::string_view replacement, const Captures& captures);

// The largest group number that `replacement` uses, or -1.
int highest_group(std::string_view replacement);

}  // namespace headgate
