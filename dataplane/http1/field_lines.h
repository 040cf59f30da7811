// field_lines.h -- reads field lines of a head or trailer section, a whole line at a time, into a HeaderMap.
//
// A line is judged when its LF is there, never before: so the outcome does not depend on how the bytes were cut.
// Between calls only offsets are kept; texts already added are moved by rebase() when the block moved.
// Spec: RFC 9112 5, RFC 9110 5.   Thread: worker.   Errors: kMalformed, kHeadTooLarge (too many fields).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "dataplane/base/error.h"
#include "dataplane/http/framing.h"
#include "dataplane/http/header_map.h"

namespace headgate::http1 {

enum class Outcome : uint8_t { kNeedMore, kDone, kError };

struct FieldRules {
  uint32_t max_fields = 128;
  bool drop_underscore_names = false;
  Origin origin = Origin::kDownstream;  // who sent them
};

class FieldLines {
 public:
  // `bytes` from the same start at every call, at least as many as before. kDone: the empty line was read and end()
  // is behind it. Content-Length and Transfer-Encoding go to `lengths` and not into `into`.
  Outcome parse(std::string_view bytes, const FieldRules& rules, http::HeaderMap& into, http::LengthFields& lengths);

  // Where the first line starts; before the first parse().
  void start_at(size_t offset) { line_ = scanned_ = offset; }
  [[nodiscard]] size_t end() const { return line_; }
  [[nodiscard]] const Error& error() const { return error_; }
  void reset() { *this = FieldLines(); }

  // The bytes now lie elsewhere: moves the views in `fields` along.
  static void rebase(http::HeaderMap& fields, const char* from, size_t size, const char* to);

 private:
  Outcome judge_stop(const char* begin, const char* line, const char* end, const FieldRules& rules);
  Outcome fail(Errc code, Origin origin, const char* detail);

  size_t line_ = 0;     // offset of the line being read
  size_t scanned_ = 0;  // no LF in [line_, scanned_)
  uint32_t count_ = 0;
  Error error_;
};

}  // namespace headgate::http1
