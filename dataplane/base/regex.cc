#include "dataplane/base/regex.h"

#include <re2/re2.h>

#include <algorithm>
#include <utility>

#include "dataplane/base/text.h"

namespace headgate {

namespace {

constexpr size_t kMaxPattern = 4096;
constexpr int kMaxProgram = 16384;
// RE2 divides this between the program and the cache of its automaton; a full cache costs speed, not memory.
constexpr int64_t kMaxMemory = 2 << 20;

re2::StringPiece piece(std::string_view text) { return {text.data(), text.size()}; }

// The group that starts at replacement[at] == '$': its number and length, or {-1, 0}.
struct GroupMark {
  int number = -1;
  size_t length = 0;
};
GroupMark group_at(std::string_view text, size_t at) {
  if (at + 1 < text.size() && is_digit(text[at + 1])) return {text[at + 1] - '0', 2};
  if (at + 3 < text.size() && text[at + 1] == '{' && is_digit(text[at + 2]) && text[at + 3] == '}') {
    return {text[at + 2] - '0', 4};
  }
  return {};
}

}  // namespace

Regex::Regex(std::unique_ptr<re2::RE2> compiled) : compiled_(std::move(compiled)) {}
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;
Regex::~Regex() = default;

Result<Regex> Regex::compile(std::string_view pattern, Case letter_case, std::string* why) {
  if (pattern.size() > kMaxPattern) {
    if (why != nullptr) *why = "longer than 4096 bytes";
    return Error{.code = Errc::kTooLarge, .detail = "regular expression too long"};
  }
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMaxMemory);
  options.set_encoding(re2::RE2::Options::EncodingLatin1);
  options.set_case_sensitive(letter_case == Case::kSensitive);
  auto compiled = std::make_unique<re2::RE2>(piece(pattern), options);
  if (!compiled->ok()) {
    const bool too_large = compiled->error_code() == re2::RE2::ErrorPatternTooLarge;
    if (why != nullptr) *why = compiled->error();
    return Error{.code = too_large ? Errc::kTooLarge : Errc::kInvalid, .detail = "regular expression not accepted"};
  }
  if (compiled->ProgramSize() > kMaxProgram) {
    if (why != nullptr) *why = "compiles to a program that is too large";
    return Error{.code = Errc::kTooLarge, .detail = "regular expression too large"};
  }
  return Regex(std::move(compiled));
}

bool Regex::search(std::string_view text) const { return re2::RE2::PartialMatch(piece(text), *compiled_); }

bool Regex::search(std::string_view text, Captures& captures) const {
  captures.count = std::min<size_t>(group_count() + 1, captures.groups.size());
  std::array<re2::StringPiece, 10> found;
  if (!compiled_->Match(piece(text), 0, text.size(), re2::RE2::UNANCHORED, found.data(),
                        static_cast<int>(captures.count))) {
    return false;
  }
  for (size_t i = 0; i < captures.groups.size(); ++i) {
    captures.groups[i] = i < captures.count && found[i].data() != nullptr
                             ? std::string_view(found[i].data(), found[i].size())
                             : std::string_view();
  }
  return true;
}

bool Regex::matches(std::string_view text) const { return re2::RE2::FullMatch(piece(text), *compiled_); }

size_t Regex::group_count() const { return static_cast<size_t>(std::max(0, compiled_->NumberOfCapturingGroups())); }

std::string_view Regex::pattern() const { return compiled_->pattern(); }

void append_replacement(std::string& into, std::string_view replacement, const Captures& captures) {
  for (size_t i = 0; i < replacement.size();) {
    if (replacement[i] != '$') {
      into.push_back(replacement[i++]);
      continue;
    }
    if (i + 1 < replacement.size() && replacement[i + 1] == '$') {
      into.push_back('$');
      i += 2;
      continue;
    }
    const GroupMark mark = group_at(replacement, i);
    if (mark.number < 0) {
      into.push_back(replacement[i++]);
      continue;
    }
    into.append(captures.groups[static_cast<size_t>(mark.number)]);
    i += mark.length;
  }
}

int highest_group(std::string_view replacement) {
  int highest = -1;
  for (size_t i = 0; i < replacement.size(); ++i) {
    if (replacement[i] != '$') continue;
    if (i + 1 < replacement.size() && replacement[i + 1] == '$') {
      ++i;
      continue;
    }
    highest = std::max(highest, group_at(replacement, i).number);
  }
  return highest;
}

}  // namespace headgate
