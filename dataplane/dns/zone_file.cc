#include "dataplane/dns/zone_file.h"

#include "dataplane/base/text.h"
#include "dataplane/dns/record.h"
#include "dataplane/dns/ttl.h"

namespace headgate::dns {
namespace {

constexpr size_t kMaxWords = 16384;  // of one record: 64 KiB of the shortest strings do not need more

struct Word {
  TextToken token{};
  size_t line = 0;
  size_t column = 0;
};

class ZoneFileReader {
 public:
  ZoneFileReader(std::string_view text, NameView origin, const ZoneFileOptions& options, ZoneSetBuilder& builder,
                 std::vector<ZoneFileProblem>& problems)
      : text_(text),
        apex_(origin),
        origin_(origin),
        options_(options),
        builder_(builder),
        problems_(problems),
        first_problem_(problems.size()) {}

  bool run() {
    if (text_.size() > options_.max_bytes) {
      report(1, 1, "file over the size limit");
      return false;
    }
    const auto opened = builder_.open_zone(apex_, options_.falls_through, 1);
    if (!opened.has_value()) report(1, 1, opened.error().detail);
    while (at_ < text_.size() && !stopped()) {
      if (read_entry() && !words_.empty()) take_entry();
    }
    return problems_.size() == first_problem_;
  }

 private:
  bool stopped() const { return problems_.size() - first_problem_ >= options_.max_problems; }
  void report(size_t line, size_t column, std::string message) {
    if (!stopped()) problems_.push_back({line, column, std::move(message)});
  }
  void report(const Word& word, std::string message) { report(word.line, word.column, std::move(message)); }

  [[nodiscard]] size_t column(size_t at) const { return at - line_start_ + 1; }
  void next_line() {
    ++line_;
    line_start_ = at_;
  }

  // Gathers the words up to the end of a line outside parentheses. False: reported, and the rest of the line skipped.
  bool read_entry() {
    words_.clear();
    starts_blank_ = at_ < text_.size() && (is_space(text_[at_]) || text_[at_] == '\r');
    size_t depth = 0;
    size_t open_line = 0;
    size_t open_column = 0;
    bool good = true;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '\n') {
        ++at_;
        next_line();
        if (depth == 0) return good;
      } else if (is_space(c) || c == '\r') {
        ++at_;
      } else if (c == ';') {
        while (at_ < text_.size() && text_[at_] != '\n') ++at_;
      } else if (c == '(') {
        open_line = line_;
        open_column = column(at_++);
        ++depth;
      } else if (c == ')') {
        if (depth == 0) {
          if (good) report(line_, column(at_), "')' without '('");
          good = false;
        } else {
          --depth;
        }
        ++at_;
      } else {
        good = read_word(good) && good;
      }
    }
    if (depth > 0) {
      report(open_line, open_column, "'(' without ')'");
      return false;
    }
    return good;
  }

  // One word or quoted string; `key="a b"` is one word with its quotes. `may_report`: the entry has no problem yet.
  bool read_word(bool may_report) {
    const size_t start = at_;
    const Word word{{}, line_, column(at_)};
    const bool quoted = text_[at_] == '"';
    bool inside = false;
    const char* wrong = nullptr;
    for (; at_ < text_.size() && text_[at_] != '\n'; ++at_) {
      const char c = text_[at_];
      if (c == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] != '\n') {
        ++at_;
      } else if (c == '"') {
        inside = !inside;
        if (quoted && !inside) break;
      } else if (!inside && (is_space(c) || c == '\r' || c == ';' || c == '(' || c == ')')) {
        break;
      } else if (static_cast<uint8_t>(c) < 0x20 && c != '\t') {
        wrong = "control character";
      }
    }
    size_t end = at_;
    if (inside) wrong = "quote without an end on its line";
    if (quoted && !inside) ++at_;
    if (words_.size() == kMaxWords) wrong = "too many words in one record";
    if (wrong != nullptr) {
      if (may_report) report(word, wrong);
      return false;
    }
    words_.push_back(word);
    words_.back().token = {quoted ? text_.substr(start + 1, end - start - 1) : text_.substr(start, end - start),
                           quoted};
    return true;
  }

  void take_entry() {
    const Word& first = words_[0];
    if (!starts_blank_ && !first.token.quoted && first.token.text.starts_with('$')) {
      take_directive();
      return;
    }
    size_t at = 0;
    if (!starts_blank_) {
      if (!take_name(first, owner_)) {
        has_owner_ = false;
        return;
      }
      has_owner_ = true;
      at = 1;
    } else if (!has_owner_) {
      report(first, "no owner: no good record stands above");
      return;
    }
    take_record(at);
  }

  bool take_name(const Word& word, Name& into) {
    if (!word.token.quoted && word.token.text == "@") {
      into = origin_;
      return true;
    }
    const auto name = Name::parse(word.token.text, origin_.view());
    if (!name.has_value()) {
      report(word, name.error().detail);
      return false;
    }
    into = *name;
    return true;
  }

  void take_directive() {
    const std::string_view directive = words_[0].token.text;
    const bool one_word = words_.size() == 2;
    if (equals_ignore_case(directive, "$ORIGIN") && one_word) {
      take_name(words_[1], origin_);
    } else if (equals_ignore_case(directive, "$TTL") && one_word) {
      const auto ttl = parse_ttl(words_[1].token.text);
      if (!ttl.has_value()) {
        report(words_[1], "not a time in seconds");
        return;
      }
      directive_ttl_ = ttl;
    } else if (equals_ignore_case(directive, "$ORIGIN") || equals_ignore_case(directive, "$TTL")) {
      report(words_[0], "one word is needed after the directive");
    } else if (equals_ignore_case(directive, "$INCLUDE")) {
      report(words_[0], "$INCLUDE is refused: a zone is one file");
    } else {
      report(words_[0], "unknown directive " + std::string(directive.substr(0, 32)));
    }
  }

  // RFC 1035 5.1: [<TTL>] [<class>] <type> <RDATA>, the first two in either order.
  void take_record(size_t at) {
    std::optional<uint32_t> ttl;
    bool has_class = false;
    for (; at < words_.size() && !words_[at].token.quoted; ++at) {
      const std::string_view text = words_[at].token.text;
      if (!has_class && equals_ignore_case(text, "IN")) {
        has_class = true;
        continue;
      }
      if (equals_ignore_case(text, "CH") || equals_ignore_case(text, "HS") || equals_ignore_case(text, "CS")) {
        report(words_[at], "only class IN is served");
        return;
      }
      if (ttl.has_value() || !is_digit(text[0])) break;
      ttl = parse_ttl(text);
      if (!ttl.has_value()) {
        report(words_[at], "not a time in seconds");
        return;
      }
    }
    if (at == words_.size()) {
      report(words_.back(), "no type");
      return;
    }
    const auto type = words_[at].token.quoted ? std::nullopt : parse_type(words_[at].token.text);
    if (!type.has_value()) {
      report(words_[at], "unknown type " + std::string(words_[at].token.text.substr(0, 32)));
      return;
    }
    if (!owner_.view().is_within(apex_)) {
      report(words_[0], "name outside the zone");
      return;
    }
    if (ttl.has_value()) last_ttl_ = ttl;
    const uint32_t ttl_s = ttl.value_or(directive_ttl_.value_or(last_ttl_.value_or(options_.default_ttl_s)));
    add(words_[at], *type, ttl_s, at + 1);
  }

  void add(const Word& type_word, uint16_t type, uint32_t ttl_s, size_t at) {
    tokens_.clear();
    for (size_t i = at; i < words_.size(); ++i) tokens_.push_back(words_[i].token);
    const auto rdata = parse_rdata(type, tokens_, origin_.view());
    if (!rdata.has_value()) {
      report(at < words_.size() ? words_[at] : type_word, rdata.error().detail);
      return;
    }
    if (++record_count_ > options_.max_records) {
      report(type_word, "too many records");
      at_ = text_.size();
      return;
    }
    const auto added =
        builder_.add(owner_.view(), type, ttl_s, *rdata, static_cast<uint32_t>(type_word.line), options_.auto_ptr);
    if (!added.has_value()) report(type_word, added.error().detail);
  }

  std::string_view text_;
  NameView apex_;
  Name origin_;
  const ZoneFileOptions& options_;
  ZoneSetBuilder& builder_;
  std::vector<ZoneFileProblem>& problems_;
  size_t first_problem_;

  size_t at_ = 0;
  size_t line_ = 1;
  size_t line_start_ = 0;
  std::vector<Word> words_{};
  std::vector<TextToken> tokens_{};
  bool starts_blank_ = false;
  Name owner_{};
  bool has_owner_ = false;
  std::optional<uint32_t> directive_ttl_{};
  std::optional<uint32_t> last_ttl_{};
  size_t record_count_ = 0;
};

}  // namespace

std::string ZoneFileProblem::to_string() const {
  return std::to_string(line) + ":" + std::to_string(column) + ": " + message;
}

bool read_zone_file(std::string_view text, NameView origin, const ZoneFileOptions& options, ZoneSetBuilder& builder,
                    std::vector<ZoneFileProblem>& problems) {
  return ZoneFileReader(text, origin, options, builder, problems).run();
}

}  // namespace headgate::dns
