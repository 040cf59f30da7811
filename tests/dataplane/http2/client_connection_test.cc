// client_connection_test.cc -- http2::ClientConnection against frames written by hand over a socket pair, on a fake
// clock: what is safe to repeat, how many streams there are, and when it all ends. Exchanges with real peers are tested
// in e2e/local/test_http2_upstream.py.
#include "dataplane/http2/client_connection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/counters.h"
#include "dataplane/base/random.h"
#include "dataplane/net/socket_stream.h"

namespace headgate::http2 {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

struct Call final : http::ClientObserver {
  Call() : head(arena), answer(arena) {
    head.method = http::Method::kGet;
    head.method_text = "GET";
    head.target = "/";
    head.authority = "a";
  }
  void on_informational(const http::ResponseHead&) override {}
  void on_response_head(http::BodySource*, BlockRef) override { answered = true; }
  void on_tunnel(http::BodySource&, BlockRef) override {}
  void on_failed(const Error& why) override { error = why; }

  Arena arena;
  http::RequestHead head;
  http::ResponseHead answer;
  bool answered = false;
  std::optional<Error> error;
};

class ClientConnectionTest : public testing::Test, private ClientConnectionOwner {
 protected:
  void SetUp() override {
    loop_.run_once(Duration::zero());
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    endpoint_ = ends[1];
    auto stream = net::SocketStream::open(loop_, UniqueFd(ends[0]), ConnectionFacts{});
    ASSERT_TRUE(stream.has_value());
    connection_.reset(new ClientConnection(worker_, std::move(*stream), limits_, life_, *this));
    connection_->start();
  }
  void TearDown() override {
    if (connection_ != nullptr) connection_->close_now();
    loop_.run_once(Duration::zero());
    ::close(endpoint_);
  }

  // False: there is no room.
  bool call(Call& one, Duration response = seconds(60)) {
    http::ClientStream* const stream = connection_->open();
    if (stream == nullptr) return false;
    stream->send(one.head, nullptr, one.answer, {.response = response}, one);
    return true;
  }
  void say(uint8_t type, uint8_t flags, uint32_t id, std::string_view payload = {}) {
    std::string frame;
    for (int shift = 16; shift >= 0; shift -= 8) frame += static_cast<char>(payload.size() >> shift);
    frame += static_cast<char>(type);
    frame += static_cast<char>(flags);
    frame += number(id);
    frame += payload;
    ASSERT_EQ(::write(endpoint_, frame.data(), frame.size()), static_cast<ssize_t>(frame.size()));
  }
  static std::string number(uint32_t value) {
    std::string text;
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift);
    return text;
  }
  void settings(std::string_view payload = {}) { say(NGHTTP2_SETTINGS, 0, 0, payload); }
  void turn(Duration later = Duration::zero()) {
    clock_.advance(later);
    for (int i = 0; i < 4; ++i) loop_.run_once(Duration::zero());
  }

  FakeClock clock_;
  event::Loop loop_{clock_};
  Counters counters_;
  Random random_{1};
  WorkerContext worker_{.loop = loop_, .counters = counters_, .random = random_};
  http::HttpLimits limits_;
  ClientConnection::Life life_{.idle = seconds(30), .max_age = seconds(300)};
  std::array<Call, 5> calls_;  // outlive the connection, which tells them that it closes
  std::unique_ptr<ClientConnection> connection_;
  int endpoint_ = -1;
  int room_ = 0;

 private:
  void on_room(ClientConnection&) override { ++room_; }
  void on_connection_closed(ClientConnection&) override { loop_.defer_delete(std::move(connection_)); }
};

TEST_F(ClientConnectionTest, OneRequestGoesAheadOfSettingsAndThenAsManyAsTheEndpointTakes) {
  auto& calls = calls_;
  EXPECT_TRUE(call(calls[0]));
  EXPECT_FALSE(call(calls[1]));
  settings(std::string("\0\3", 2) + number(3));  // SETTINGS_MAX_CONCURRENT_STREAMS
  turn();
  EXPECT_EQ(room_, 1);
  EXPECT_TRUE(call(calls[1]));
  EXPECT_TRUE(call(calls[2]));
  EXPECT_FALSE(call(calls[3]));
  turn();
  say(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, "\x88");
  turn();
  EXPECT_TRUE(calls[0].answered);
  EXPECT_EQ(calls[0].answer.status, 200);
  EXPECT_EQ(room_, 2);
  EXPECT_TRUE(call(calls[3]));
  EXPECT_FALSE(call(calls[4]));
}

TEST_F(ClientConnectionTest, SaysWhatIsSafeToRepeat) {
  settings();
  turn();
  auto& calls = calls_;
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(call(calls[i]));
  turn();
  say(NGHTTP2_RST_STREAM, 0, 1, number(NGHTTP2_REFUSED_STREAM));
  say(NGHTTP2_RST_STREAM, 0, 3, number(NGHTTP2_CANCEL));
  turn();
  ASSERT_TRUE(calls[0].error && calls[1].error);
  EXPECT_EQ(calls[0].error->code, Errc::kRefused);
  EXPECT_EQ(calls[0].error->retry, Retry::kYes);
  EXPECT_EQ(calls[1].error->code, Errc::kReset);
  EXPECT_EQ(calls[1].error->retry, Retry::kNo);
  // GOAWAY: stream 5 is served, stream 7 is not.
  say(NGHTTP2_GOAWAY, 0, 0, number(5) + number(NGHTTP2_NO_ERROR));
  turn();
  ASSERT_TRUE(calls[3].error);
  EXPECT_EQ(calls[3].error->code, Errc::kRefused);
  EXPECT_EQ(calls[3].error->retry, Retry::kIfConnectionWasReused);
  EXPECT_FALSE(calls[2].error);
  Call& late = calls_[0];
  EXPECT_FALSE(call(late));
  say(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 5, "\x88");
  turn();
  EXPECT_TRUE(calls[2].answered);
  turn(seconds(3));
  turn(seconds(3));
  EXPECT_EQ(connection_, nullptr);
}

TEST_F(ClientConnectionTest, ALostConnectionIsHarmlessOnlyWhenItWasResting) {
  settings();
  turn();
  Call& first = calls_[0];
  ASSERT_TRUE(call(first));
  turn();
  say(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, "\x88");
  turn();
  Call& stale = calls_[1];
  ASSERT_TRUE(call(stale));
  turn();
  ::shutdown(endpoint_, SHUT_RDWR);
  turn();
  ASSERT_TRUE(stale.error);
  EXPECT_EQ(stale.error->origin, Origin::kUpstream);
  EXPECT_EQ(stale.error->retry, Retry::kIfConnectionWasReused);
}

TEST_F(ClientConnectionTest, AFirstRequestThatIsLostIsNotSaidToBeHarmless) {
  settings();
  turn();
  Call& only = calls_[0];
  ASSERT_TRUE(call(only));
  turn();
  ::shutdown(endpoint_, SHUT_RDWR);
  turn();
  ASSERT_TRUE(only.error);
  EXPECT_EQ(only.error->retry, Retry::kNo);
}

TEST_F(ClientConnectionTest, AnEndpointThatSaysNothingIsNotAskedAgainOnThisConnection) {
  settings();
  turn();
  Call& slow = calls_[0];
  Call& next = calls_[1];
  ASSERT_TRUE(call(slow, seconds(2)));
  turn();  // the request is sent: now the endpoint is waited for
  turn(milliseconds(1900));
  EXPECT_FALSE(slow.error);
  turn(milliseconds(200));
  ASSERT_TRUE(slow.error);
  EXPECT_EQ(slow.error->code, Errc::kTimeout);
  EXPECT_TRUE(connection_ == nullptr || !call(next));
}

TEST_F(ClientConnectionTest, EndsWhenNobodyUsesItAndAtItsAge) {
  settings();
  turn(seconds(29));
  ASSERT_NE(connection_, nullptr);
  EXPECT_TRUE(connection_->has_room());
  turn(seconds(2));
  EXPECT_TRUE(connection_ == nullptr || !connection_->has_room());
}

TEST_F(ClientConnectionTest, WhatIsNoHttp2FailsTheRequest) {
  Call& one = calls_[0];
  ASSERT_TRUE(call(one));
  turn();
  ASSERT_GT(::write(endpoint_, "HTTP/1.1 400 Bad Request\r\n\r\n", 28), 0);
  turn();
  ASSERT_TRUE(one.error);
  EXPECT_EQ(one.error->code, Errc::kMalformed);
  EXPECT_EQ(one.error->origin, Origin::kUpstream);
}

TEST_F(ClientConnectionTest, PingsAreFreeAsFarAsDataGoes) {
  AbuseBudget budget;
  const MonotonicTime now = clock_.now();
  for (int i = 0; i < 1000; ++i) budget.note_data_frame();
  for (int i = 0; i < 1100; ++i) ASSERT_TRUE(budget.allow_ping(now)) << i;
  EXPECT_FALSE(budget.allow_ping(now));
}

}  // namespace
}  // namespace headgate::http2
