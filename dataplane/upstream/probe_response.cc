#include "dataplane/upstream/probe_response.h"

#include <algorithm>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::upstream {
namespace {

constexpr size_t kMaxChunkLine = 1024;

// "HTTP/1.1 200 OK": the status, or 0.
uint32_t status_of(std::string_view line) {
  if (line.size() < 12 || line.substr(0, 7) != "HTTP/1." || !is_digit(line[7]) || line[8] != ' ') return 0;
  if (line.size() > 12 && line[12] != ' ') return 0;
  const auto status = parse_decimal<uint32_t>(line.substr(9, 3));
  return status.has_value() && *status >= 100 ? *status : 0;
}

}  // namespace

ProbeResponse::Verdict ProbeResponse::fail(const char* reason) {
  reason_ = reason;
  return Verdict::kUnhealthy;
}

ProbeResponse::Verdict ProbeResponse::feed(std::string_view bytes) {
  const size_t room = kMaxBytes - total_;
  const bool cut = bytes.size() >= room;
  received_.append(bytes.substr(0, room));
  total_ += std::min(bytes.size(), room);
  while (body_at_ == 0) {
    const Verdict verdict = read_head();
    if (verdict != Verdict::kMore) return verdict;
    if (body_at_ == 0 && received_.find("\r\n\r\n") == std::string::npos) {
      return cut ? fail("response head too large") : Verdict::kMore;
    }
  }
  return read_body(cut);
}

ProbeResponse::Verdict ProbeResponse::finish() {
  if (body_at_ == 0) return fail(total_ == 0 ? "closed without an answer" : "closed within the response head");
  return read_body(true);
}

// Reads one head if it is complete; an interim one is dropped. kMore also when the body comes next.
ProbeResponse::Verdict ProbeResponse::read_head() {
  const size_t end = received_.find("\r\n\r\n");
  if (end == std::string::npos) {
    // A peer that does not speak HTTP is found out at once, not at the time-out.
    const std::string_view begin = "HTTP/1.";
    const size_t have = std::min(received_.size(), begin.size());
    return received_.compare(0, have, begin.substr(0, have)) == 0 ? Verdict::kMore : fail("not an HTTP/1 response");
  }
  std::string_view head(received_.data(), end);
  const size_t first = head.find("\r\n");
  status_ = status_of(head.substr(0, first));
  if (status_ == 0) return fail("not an HTTP/1 response");
  if (status_ < 200 && status_ != 101) {
    received_.erase(0, end + 4);
    return Verdict::kMore;
  }
  if (!in_ranges(check_.expect, status_)) return fail("unexpected status");
  if (check_.body_contains.empty()) return Verdict::kHealthy;
  while (first != std::string_view::npos && !head.empty()) {
    const size_t line_end = head.find("\r\n");
    if (!read_field(head.substr(0, line_end))) return fail("malformed response head");
    head = line_end == std::string_view::npos ? std::string_view() : head.substr(line_end + 2);
  }
  body_at_ = chunk_at_ = end + 4;
  return Verdict::kMore;
}

bool ProbeResponse::read_field(std::string_view line) {
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos) return true;  // the status line
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trim(line.substr(colon + 1));
  if (equals_ignore_case(name, "transfer-encoding")) {
    // It overrides a length (RFC 9112 6.3 rule 3).
    if (!equals_ignore_case(value, "chunked")) return false;
    framing_ = Framing::kChunked;
  } else if (equals_ignore_case(name, "content-length")) {
    const auto length = parse_decimal<uint64_t>(value);
    if (!length.has_value()) return false;
    length_ = *length;
    if (framing_ != Framing::kChunked) framing_ = Framing::kLength;
  }
  return true;
}

// Moves complete chunks to `body_`. False: malformed.
bool ProbeResponse::unchunk(bool& complete) {
  for (;;) {
    const size_t line_end = received_.find("\r\n", chunk_at_);
    if (line_end == std::string::npos) return received_.size() - chunk_at_ <= kMaxChunkLine;
    if (line_end - chunk_at_ >= kMaxChunkLine) return false;
    std::string_view line(received_.data() + chunk_at_, line_end - chunk_at_);
    const auto size = parse_hex(trim(line.substr(0, line.find(';'))));
    if (!size.has_value()) return false;
    if (*size == 0) {
      complete = true;
      return true;
    }
    if (*size > kMaxBytes) return false;
    const size_t data = line_end + 2;
    if (received_.size() < data + *size + 2) return true;
    if (received_.compare(data + *size, 2, "\r\n") != 0) return false;
    body_.append(received_, data, *size);
    chunk_at_ = data + *size + 2;
  }
}

ProbeResponse::Verdict ProbeResponse::read_body(bool ended) {
  bool complete = ended;
  bool sound = true;
  std::string_view body;
  switch (framing_) {
    case Framing::kChunked:
      sound = unchunk(complete);
      body = body_;
      break;
    case Framing::kLength:
      body = std::string_view(received_).substr(body_at_);
      if (body.size() >= length_) {
        body = body.substr(0, length_);
        complete = true;
      }
      break;
    case Framing::kUntilClose: body = std::string_view(received_).substr(body_at_); break;
  }
  if (body.find(check_.body_contains) != std::string_view::npos) return Verdict::kHealthy;
  // After the search: the verdict must not depend on how the bytes were cut.
  if (!sound) return fail("malformed chunked body");
  return complete ? fail("body without the expected text") : Verdict::kMore;
}

}  // namespace headgate::upstream
