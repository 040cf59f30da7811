// rest_test.cc -- what is tried again, what is not, and how failures read.
#include "controlplane/kube/rest.h"

#include <gtest/gtest.h>

#include "tests/controlplane/kube/api_fixture.h"

namespace headgate::kube {
namespace {

using RestTest = ApiTest;

constexpr Effort kQuickEffort{.tries = 4, .backoff = kQuick};

TEST_F(RestTest, Verbs) {
  Transport transport(config_of(server));
  const Rest rest(transport, {}, kQuickEffort);
  const std::string services = "/api/v1/namespaces/shop/services";
  EXPECT_EQ(rest.post(services, R"({"metadata":{"name":"a"},"spec":{"x":1}})").code, 201);
  EXPECT_EQ(rest.post(services, R"({"metadata":{"name":"a"}})").status.reason, "AlreadyExists");
  EXPECT_TRUE(rest.patch(services + "/a", PatchType::kMerge, R"({"spec":{"y":2}})").ok());
  EXPECT_TRUE(rest.patch(services + "/a", PatchType::kJson, R"([{"op":"remove","path":"/spec/x"}])").ok());
  EXPECT_EQ((*server.find("services", "shop", "a"))["spec"], (FakeApiServer::Json{{"y", 2}}));
  EXPECT_TRUE(rest.put(services + "/a", R"({"metadata":{"name":"a","namespace":"shop"}})").ok());
  EXPECT_TRUE(rest.get(services + "/a").ok());
  EXPECT_TRUE(rest.remove(services + "/a").ok());
  const Answer gone = rest.get(services + "/a");
  EXPECT_EQ(gone.code, 404);
  EXPECT_EQ(gone.why(), "404 NotFound: scripted: NotFound");
}

TEST_F(RestTest, OverloadIsTriedAgain) {
  Transport transport(config_of(server));
  const Rest rest(transport, {}, kQuickEffort);
  server.answer("/a", 2, 429, "slow down", "0");
  server.answer("/a", 1, 503, "", "0");
  server.answer("/a", 1, 200, "fine");
  EXPECT_EQ(rest.post("/a", "{}").body, "fine");
  EXPECT_EQ(server.count("POST /a"), 4U);
  // A 500 that does not say when may have done its work.
  server.answer("/b", 9, 500, "first line\nsecond");
  const Answer answer = rest.put("/b", "{}");
  EXPECT_EQ(answer.why(), "500: first line");
  EXPECT_EQ(server.count("PUT /b"), 1U);
  server.answer("/c", 9, 429, "");
  EXPECT_EQ(rest.get("/c").code, 429);
  EXPECT_EQ(server.count("GET /c"), 4U);
}

TEST_F(RestTest, NoConnection) {
  const Config config = config_of(server);
  server.stop();
  Transport transport(config);
  const Answer answer = Rest(transport, {}, kQuickEffort).get("/a");
  EXPECT_EQ(answer.code, 0);
  EXPECT_EQ(answer.error.code, Errc::kRefused);
  EXPECT_FALSE(answer.why().empty());
}

TEST_F(RestTest, StopEndsTheWait) {
  Transport transport(config_of(server));
  std::stop_source stop;
  server.answer("/a", 99, 429, "", "60");
  server.on_request([&](const std::string&) { stop.request_stop(); });
  const Answer answer = Rest(transport, stop.get_token(), {.tries = 99}).get("/a");
  EXPECT_FALSE(answer.ok());
  EXPECT_EQ(server.count("/a"), 1U);
}

TEST(Paths, NamesCannotLeaveTheirPlace) {
  EXPECT_EQ(encode_segment("a/../b?c d"), "a%2F..%2Fb%3Fc%20d");
  EXPECT_EQ(encode_query("app=web,tier in (a)&x"), "app%3Dweb,tier%20in%20%28a%29%26x");
}

TEST(StatusTest, OfABody) {
  const Status status = parse_status(504, R"({"kind":"Status","reason":"Timeout","message":"m","code":504,
      "details":{"retryAfterSeconds":3,"causes":[{"reason":"ResourceVersionTooLarge"}]}})");
  EXPECT_EQ(status.reason, "Timeout");
  EXPECT_EQ(status.cause, "ResourceVersionTooLarge");
  EXPECT_EQ(status.retry_after, std::chrono::seconds(3));
  EXPECT_EQ(parse_status(0, R"({"kind":"Status","code":410})").code, 410);
  EXPECT_EQ(parse_status(502, "<html>\n").message, "<html>");
  EXPECT_EQ(parse_status(0, R"({"kind":"Status","code":"x","reason":7,"details":[],"message":{}})").code, 0);
}

TEST(BackoffTest, DoublesWithJitterAndForgets) {
  Backoff backoff({.first = std::chrono::seconds(1), .most = std::chrono::seconds(4), .calm = std::chrono::minutes(1)});
  FakeClock clock;
  for (const int expected : {1, 2, 4, 4}) {
    const Duration wait = backoff.next(clock.now());
    EXPECT_GE(wait, std::chrono::seconds(expected));
    EXPECT_LE(wait, std::chrono::seconds(2 * expected));
  }
  clock.advance(std::chrono::seconds(61));
  EXPECT_LE(backoff.next(clock.now()), std::chrono::seconds(2));
}

}  // namespace
}  // namespace headgate::kube
