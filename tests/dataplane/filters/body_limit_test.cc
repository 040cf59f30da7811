#include "dataplane/filters/body_limit.h"

#include <gtest/gtest.h>

#include "tests/support/exchange_harness.h"

namespace headgate::filters {
namespace {

using test::Answer;
using test::ExchangeHarness;
using test::HandlerFunction;
using test::RequestText;

// Answers with the size of the body, or as the error of the body says.
class CountBody final : public http::Handler {
  class CountRun final : public http::Run, private http::BodySink {
   public:
    explicit CountRun(http::Exchange& exchange) : exchange_(exchange) {}
    void begin() {
      if (exchange_.request_body() == nullptr) {
        on_end(nullptr);
      } else {
        exchange_.request_body()->pull(*this);
      }
    }

   private:
    void on_chunk(Buffer chunk) override {
      size_ += chunk.size();
      exchange_.request_body()->pull(*this);
    }
    void on_end(const http::Trailers*) override {
      exchange_.respond_text(200, "text/plain", exchange_.arena().copy(std::to_string(size_)));
    }
    void on_error(const Error& error) override { exchange_.respond_error(error); }
    http::Exchange& exchange_;
    size_t size_ = 0;
  };

 public:
  http::Run* start(http::Exchange& exchange, WorkerContext&) const override {
    auto* run = exchange.arena().make<CountRun>(exchange);
    run->begin();
    return run;
  }
};

TEST(BodyLimit, Table) {
  struct Row {
    uint64_t limit;
    std::vector<std::string> body;
    bool chunked;
    uint16_t status;
    const char* text;
  };
  const Row rows[] = {
      {10, {}, false, 200, "0"},
      {10, {"12345", "67890"}, false, 200, "10"},
      {10, {"12345", "678901"}, false, 413, nullptr},
      {10, {"12345", "67890"}, true, 200, "10"},
      {10, {"12345", "678901"}, true, 413, nullptr},
      {10, {"12345", "67890", "1"}, true, 413, nullptr},
      {0, {std::string(100'000, 'x')}, true, 200, "100000"},
      {0, {std::string(100'000, 'x')}, false, 200, "100000"},
  };
  for (const auto pace : {test::ScriptedBody::Pace::kAtOnce, test::ScriptedBody::Pace::kLater}) {
    for (const Row& row : rows) {
      ExchangeHarness harness;
      harness.request_pace = pace;
      const BodyLimit limit(row.limit);
      const Answer answer =
          harness.run({.method = "POST", .body = row.body, .has_body = true, .chunked = row.chunked}, {&limit}, CountBody());
      EXPECT_EQ(answer.status, row.status);
      if (row.text != nullptr) {
        EXPECT_EQ(answer.body, row.text);
      }
    }
  }
}

TEST(BodyLimit, AToldLengthIsRefusedBeforeAByteIsRead) {
  ExchangeHarness harness;
  const BodyLimit limit(10);
  harness.begin({.method = "POST", .body = {"12345678901"}}, {&limit}, CountBody());
  EXPECT_EQ(harness.answer().status, 413);
  EXPECT_EQ(harness.request_body()->pulls(), 0u);
}

}  // namespace
}  // namespace headgate::filters
