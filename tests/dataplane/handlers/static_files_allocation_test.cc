// static_files_allocation_test.cc -- a cached file is served without the allocator: counts, not times.
#include <gtest/gtest.h>

#include "dataplane/handlers/static_files.h"
#include "dataplane/http/exchange.h"
#include "tests/support/allocations.h"
#include "tests/support/exchange_harness.h"
#include "tests/support/temp_folder.h"

namespace headgate::handlers {
namespace {

// A transport that only counts: the recording one allocates itself.
class CountingTransport final : public http::ExchangeTransport, public http::ExchangeSink, private http::BodySink {
 public:
  const ConnectionFacts& facts() const override { return facts_; }
  void send_informational(http::Exchange&, const http::ResponseHead&) override {}
  void send_response(http::Exchange& exchange, http::ResponseHead& head, http::BodySource* body) override {
    status = head.status;
    fields = head.headers.size();
    body_ = body;
    if (body != nullptr) body->pull(*this);
    exchange.end();
  }
  http::BodySource& start_tunnel(http::Exchange&, http::ResponseHead&, http::BodySource& from) override { return from; }
  void abort(http::Exchange&, const Error&) override {}
  void on_exchange(http::Exchange&) override {}
  void on_exchange_end(http::Exchange&) override {}
  void on_refused(uint16_t, const Error&) override {}

  uint16_t status = 0;
  size_t fields = 0;
  size_t bytes = 0;
  const char* data = nullptr;  // of the last chunk

 private:
  void on_chunk(Buffer chunk) override {
    bytes += chunk.size();
    data = chunk.data();
    body_->pull(*this);
  }
  void on_end(const http::Trailers*) override {}
  void on_error(const Error&) override {}

  ConnectionFacts facts_;
  http::BodySource* body_ = nullptr;
};

class StaticFilesAllocationTest : public ::testing::Test {
 protected:
  StaticFilesAllocationTest() {
    folder_.write("index.html", std::string(1024, 'x'));
    folder_.write("large.bin", std::string(300'000, 'x'));
    StaticFilesOptions options;
    options.root.path = folder_.path();
    options.cache_control = "max-age=60";
    handler_ = *StaticFiles::create(std::move(options));
  }

  void request(std::string_view path, std::string_view name = "Accept-Encoding", std::string_view value = "gzip, br") {
    const std::unique_ptr<http::Exchange> exchange(new http::Exchange(harness_.worker(), transport_, transport_));
    http::RequestHead& head = exchange->request();
    head.method = http::Method::kGet;
    head.method_text = "GET";
    head.target = path;
    head.path = path;
    head.host = "example.com";
    head.headers.add("Host", "example.com");
    head.headers.add(name, value);
    exchange->start({}, *handler_);
  }
  // Calls of the allocator by 100 requests after some to warm up.
  template <typename Request>
  uint64_t count(Request&& one) {
    for (int i = 0; i < 3; ++i) one();
    const uint64_t before = test::allocations();
    for (int i = 0; i < 100; ++i) one();
    return test::allocations() - before;
  }

  test::TempFolder folder_;
  test::ExchangeHarness harness_;
  CountingTransport transport_;
  std::unique_ptr<StaticFiles> handler_;
};

TEST_F(StaticFilesAllocationTest, TheCountWorks) {
  if (!test::allocations_counted()) GTEST_SKIP() << "a sanitizer owns the allocator";
  const uint64_t before = test::allocations();
  const auto made = std::make_unique<std::string>(1000, 'x');
  EXPECT_EQ(made->size(), 1000u);
  EXPECT_EQ(test::allocations(), before + 2);
}

TEST_F(StaticFilesAllocationTest, ACachedFileCostsNone) {
  if (!test::allocations_counted()) GTEST_SKIP() << "a sanitizer owns the allocator";
  EXPECT_EQ(count([this] { request("/index.html"); }), 0u);
  EXPECT_EQ(transport_.status, 200);
  EXPECT_EQ(transport_.bytes, 103u * 1024);
  EXPECT_EQ(count([this] { request("/"); }), 0u);
  EXPECT_EQ(count([this] { request("/index%2ehtml"); }), 0u);
  EXPECT_EQ(transport_.status, 200);
  EXPECT_EQ(count([this] { request("/index.html", "If-None-Match", "*"); }), 0u);
  EXPECT_EQ(transport_.status, 304);
  EXPECT_EQ(count([this] { request("/index.html", "Range", "bytes=0-9,20-29"); }), 0u);
  EXPECT_EQ(transport_.status, 206);
  EXPECT_EQ(count([this] { request("/large.bin"); }), 0u);
  EXPECT_EQ(transport_.status, 200);
  EXPECT_EQ(count([this] { request("/nothing"); }), 0u);
  EXPECT_EQ(transport_.status, 404);
}

TEST_F(StaticFilesAllocationTest, ASmallFileIsNotCopied) {
  request("/index.html");
  const char* first = transport_.data;
  request("/index.html");
  EXPECT_EQ(transport_.data, first);
}

}  // namespace
}  // namespace headgate::handlers
