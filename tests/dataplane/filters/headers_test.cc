#include "dataplane/filters/headers.h"

#include <gtest/gtest.h>

#include "tests/support/exchange_harness.h"

namespace headgate::filters {
namespace {

using test::Answer;
using test::ExchangeHarness;
using test::FieldList;
using test::HandlerFunction;
using Side = Headers::Side;

// Answers with the request's fields and its authority, and some of its own.
const HandlerFunction kMirror([](http::Exchange& exchange) {
  for (const http::Field& field : exchange.request().headers.fields()) {
    exchange.response().headers.add(exchange.arena().concat("Saw-", field.name), field.value);
  }
  exchange.response().headers.add("Saw-Authority", exchange.request().authority);
  exchange.response().headers.add("Server", "backend");
  exchange.response().headers.add("X-Many", "1");
  exchange.response().headers.add("X-Many", "2");
  exchange.respond_text(200, "text/plain", "ok");
});

std::unique_ptr<Headers> make(Side side, const HeaderOptions& options) {
  std::string why;
  auto made = Headers::create(side, options, &why);
  EXPECT_TRUE(made.has_value()) << why;
  return *std::move(made);
}

TEST(Headers, OfTheRequest) {
  ExchangeHarness harness;
  const auto filter = make(Side::kRequest, {.set = {{"X-Scheme", "$scheme"}, {"User-Agent", "headgate"}},
                                            .add = {{"X-List", "b"}},
                                            .set_if_absent = {{"X-Here", "no"}, {"X-Absent", "$http_x_secret!"}},
                                            .remove = {"x-secret", "Cookie"}});
  const Answer answer = harness.run({.headers = {{"X-Scheme", "evil"},
                                                 {"x-scheme", "worse"},
                                                 {"User-Agent", "curl"},
                                                 {"X-List", "a"},
                                                 {"X-Here", "yes"},
                                                 {"X-Secret", "s"},
                                                 {"Cookie", "a=b"},
                                                 {"Cookie", "c=d"}}},
                                    {filter.get()}, kMirror);
  EXPECT_EQ(answer.count("Saw-X-Scheme"), 1u);
  EXPECT_EQ(answer.header("Saw-X-Scheme"), "http");
  EXPECT_EQ(answer.header("Saw-User-Agent"), "headgate");
  EXPECT_EQ(answer.count("Saw-X-List"), 2u);
  EXPECT_EQ(answer.header("Saw-X-Here"), "yes");
  EXPECT_EQ(answer.header("Saw-X-Absent"), "s!");
  EXPECT_EQ(answer.count("Saw-X-Secret"), 0u);
  EXPECT_EQ(answer.count("Saw-Cookie"), 0u);
  EXPECT_EQ(answer.header("Server"), "backend");
}

TEST(Headers, HostOfTheRequestIsWhatTheUpstreamIsAskedFor) {
  ExchangeHarness harness;
  const auto filter = make(Side::kRequest, {.set = {{"host", "api.internal"}}});
  const Answer answer = harness.run({}, {filter.get()}, kMirror);
  EXPECT_EQ(answer.header("Saw-Host"), "api.internal");
  EXPECT_EQ(answer.header("Saw-Authority"), "api.internal");
}

TEST(Headers, OfTheResponse) {
  ExchangeHarness harness;
  const auto filter = make(Side::kResponse, {.set = {{"X-Many", "one"}, {"X-Status", "$status"}},
                                             .add = {{"Set-Cookie", "a=1"}, {"Set-Cookie", "b=2"}},
                                             .set_if_absent = {{"Server", "no"}},
                                             .remove = {"content-type"}});
  const Answer answer = harness.run({}, {filter.get()}, kMirror);
  EXPECT_EQ(answer.count("X-Many"), 1u);
  EXPECT_EQ(answer.header("X-Many"), "one");
  EXPECT_EQ(answer.header("X-Status"), "200");
  EXPECT_EQ(answer.count("Set-Cookie"), 2u);
  EXPECT_EQ(answer.header("Server"), "backend");
  EXPECT_EQ(answer.count("Content-Type"), 0u);
}

TEST(Headers, NothingSentCanEndALine) {
  ExchangeHarness harness;
  const auto filter = make(Side::kResponse, {.set = {{"X-Path", "$path"}, {"X-Arg", "$arg_a"}}});
  const Answer answer = harness.run({.target = "/a%0d%0aSet-Cookie:x?a=%0d%0ab"}, {filter.get()}, kMirror);
  for (const auto& [name, value] : answer.headers) {
    EXPECT_EQ(value.find('\n'), std::string::npos) << name;
    EXPECT_EQ(value.find('\r'), std::string::npos) << name;
  }
  EXPECT_EQ(answer.header("X-Path"), "/a%0d%0aSet-Cookie:x");
}

TEST(Headers, RefusedOptions) {
  const HeaderOptions refused[] = {
      {.set = {{"Content-Length", "5"}}},       {.set = {{"transfer-encoding", "chunked"}}},
      {.add = {{"Connection", "close"}}},       {.set_if_absent = {{"Upgrade", "h2c"}}},
      {.set = {{"", "x"}}},                     {.set = {{"a b", "x"}}},
      {.set = {{"X-A", "a\r\nb: c"}}},          {.set = {{"X-A", "$no_such_variable"}}},
      {.remove = {"Content-Length"}},           {.remove = {"Host"}},
  };
  for (const HeaderOptions& options : refused) {
    std::string why;
    EXPECT_FALSE(Headers::create(Side::kRequest, options, &why).has_value());
    EXPECT_FALSE(why.empty());
  }
}

}  // namespace
}  // namespace headgate::filters
