// fuzz_watch_stream.cc -- bodies of lists and watches: however they are cut, the same objects come out; none breaks us.
// links: headgate_cp_kube
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "controlplane/kube/codec.h"
#include "controlplane/kube/splitter.h"
#include "controlplane/kube/status.h"

using namespace headgate;        // NOLINT
using namespace headgate::kube;  // NOLINT

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

template <typename Splitter>
std::vector<std::string> cut(std::string_view text, size_t piece) {
  Splitter splitter;
  std::vector<std::string> out;
  for (size_t at = 0; at < text.size(); at += piece) {
    const auto fed = splitter.feed(text.substr(at, piece), [&](std::string_view part) -> Result<void> {
      out.emplace_back(part);
      return {};
    });
    if (!fed) {
      out.emplace_back("failed");
      return out;
    }
  }
  return out;
}

const Codec& codec() {
  static const Codec ingress(ObjectKind::kIngress);
  return ingress;
}

void decode(std::string_view object) {
  std::string why;
  if (const auto decoded = codec().decode(object, why)) {
    require(!name_of(**decoded).name.empty());
  } else {
    require(!why.empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto items = cut<ListSplitter>(text, size + 1);
  require(cut<ListSplitter>(text, 1) == items);
  require(cut<ListSplitter>(text, 7) == items);
  for (const auto& item : items) decode(item);
  const auto lines = cut<LineSplitter>(text, size + 1);
  require(cut<LineSplitter>(text, 1) == lines);
  for (const auto& line : lines) {
    const auto event = parse_watch_event(line);
    if (!event) continue;
    require(event->object.data() >= line.data() && event->object.data() + event->object.size() <= line.data() + line.size());
    resource_version_of_object(event->object);
    decode(event->object);
    parse_status(0, event->object);
  }
  return 0;
}
