// fuzz_dns_message.cc -- messages and records: what reads back must write and print the same again.
// links: headgate_dns
#include <cstdint>

#include "dataplane/base/check.h"
#include "dataplane/dns/cache.h"
#include "dataplane/dns/message.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  using namespace headgate::dns;
  const Bytes bytes(data, size);
  const auto message = parse_message(bytes);
  if (!message.has_value()) return 0;
  const auto written = write_message(*message);
  const auto again = parse_message(written);
  HG_CHECK(again.has_value());
  if (!again->truncated || message->truncated) {
    HG_CHECK(again->answers.size() == message->answers.size());
    HG_CHECK(write_message(*again) == written);
  }
  for (const auto* section : {&message->answers, &message->authorities, &message->additionals}) {
    for (const Record& record : *section) {
      if (record.klass != kClassIn) continue;
      const auto back = parse_rdata(record.type, print_rdata(record.type, record.rdata));
      HG_CHECK(back.has_value() && *back == record.rdata);
    }
  }
  HG_CHECK(write_message(*message, 512).size() <= 512);
  AnswerCache cache;
  if (message->questions.size() != 1 || message->questions[0].name.size() < 2) return 0;
  const auto asked = build_query(message->questions[0].name.view(), message->questions[0].type, 1);
  const QueryView view = parse_query(asked);
  const MonotonicTime now{std::chrono::hours(1)};
  if (cache.store(view, bytes, now) != AnswerCache::Stored::kStored) return 0;
  std::vector<uint8_t> out(65535);
  const size_t used = cache.find(asked, view, out, false, now);
  HG_CHECK(used > 0 && parse_message(Bytes(out).first(used)).has_value());
  return 0;
}
