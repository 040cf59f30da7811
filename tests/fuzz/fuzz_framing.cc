// fuzz_framing.cc -- messages on a stream: the same whatever the cuts, nothing lost without a word, and read back as
// written.
// links: headgate_net
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/check.h"
#include "dataplane/net/framing.h"

using headgate::net::Frame;
using headgate::net::FrameMarks;
using headgate::net::FrameReader;
using headgate::net::Framing;

namespace {

struct Outcome {
  std::vector<std::string> messages;
  size_t lost = 0;
  bool operator==(const Outcome&) const = default;
};

// Feeds `bytes` in pieces of `step`, the way a stream does.
Outcome read_all(Framing framing, std::string_view bytes, size_t step) {
  FrameReader reader(framing);
  Outcome outcome;
  std::string held;
  for (size_t at = 0; at <= bytes.size(); at += step) {
    const bool at_end = at + step > bytes.size();
    held += bytes.substr(at, at_end ? std::string_view::npos : step);
    while (!held.empty()) {
      const Frame frame = reader.next(held, at_end);
      HG_CHECK(frame.size <= held.size());
      if (frame.state == Frame::State::kMessage) {
        HG_CHECK(frame.size > 0 && frame.message.size() <= headgate::net::kMaxMessage);
        outcome.messages.emplace_back(frame.message);
      }
      if (frame.state == Frame::State::kTooLarge) ++outcome.lost;
      held.erase(0, frame.size);
      if (frame.state == Frame::State::kNeedMore) break;
    }
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t step = data[0] % 7 + 1;
  for (const Framing framing : {Framing::kLine, Framing::kLength}) {
    const Outcome whole = read_all(framing, bytes, bytes.size() + 1);
    HG_CHECK(whole == read_all(framing, bytes, step));
    std::string written;
    for (const std::string& message : whole.messages) {
      FrameMarks marks;
      HG_CHECK(headgate::net::write_marks(framing, message, marks));
      written.append(marks.head.data(), marks.head_size);
      written += message;
      if (marks.tail_size > 0) written += '\n';
    }
    HG_CHECK(read_all(framing, written, written.size() + 1).messages == whole.messages);
  }
  return 0;
}
