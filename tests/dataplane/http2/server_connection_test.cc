// server_connection_test.cc -- http2::ServerConnection against an nghttp2 client over a socket pair, on a fake clock.
#include "dataplane/http2/server_connection.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "dataplane/base/counters.h"
#include "dataplane/base/random.h"
#include "dataplane/http/date.h"
#include "dataplane/net/socket_stream.h"
#include "tests/support/exchange_harness.h"

namespace headgate::http2 {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using test::FieldList;

struct Got {
  FieldList fields;
  FieldList trailers;
  std::vector<std::string> interim;
  std::string body;
  bool ended = false;
  std::optional<uint32_t> reset;  // error code of RST_STREAM
  [[nodiscard]] std::string_view field(std::string_view name) const {
    for (const auto& [key, value] : fields) {
      if (key == name) return value;
    }
    return {};
  }
};

struct Upload {
  std::string data;
  size_t sent = 0;
  bool open = false;  // more may come
};

class ServerTest : public testing::Test, private http::ExchangeSink, private ServerConnectionOwner {
 protected:
  void SetUp() override {
    worker_.date = &date_;
    loop_.run_once(Duration::zero());
    std::array<int, 2> ends{};
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
    client_fd_ = ends[1];
    auto stream = net::SocketStream::open(loop_, UniqueFd(ends[0]), ConnectionFacts{});
    ASSERT_TRUE(stream.has_value());
    server_.reset(new ServerConnection(worker_, std::move(*stream), limits_, *this, *this, http::Scheme::kHttp));
    server_->start({});
    make_client();
  }
  void TearDown() override {
    if (server_ != nullptr) server_->close_now();
    loop_.run_once(Duration::zero());
    nghttp2_session_del(client_);
    if (client_fd_ >= 0) ::close(client_fd_);
    EXPECT_EQ(started_, ended_);
  }

  void make_client() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                      const uint8_t* value, size_t value_size, uint8_t, void* user) {
          auto& got = static_cast<ServerTest*>(user)->got_[frame->hd.stream_id];
          std::string key(reinterpret_cast<const char*>(name), name_size);
          std::string text(reinterpret_cast<const char*>(value), value_size);
          if (key == ":status" && text[0] == '1') {
            got.interim.push_back(text);
          } else {
            (got.field(":status").empty() || got.body.empty() ? got.fields : got.trailers).emplace_back(key, text);
          }
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks, [](nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size, void* user) {
          auto* test = static_cast<ServerTest*>(user);
          test->got_[id].body.append(reinterpret_cast<const char*>(data), size);
          test->held_ += size;
          if (test->take_) test->give_back(id);
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame* frame, void* user) {
          auto* test = static_cast<ServerTest*>(user);
          if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
              (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
            test->got_[frame->hd.stream_id].ended = true;
          }
          if (frame->hd.type == NGHTTP2_RST_STREAM) test->got_[frame->hd.stream_id].reset = frame->rst_stream.error_code;
          if (frame->hd.type == NGHTTP2_GOAWAY) {
            test->goaways_.emplace_back(frame->goaway.last_stream_id, frame->goaway.error_code);
          }
          return 0;
        });
    nghttp2_option* options = nullptr;
    nghttp2_option_new(&options);
    nghttp2_option_set_no_auto_window_update(options, 1);
    nghttp2_option_set_no_http_messaging(options, 1);  // so that it sends what is wrong
    nghttp2_session_client_new2(&client_, callbacks, this, options);
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(client_, NGHTTP2_FLAG_NONE, client_settings_.data(), client_settings_.size());
  }

  void give_back(int32_t id) { nghttp2_session_consume(client_, id, std::exchange(held_, 0)); }

  int32_t request(const FieldList& fields, Upload* upload = nullptr) {
    std::vector<nghttp2_nv> list;
    for (const auto& [name, value] : fields) {
      list.push_back({reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                      reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(), 0});
    }
    nghttp2_data_provider provider{};
    provider.source.ptr = upload;
    provider.read_callback = [](nghttp2_session*, int32_t, uint8_t* into, size_t most, uint32_t* flags,
                                nghttp2_data_source* source, void*) -> ssize_t {
      auto* from = static_cast<Upload*>(source->ptr);
      const size_t size = std::min(most, from->data.size() - from->sent);
      if (size == 0 && from->open) return NGHTTP2_ERR_DEFERRED;
      std::memcpy(into, from->data.data() + from->sent, size);
      from->sent += size;
      if (from->sent == from->data.size() && !from->open) *flags |= NGHTTP2_DATA_FLAG_EOF;
      return static_cast<ssize_t>(size);
    };
    return nghttp2_submit_request(client_, nullptr, list.data(), list.size(), upload != nullptr ? &provider : nullptr,
                                  nullptr);
  }
  static FieldList get(const std::string& path, const FieldList& more = {}, const std::string& method = "GET") {
    FieldList fields = {{":method", method}, {":scheme", "http"}, {":authority", "Example.com:80"}, {":path", path}};
    fields.insert(fields.end(), more.begin(), more.end());
    return fields;
  }

  void raw(std::string_view bytes) { ASSERT_EQ(::write(client_fd_, bytes.data(), bytes.size()), ssize_t(bytes.size())); }
  static std::string frame(uint8_t type, uint8_t flags, uint32_t id, std::string_view payload) {
    std::string out;
    for (int shift = 16; shift >= 0; shift -= 8) out += static_cast<char>(payload.size() >> shift);
    out += static_cast<char>(type);
    out += static_cast<char>(flags);
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(id >> shift);
    return out + std::string(payload);
  }

  // Both sides until neither has anything to say.
  void turn(int times = 6) {
    for (int i = 0; i < times; ++i) {
      while (client_fd_ >= 0) {
        const uint8_t* data = nullptr;
        const ssize_t size = nghttp2_session_mem_send(client_, &data);
        if (size <= 0) break;
        if (::send(client_fd_, data, static_cast<size_t>(size), MSG_NOSIGNAL) < 0) break;
      }
      loop_.run_once(Duration::zero());
      std::array<uint8_t, 65536> buffer;
      for (;;) {
        const ssize_t size = ::read(client_fd_, buffer.data(), buffer.size());
        if (size == 0) saw_eof_ = true;
        if (size <= 0) break;
        received_ += static_cast<size_t>(size);
        nghttp2_session_mem_recv(client_, buffer.data(), static_cast<size_t>(size));
      }
    }
  }
  void pass(Duration time) {
    for (Duration done{}; done < time; done += milliseconds(500)) {
      clock_.advance(milliseconds(500));
      turn(2);
    }
  }

  void on_exchange(http::Exchange& exchange) override {
    ++started_;
    handler_(exchange);
  }
  void on_exchange_end(http::Exchange& exchange) override {
    if (exchange.request().host.empty() || refused_exchange_) return;
    ++ended_;
    last_error_ = exchange.failed ? exchange.error.detail : "";
  }
  void on_refused(uint16_t status, const Error&) override { refused_.push_back(status); }
  void on_http2_closed() override {
    closed_ = true;
    loop_.defer_delete(std::move(server_));
  }

  FakeClock clock_;
  event::Loop loop_{clock_};
  Counters counters_;
  Random random_{1};
  http::DateCache date_;
  WorkerContext worker_{.loop = loop_, .counters = counters_, .random = random_};
  http::HttpLimits limits_{.header_bytes = 8192, .header_fields = 20, .target_bytes = 1000, .body_bytes = 1000000};
  std::vector<nghttp2_settings_entry> client_settings_;
  std::function<void(http::Exchange&)> handler_ = [](http::Exchange& exchange) {
    exchange.respond_text(200, "text/plain", "hello");
  };
  std::unique_ptr<ServerConnection> server_;
  nghttp2_session* client_ = nullptr;
  int client_fd_ = -1;
  std::map<int32_t, Got> got_;
  std::vector<std::pair<int32_t, uint32_t>> goaways_;
  std::vector<uint16_t> refused_;
  std::string last_error_;
  size_t received_ = 0;
  size_t held_ = 0;   // of the client's window
  bool take_ = true;  // the client gives its window back at once
  int started_ = 0;
  int ended_ = 0;
  bool refused_exchange_ = false;
  bool saw_eof_ = false;
  bool closed_ = false;
};

TEST_F(ServerTest, AnswersManyStreamsInOneWrite) {
  std::vector<int32_t> ids;
  for (int i = 0; i < 50; ++i) ids.push_back(request(get("/a?b=" + std::to_string(i))));
  turn();
  for (const int32_t id : ids) {
    EXPECT_EQ(got_[id].field(":status"), "200");
    EXPECT_EQ(got_[id].field("content-length"), "5");
    EXPECT_EQ(got_[id].body, "hello");
    EXPECT_TRUE(got_[id].ended);
    EXPECT_FALSE(got_[id].reset);
  }
  EXPECT_EQ(ended_, 50);
  EXPECT_EQ(last_error_, "");
  EXPECT_TRUE(server_->idle());
}

class FewStreamsTest : public ServerTest {
 protected:
  FewStreamsTest() { limits_.max_streams = 3; }
};

TEST_F(FewStreamsTest, WhoDoesNotKnowTheLimitIsToldAndWhoKnowsItWaits) {
  std::vector<int32_t> ids;
  for (int i = 0; i < 5; ++i) ids.push_back(request(get("/")));  // before our SETTINGS have arrived
  turn();
  EXPECT_EQ(nghttp2_session_get_remote_settings(client_, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS), 3U);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(got_[ids[i]].field(":status"), i < 3 ? "200" : "") << i;
    EXPECT_EQ(got_[ids[i]].reset, i < 3 ? std::nullopt : std::optional<uint32_t>(NGHTTP2_REFUSED_STREAM)) << i;
  }
  ids.clear();
  for (int i = 0; i < 5; ++i) ids.push_back(request(get("/")));
  turn();
  for (const int32_t id : ids) EXPECT_EQ(got_[id].field(":status"), "200");
  EXPECT_EQ(ended_, 8);
}

TEST_F(ServerTest, HeadIsThatOfTheRequest) {
  handler_ = [](http::Exchange& exchange) {
    const http::RequestHead& head = exchange.request();
    EXPECT_EQ(head.version, http::Version::kHttp2);
    EXPECT_EQ(head.host, "example.com");
    EXPECT_EQ(head.authority, "Example.com:80");
    EXPECT_EQ(head.path, "/b");
    EXPECT_EQ(head.query, "q");
    EXPECT_EQ(head.headers.get(http::FieldId::kHost), "Example.com:80");
    EXPECT_EQ(head.headers.get(http::FieldId::kCookie), "a=1; b=2; c=3");
    EXPECT_EQ(head.headers.count(http::FieldId::kCookie), 1U);
    EXPECT_FALSE(head.headers.find("under_score"));
    EXPECT_EQ(head.headers.get("x-y"), "z");
    exchange.respond_text(200, "", "");
  };
  const int32_t id = request(get("/a/../b?q", {{"cookie", "a=1"}, {"x-y", "z"}, {"cookie", "b=2"}, {"under_score", "u"},
                                               {"host", "other"}, {"cookie", "c=3"}}));
  turn();
  EXPECT_EQ(got_[id].field(":status"), "200");
  EXPECT_EQ(started_, 1);
}

TEST_F(ServerTest, EchoesABodyLargerThanTheWindows) {
  handler_ = [](http::Exchange& exchange) { exchange.respond(exchange.request_body()); };
  take_ = false;
  Upload upload{std::string(900000, 'x')};
  const int32_t id = request(get("/", {}, "POST"), &upload);
  turn(200);
  EXPECT_EQ(got_[id].body.size(), 65535U);
  EXPECT_LT(upload.sent, 700000U);          // the echo stopped reading what it could not send
  for (int i = 0; i < 40; ++i) {
    give_back(id);
    turn(10);
  }
  EXPECT_EQ(got_[id].body, upload.data);
  EXPECT_TRUE(got_[id].ended);
}

TEST_F(ServerTest, TrailersAndInterimAnswers) {
  handler_ = [](http::Exchange& exchange) {
    http::ResponseHead hints(exchange.arena());
    hints.status = 103;
    exchange.respond_informational(hints);
    auto* body = exchange.arena().make<test::ScriptedBody>(exchange.worker().loop, std::vector<std::string>{"one", "two"},
                                                           test::ScriptedBody::Pace::kLater);
    auto* trailers = exchange.arena().make<http::Trailers>(exchange.arena());
    trailers->add("Grpc-Status", "0");
    trailers->add("Transfer-Encoding", "no");
    body->set_trailers(trailers);
    exchange.response().headers.add("Connection", "close");
    exchange.response().headers.add("X-A", "b");
    exchange.respond(body);
  };
  const int32_t id = request(get("/"));
  turn(12);
  const Got& got = got_[id];
  EXPECT_EQ(got.interim, std::vector<std::string>{"103"});
  EXPECT_EQ(got.body, "onetwo");
  EXPECT_EQ(got.trailers, (FieldList{{"grpc-status", "0"}}));
  EXPECT_EQ(got.field("x-a"), "b");
  EXPECT_EQ(got.field("connection"), "");
  EXPECT_TRUE(got.ended);
}

// gRPC servers may say how long a message is; its status comes behind it all the same.
TEST_F(ServerTest, TrailersFollowABodyOfKnownLength) {
  for (const auto pace : {test::ScriptedBody::Pace::kAtOnce, test::ScriptedBody::Pace::kLater}) {
    handler_ = [pace](http::Exchange& exchange) {
      auto* body = exchange.arena().make<test::ScriptedBody>(exchange.worker().loop, std::vector<std::string>{"abc"}, pace);
      auto* trailers = exchange.arena().make<http::Trailers>(exchange.arena());
      trailers->add("grpc-status", "0");
      body->set_trailers(trailers);
      exchange.response().content_length = 3;
      exchange.respond(body);
    };
    const int32_t id = request(get("/"));
    turn(12);
    EXPECT_EQ(got_[id].field("content-length"), "3");
    EXPECT_EQ(got_[id].body, "abc");
    EXPECT_EQ(got_[id].trailers, (FieldList{{"grpc-status", "0"}}));
    EXPECT_TRUE(got_[id].ended);
  }
}

TEST_F(ServerTest, ExtendedConnectIsATunnel) {
  handler_ = [](http::Exchange& exchange) {
    EXPECT_EQ(exchange.request().method, http::Method::kGet);
    EXPECT_EQ(exchange.request().protocol, "websocket");
    EXPECT_EQ(exchange.request().headers.get("sec-websocket-key").size(), 24U);
    EXPECT_EQ(exchange.request_body(), nullptr);
    auto* from_upstream = exchange.arena().make<test::ScriptedBody>(
        exchange.worker().loop, std::vector<std::string>{"from upstream"}, test::ScriptedBody::Pace::kLater);
    exchange.response().status = 101;
    exchange.response().headers.add("Sec-WebSocket-Accept", "x");
    exchange.start_tunnel(*from_upstream);
  };
  Upload upload{"to upstream", 0, true};
  const int32_t id = request({{":method", "CONNECT"}, {":protocol", "websocket"}, {":scheme", "http"}, {":path", "/chat"},
                              {":authority", "a"}, {"sec-websocket-version", "13"}}, &upload);
  turn(12);
  EXPECT_EQ(got_[id].field(":status"), "200");
  EXPECT_EQ(got_[id].field("sec-websocket-accept"), "");
  EXPECT_EQ(got_[id].body, "from upstream");
  EXPECT_TRUE(got_[id].ended);
  EXPECT_FALSE(got_[id].reset);  // half closed: the client may still speak
  EXPECT_EQ(ended_, 0);
  upload.open = false;
  nghttp2_session_resume_data(client_, id);
  turn();
  EXPECT_EQ(ended_, 1);
}

TEST_F(ServerTest, RefusesBadRequests) {
  refused_exchange_ = true;
  handler_ = [](http::Exchange&) { ADD_FAILURE() << "forwarded"; };
  const auto reset_of = [this](const FieldList& fields) {
    const int32_t id = request(fields);
    turn();
    EXPECT_TRUE(got_[id].fields.empty());
    return got_[id].reset.value_or(0);
  };
  EXPECT_EQ(reset_of(get("/", {{"connection", "close"}})), uint32_t{NGHTTP2_PROTOCOL_ERROR});
  EXPECT_EQ(reset_of(get("/", {{"transfer-encoding", "chunked"}})), uint32_t{NGHTTP2_PROTOCOL_ERROR});
  EXPECT_EQ(reset_of(get("/", {{"te", "gzip"}})), uint32_t{NGHTTP2_PROTOCOL_ERROR});
  EXPECT_EQ(reset_of(get("/", {{"x", "a\r\nb: c"}})), uint32_t{NGHTTP2_PROTOCOL_ERROR});
  EXPECT_EQ(reset_of(get("/", {{"x y", "a"}})), uint32_t{NGHTTP2_PROTOCOL_ERROR});
  EXPECT_EQ(reset_of(get("/a#b")), uint32_t{NGHTTP2_PROTOCOL_ERROR});
  EXPECT_EQ(reset_of(get("/a b")), uint32_t{NGHTTP2_PROTOCOL_ERROR});
  EXPECT_EQ(reset_of(get("a")), uint32_t{NGHTTP2_PROTOCOL_ERROR});
  EXPECT_EQ(reset_of(get("/", {{":path", "/"}})), uint32_t{NGHTTP2_PROTOCOL_ERROR});
  EXPECT_EQ(reset_of(get("/", {{"content-length", "1"}})), uint32_t{NGHTTP2_PROTOCOL_ERROR});
  EXPECT_EQ(reset_of(get("/", {{"content-length", "1"}, {"content-length", "2"}})), uint32_t{NGHTTP2_PROTOCOL_ERROR});
  const auto status_of = [this](const FieldList& fields, Upload* upload = nullptr) {
    const int32_t id = request(fields, upload);
    turn();
    return std::string(got_[id].field(":status"));
  };
  EXPECT_EQ(status_of(get("/%zz")), "400");
  EXPECT_EQ(status_of(get("/../..")), "400");
  EXPECT_EQ(status_of(get("/" + std::string(2000, 'a'))), "414");
  EXPECT_EQ(status_of(get("/", {{"x", std::string(9000, 'a')}})), "431");
  EXPECT_EQ(status_of(get("/", FieldList(30, {"x", "y"}))), "431");
  Upload large{std::string(10, 'x'), 0, true};
  EXPECT_EQ(status_of(get("/", {{"content-length", "2000000"}}, "POST"), &large), "413");
  started_ = ended_ = 0;
  EXPECT_FALSE(closed_);
}

TEST_F(ServerTest, RapidResetIsStopped) {
  int running = 0;
  int most = 0;
  handler_ = [&](http::Exchange&) { most = std::max(most, ++running); };  // never answers
  turn();
  const char cancel[] = {0, 0, 0, NGHTTP2_CANCEL};
  for (uint32_t id = 1; id < 4000 && goaways_.empty(); id += 2) {
    raw(frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_END_HEADERS, id, "\x82\x86\x84\x41\x01" "a") +
        frame(NGHTTP2_RST_STREAM, 0, id, {cancel, 4}));
    if (id % 10 == 1) turn(1);
  }
  turn();
  ASSERT_FALSE(goaways_.empty());
  EXPECT_EQ(goaways_.back().second, uint32_t{NGHTTP2_ENHANCE_YOUR_CALM});
  EXPECT_LT(started_, 300);
  EXPECT_TRUE(saw_eof_);
}

TEST_F(ServerTest, FloodsAreStopped) {
  turn();
  std::string flood;
  for (int i = 0; i < 300; ++i) flood += frame(NGHTTP2_PING, 0, 0, "12345678");
  raw(flood);
  turn();
  ASSERT_FALSE(goaways_.empty());
  EXPECT_EQ(goaways_.back().second, uint32_t{NGHTTP2_ENHANCE_YOUR_CALM});
}

TEST_F(ServerTest, ContinuationFloodIsStopped) {
  turn();
  std::string flood = frame(NGHTTP2_HEADERS, 0, 1, "\x82");
  for (int i = 0; i < 20; ++i) flood += frame(NGHTTP2_CONTINUATION, 0, 1, "");
  raw(flood);
  turn();
  ASSERT_FALSE(goaways_.empty());
  EXPECT_EQ(goaways_.back().second, uint32_t{NGHTTP2_ENHANCE_YOUR_CALM});
}

TEST_F(ServerTest, AnUnfinishedHeaderBlockHasADeadline) {
  turn();
  raw(frame(NGHTTP2_HEADERS, 0, 1, "\x82"));
  pass(seconds(9));
  EXPECT_TRUE(goaways_.empty());
  pass(seconds(3));
  ASSERT_FALSE(goaways_.empty());
  EXPECT_EQ(goaways_.back().second, uint32_t{NGHTTP2_ENHANCE_YOUR_CALM});
}

TEST_F(ServerTest, AShutWindowIsNotWaitedForLong) {
  const nghttp2_settings_entry shut = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0};
  nghttp2_submit_settings(client_, 0, &shut, 1);
  const int32_t id = request(get("/"));
  turn();
  EXPECT_EQ(got_[id].field(":status"), "200");
  pass(seconds(29));
  EXPECT_FALSE(got_[id].reset);
  pass(seconds(3));
  EXPECT_EQ(got_[id].reset.value_or(0), uint32_t{NGHTTP2_ENHANCE_YOUR_CALM});
  EXPECT_EQ(last_error_, "client does not read");
}

TEST_F(ServerTest, DrainsInTwoSteps) {
  handler_ = [](http::Exchange& exchange) {
    exchange.respond(exchange.arena().make<test::ScriptedBody>(
        exchange.worker().loop, std::vector<std::string>(1, "late"), test::ScriptedBody::Pace::kLater));
  };
  turn();
  server_->drain();
  const int32_t id = request(get("/"));  // crosses the first GOAWAY
  turn(1);
  ASSERT_EQ(goaways_.size(), 1U);
  EXPECT_EQ(goaways_[0], (std::pair<int32_t, uint32_t>(INT32_MAX, NGHTTP2_NO_ERROR)));
  pass(seconds(2));
  EXPECT_EQ(got_[id].body, "late");
  ASSERT_EQ(goaways_.size(), 2U);
  EXPECT_EQ(goaways_[1], (std::pair<int32_t, uint32_t>(1, NGHTTP2_NO_ERROR)));
  EXPECT_EQ(ended_, 1);  // what came between the two was answered
  EXPECT_EQ(last_error_, "");
  EXPECT_TRUE(saw_eof_);
}

// An idle connection gives memory back, and takes it again.
TEST_F(ServerTest, ARestedConnectionGoesOn) {
  handler_ = [](http::Exchange& exchange) {
    const std::string text(50, exchange.request().path.back());
    exchange.respond_text(200, "text/plain", exchange.arena().copy(text));
  };
  for (const bool idle_streams : {false, true}) {
    if (idle_streams) {
      nghttp2_priority_spec spec;
      nghttp2_priority_spec_init(&spec, 0, 200, 0);
      for (int32_t id = 101; id < 111; id += 2) nghttp2_submit_priority(client_, NGHTTP2_FLAG_NONE, id, &spec);
    }
    for (const char* path : {"/a", "/b"}) {
      std::array<int32_t, 20> ids{};
      for (int32_t& id : ids) id = request(get(path));
      turn();
      for (const int32_t id : ids) EXPECT_EQ(got_[id].body, std::string(50, path[1]));
      pass(seconds(5));
    }
  }
  EXPECT_TRUE(goaways_.empty());
  EXPECT_EQ(ended_, 80);
}

// What comes for streams that nobody reads any more must not use up the window of the connection.
TEST_F(ServerTest, BytesNobodyWantsAreGivenBack) {
  handler_ = [](http::Exchange& exchange) { exchange.respond_text(413, "text/plain", "no"); };
  turn();
  std::vector<Upload> uploads(60, Upload{std::string(200000, 'x'), 0, true});
  for (Upload& upload : uploads) {
    const int32_t id = request(get("/", {}, "POST"), &upload);
    turn(3);
    EXPECT_EQ(got_[id].field(":status"), "413");
    // The client did not stop in time: all of it is on its way.
    raw(frame(NGHTTP2_DATA, 0, static_cast<uint32_t>(id), std::string(16384, 'y')));
    turn(2);
  }
  EXPECT_TRUE(goaways_.empty());
  handler_ = [](http::Exchange& exchange) { exchange.respond(exchange.request_body()); };
  Upload last{std::string(500000, 'z'), 0, false};
  const int32_t id = request(get("/", {}, "POST"), &last);
  turn(60);
  EXPECT_TRUE(got_[id].body == last.data);
}

TEST_F(ServerTest, MoreThanTheWindowOfAStreamEndsTheStream) {
  handler_ = [](http::Exchange&) {};  // reads nothing
  Upload nothing_yet{"", 0, true};
  ASSERT_EQ(request(get("/", {}, "POST"), &nothing_yet), 1);
  turn();
  for (int i = 0; i < 8; ++i) raw(frame(NGHTTP2_DATA, 0, 1, std::string(16384, 'x')));
  turn();
  EXPECT_FALSE(got_[1].reset);
  raw(frame(NGHTTP2_DATA, 0, 1, "x"));
  turn();
  EXPECT_EQ(got_[1].reset.value_or(0), uint32_t{NGHTTP2_FLOW_CONTROL_ERROR});
  EXPECT_TRUE(goaways_.empty());
}

// RFC 9113 6.9.2: a window may become less than nothing, and has to be paid back first.
TEST_F(ServerTest, AWindowMadeSmallerIsPaidBack) {
  const std::string text(60000, 't');
  handler_ = [&](http::Exchange& exchange) { exchange.respond_text(200, "text/plain", text); };
  take_ = false;
  turn();
  const int32_t id = request(get("/"));
  turn();
  ASSERT_EQ(got_[id].body.size(), 60000U);
  const int32_t second = request(get("/"));
  turn();
  EXPECT_EQ(got_[second].body.size(), 5535U);  // of the connection's window
  const nghttp2_settings_entry small = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 100};
  nghttp2_submit_settings(client_, 0, &small, 1);
  turn();
  held_ = 60000;
  give_back(id);  // of the connection; the stream's is at 100 - 5535
  turn();
  EXPECT_EQ(got_[second].body.size(), 5535U);
  nghttp2_submit_window_update(client_, 0, second, 5435);
  turn();
  EXPECT_EQ(got_[second].body.size(), 5535U);
  nghttp2_submit_window_update(client_, 0, second, 60000);
  turn();
  EXPECT_EQ(got_[second].body, text);
  EXPECT_TRUE(got_[second].ended);
}

TEST_F(ServerTest, TheEndOfAStreamNeedsNoWindow) {
  handler_ = [](http::Exchange& exchange) {
    auto* body = exchange.arena().make<test::ScriptedBody>(exchange.worker().loop, std::vector<std::string>{"x"},
                                                           test::ScriptedBody::Pace::kLater);
    if (exchange.request().path == "/large") {
      exchange.respond_text(200, "text/plain", exchange.arena().copy(std::string(70000, 'x')));
    } else {
      exchange.respond(body);
    }
  };
  take_ = false;
  turn();
  const int32_t one = request(get("/large"));
  turn();
  EXPECT_EQ(got_[one].body.size(), 65535U);  // the connection's window is shut
  handler_ = [](http::Exchange& exchange) {
    exchange.respond(exchange.arena().make<test::ScriptedBody>(exchange.worker().loop, std::vector<std::string>{},
                                                               test::ScriptedBody::Pace::kLater));
  };
  const int32_t two = request(get("/empty"));
  turn(10);
  EXPECT_EQ(got_[two].field(":status"), "200");
  EXPECT_TRUE(got_[two].ended);
}

TEST_F(ServerTest, BodiesAreAsLongAsTheySay) {
  handler_ = [](http::Exchange& exchange) { exchange.respond(exchange.request_body()); };
  for (const char* length : {"4", "6"}) {
    Upload upload{"12345", 0, false};
    const int32_t id = request(get("/", {{"content-length", length}}, "POST"), &upload);
    turn(10);
    EXPECT_EQ(got_[id].reset.value_or(0), uint32_t{NGHTTP2_PROTOCOL_ERROR}) << length;
    EXPECT_FALSE(got_[id].ended);
  }
}

TEST_F(ServerTest, RequestsBehindTheLastGoawayAreIgnored) {
  handler_ = [](http::Exchange&) {};
  turn();
  const std::string head("\x82\x86\x84\x41\x01" "a\x40\x01x\x01y");  // x: y goes to the table
  ASSERT_EQ(request(get("/")), 1);
  turn();
  server_->drain();
  pass(seconds(2));
  ASSERT_EQ(goaways_.size(), 2U);
  raw(frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, 3, head) + frame(NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 3, "xyz"));
  turn();
  EXPECT_EQ(started_, 1);
  EXPECT_EQ(goaways_.size(), 2U);
  EXPECT_FALSE(closed_);
}

TEST_F(ServerTest, IdleConnectionsEnd) {
  turn();
  pass(seconds(59));
  EXPECT_TRUE(goaways_.empty());
  pass(seconds(4));
  ASSERT_EQ(goaways_.size(), 1U);
  EXPECT_EQ(goaways_[0].second, uint32_t{NGHTTP2_NO_ERROR});
  EXPECT_TRUE(closed_);
}

TEST_F(ServerTest, AClientThatLeavesEndsItsExchanges) {
  handler_ = [](http::Exchange&) {};
  for (int i = 0; i < 20; ++i) request(get("/"));
  turn();
  EXPECT_EQ(started_, 20);
  ::close(std::exchange(client_fd_, -1));
  turn(2);
  EXPECT_TRUE(closed_);
  EXPECT_EQ(ended_, 20);
}

}  // namespace
}  // namespace headgate::http2
