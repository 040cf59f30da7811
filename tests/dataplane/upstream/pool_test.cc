#include "dataplane/upstream/pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "dataplane/base/counters.h"
#include "dataplane/base/random.h"
#include "dataplane/upstream/pool_set.h"
#include "tests/dataplane/upstream/upstream_builder.h"

namespace headgate::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// An HTTP/1.1 endpoint without a thread: the kernel accepts, the test takes and answers when it wants to.
class Backend {
 public:
  Backend() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), size);
    ::listen(listener_.get(), 64);
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  [[nodiscard]] SocketAddress address() const { return SocketAddress::ip(IpAddress::v4(0x7f000001), port_); }
  // Takes what has been connected.
  void accept_all() {
    for (;;) {
      UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd.valid()) return;
      clients.push_back(std::move(fd));
      received.emplace_back();
    }
  }
  // Answers every complete request that has come.
  int answer_all() {
    accept_all();
    int answered = 0;
    for (size_t i = 0; i < clients.size(); ++i) {
      const UniqueFd& client = clients[i];
      char bytes[4096];
      const ssize_t got = ::recv(client.get(), bytes, sizeof(bytes), 0);
      if (got <= 0) continue;
      received[i].append(bytes, static_cast<size_t>(got));
      if (!received[i].ends_with("\r\n\r\n")) continue;
      constexpr char kAnswer[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
      answered += ::send(client.get(), kAnswer, sizeof(kAnswer) - 1, MSG_NOSIGNAL) > 0 ? 1 : 0;
    }
    return answered;
  }
  [[nodiscard]] size_t open() {
    accept_all();
    size_t count = 0;
    for (UniqueFd& client : clients) {
      char byte;
      count += ::recv(client.get(), &byte, 1, MSG_PEEK) != 0 ? 1 : 0;
    }
    return count;
  }
  std::vector<UniqueFd> clients;
  std::vector<std::string> received;  // of each client

 private:
  UniqueFd listener_;
  uint16_t port_ = 0;
};

// A request from acquire() to its response head.
class Request final : public PoolWaiter, private http::ClientObserver {
 public:
  // `client_port`: of whom it is; 0: of nobody.
  explicit Request(uint16_t client_port = 0) : head_(arena_), response_(arena_) {
    facts_.remote = SocketAddress::ip(IpAddress::v4(0xc0000201), client_port);
    facts_.local = SocketAddress::ip(IpAddress::v4(0xc0000202), 80);
    head_.method = http::Method::kGet;
    head_.method_text = "GET";
    head_.target = "/";
    head_.authority = "app";
  }
  bool start(Pool& pool, Duration timeout = seconds(5)) {
    const auto stream = pool.acquire(*this, timeout);
    if (!stream) {
      error = stream.error();
      return false;
    }
    if (*stream != nullptr) on_connection(**stream);
    return true;
  }
  bool sent = false;
  bool done = false;
  std::optional<Error> error;

 private:
  void on_connection(http::ClientStream& stream) override {
    sent = true;
    stream.send(head_, nullptr, response_, {}, *this);
  }
  void on_no_connection(const Error& why) override { error = why; }
  [[nodiscard]] const ConnectionFacts* client() const override {
    return facts_.remote.port() == 0 ? nullptr : &facts_;
  }
  void on_informational(const http::ResponseHead&) override {}
  void on_response_head(http::BodySource*, BlockRef) override { done = true; }
  void on_tunnel(http::BodySource&, BlockRef) override {}
  void on_failed(const Error& why) override { error = why; }

  ConnectionFacts facts_;
  Arena arena_;
  http::RequestHead head_;
  http::ResponseHead response_;
};

class PoolTest : public ::testing::Test {
 protected:
  PoolTest() : pools_(worker_) { worker_.pools = &pools_; }
  ~PoolTest() override {
    for (int i = 0; i < 3; ++i) loop_.run_once(Duration(0));
  }

  void configure(size_t endpoints, const std::function<void(UpstreamSettings&)>& adjust) {
    std::vector<Endpoint> list(endpoints);
    for (size_t i = 0; i < endpoints; ++i) list[i].addresses = {backends_[i].address()};
    upstream_ = std::make_shared<const Upstream>(make_settings(BalancePolicy::kRoundRobin, adjust), 0, std::move(list));
    bind();
  }
  void bind() {
    bound_.emplace_back(std::vector{upstream_});
    pools_.bind(bound_.back());
  }
  Pool& pool(uint32_t index = 0) { return pools_.pool(*upstream_, index); }
  Request& ask(uint32_t index = 0, Duration timeout = seconds(5)) {
    requests_.push_back(std::make_unique<Request>());
    requests_.back()->start(pool(index), timeout);
    return *requests_.back();
  }
  // Of a client that PROXY headers name.
  Request& ask_for(uint16_t client_port) {
    requests_.push_back(std::make_unique<Request>(client_port));
    requests_.back()->start(pool(), seconds(5));
    return *requests_.back();
  }
  bool answered(const Request& request) {
    return until([&] {
      backends_[0].answer_all();
      return request.done;
    });
  }
  bool until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + seconds(10);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      loop_.run_once(milliseconds(5));
    }
    return true;
  }
  void run_for(Duration time) {
    const auto deadline = std::chrono::steady_clock::now() + time;
    while (std::chrono::steady_clock::now() < deadline) loop_.run_once(milliseconds(5));
  }

  event::Loop loop_;
  Counters counters_;
  Random random_{1};
  WorkerContext worker_{.loop = loop_, .counters = counters_, .random = random_};
  Backend backends_[2];
  std::shared_ptr<const Upstream> upstream_;
  std::list<UpstreamSlots> bound_;
  PoolSet pools_;
  std::vector<std::unique_ptr<Request>> requests_;
};

// A request that came before the change, or by a listener that has gone as well.
TEST_F(PoolTest, AnUpstreamThatWentServesWhoStillKnowsIt) {
  configure(1, {});
  ASSERT_EQ(pools_.find(0), upstream_.get());
  bound_.emplace_back(std::vector<std::shared_ptr<const Upstream>>{nullptr});
  pools_.bind(bound_.back());
  bound_.pop_front();  // `upstream_` stands for the Snapshot that a request has pinned
  ASSERT_EQ(pools_.find(0), upstream_.get());
  EXPECT_EQ(pools_.share(0), upstream_);
  EXPECT_TRUE(answered(ask()));
  upstream_.reset();
  EXPECT_EQ(pools_.find(0), nullptr);
  EXPECT_EQ(pools_.share(0), nullptr);
  EXPECT_EQ(pools_.find(7), nullptr);
}

TEST_F(PoolTest, WaitersShareTheConnectionsThatTheLimitAllows) {
  configure(1, [](UpstreamSettings& settings) { settings.circuit.connections = 2; });
  for (int i = 0; i < 6; ++i) ask();
  ASSERT_TRUE(until([&] { return requests_[0]->sent && requests_[1]->sent; }));
  run_for(milliseconds(60));
  EXPECT_EQ(backends_[0].open(), 2U);
  EXPECT_EQ(upstream_->cell().connections.value(), 2U);
  EXPECT_EQ(upstream_->cell().pending.value(), 4U);
  EXPECT_FALSE(requests_[2]->sent);
  ASSERT_TRUE(until([&] {
    backends_[0].answer_all();
    return requests_.back()->done;
  }));
  for (const auto& request : requests_) EXPECT_TRUE(request->done);
  EXPECT_EQ(backends_[0].clients.size(), 2U);
  EXPECT_EQ(upstream_->cell().pending.value(), 0U);
}

std::string begins_with(uint16_t port) {
  return "PROXY TCP4 192.0.2.1 192.0.2.2 " + std::to_string(port) + " 80\r\n";
}

TEST_F(PoolTest, AConnectionThatNamesAClientServesThatClientOnly) {
  configure(1, [](UpstreamSettings& settings) { settings.proxy_protocol = ProxyProtocol::kV1; });
  for (const uint16_t port : {1001, 1002, 1001, 1002, 0, 1001}) ASSERT_TRUE(answered(ask_for(port))) << port;
  ASSERT_EQ(backends_[0].received.size(), 3U);
  EXPECT_TRUE(backends_[0].received[0].starts_with(begins_with(1001)));
  EXPECT_TRUE(backends_[0].received[1].starts_with(begins_with(1002)));
  EXPECT_TRUE(backends_[0].received[2].starts_with("PROXY UNKNOWN\r\n"));  // our own
  for (const std::string& received : backends_[0].received) {
    EXPECT_EQ(received.find("PROXY", 1), std::string::npos) << "the header comes once";
  }
  EXPECT_EQ(pool().idle(), 3U);
}

TEST_F(PoolTest, ClientsThatAreNamedAtOnceGetEachTheirOwn) {
  configure(1, [](UpstreamSettings& settings) { settings.proxy_protocol = ProxyProtocol::kV1; });
  for (const uint16_t port : {1001, 1002, 1002, 1003}) ask_for(port);
  for (const auto& request : requests_) ASSERT_TRUE(answered(*request));
  EXPECT_EQ(backends_[0].received.size(), 4U);  // two of one client at once
}

TEST_F(PoolTest, UnderALimitConnectionsOfOtherClientsGiveWay) {
  configure(1, [](UpstreamSettings& settings) {
    settings.proxy_protocol = ProxyProtocol::kV1;
    settings.circuit.connections = 1;
  });
  ASSERT_TRUE(answered(ask_for(1001)));
  EXPECT_EQ(pool().idle(), 1U);
  ASSERT_TRUE(answered(ask_for(1002)));  // an idle one of the first is closed for it
  ask_for(1002);
  ask_for(1001);  // waits until that one is done, though its connection could be kept
  ask_for(1003);
  for (const auto& request : requests_) ASSERT_TRUE(answered(*request));
  EXPECT_EQ(upstream_->cell().connections.value(), 1U);
  ASSERT_EQ(backends_[0].received.size(), 4U);
  EXPECT_TRUE(backends_[0].received[3].starts_with(begins_with(1003)));
}

TEST_F(PoolTest, WhoIsNamedLearnsThatItsConnectionFailed) {
  configure(1, [](UpstreamSettings& settings) { settings.proxy_protocol = ProxyProtocol::kV2; });
  backends_[0] = Backend();  // the port of the endpoint is nobody's now
  const Request& request = ask_for(1001);
  ASSERT_TRUE(until([&] { return request.error.has_value(); }));
  EXPECT_EQ(request.error->code, Errc::kRefused);
  EXPECT_EQ(upstream_->cell().connections.value(), 0U);
}

TEST_F(PoolTest, WhoWaitsForRoomTooLongIsRefused) {
  configure(1, [](UpstreamSettings& settings) { settings.circuit.connections_per_endpoint = 1; });
  const Request& first = ask();
  ASSERT_TRUE(until([&] { return first.sent; }));
  const Request& second = ask(0, milliseconds(50));
  const Request& third = ask(0, seconds(5));
  ASSERT_TRUE(until([&] { return second.error.has_value(); }));
  EXPECT_EQ(second.error->code, Errc::kOverloaded);
  EXPECT_EQ(second.error->origin, Origin::kUpstream);
  EXPECT_FALSE(third.error.has_value());
  EXPECT_EQ(counters_.value(Counter::kUpstreamRefusedConnections), 1U);
  ASSERT_TRUE(until([&] {
    backends_[0].answer_all();
    return third.done;
  }));
}

TEST_F(PoolTest, TooManyWaitersAreRefusedAtOnce) {
  configure(1, [](UpstreamSettings& settings) {
    settings.circuit.connections = 1;
    settings.circuit.pending = 2;
  });
  const Request& first = ask();
  ASSERT_TRUE(until([&] { return first.sent; }));
  ask();
  ask();
  const Request& one_too_many = ask();
  ASSERT_TRUE(one_too_many.error.has_value());
  EXPECT_EQ(one_too_many.error->code, Errc::kOverloaded);
  EXPECT_EQ(counters_.value(Counter::kUpstreamRefusedPending), 1U);
  // One that leaves makes room for another.
  requests_[1].reset();
  EXPECT_FALSE(ask().error.has_value());
  EXPECT_EQ(upstream_->cell().pending.value(), 2U);
}

TEST_F(PoolTest, AnIdleConnectionOfAnotherEndpointGivesWay) {
  configure(2, [](UpstreamSettings& settings) { settings.circuit.connections = 1; });
  const Request& first = ask(0);
  ASSERT_TRUE(until([&] {
    backends_[0].answer_all();
    return first.done;
  }));
  EXPECT_EQ(pool(0).idle(), 1U);
  const Request& second = ask(1);
  ASSERT_TRUE(until([&] {
    backends_[1].answer_all();
    return second.done;
  }));
  EXPECT_EQ(pool(0).idle(), 0U);
  EXPECT_EQ(upstream_->cell().connections.value(), 1U);
}

TEST_F(PoolTest, ABusyEndpointDoesNotKeepAnotherWaitingForEver) {
  configure(2, [](UpstreamSettings& settings) { settings.circuit.connections = 1; });
  ask(0);
  ASSERT_TRUE(until([&] { return requests_[0]->sent; }));
  const Request& other = ask(1);
  for (int i = 0; i < 3; ++i) ask(0);
  ASSERT_TRUE(until([&] {
    ask(0);  // there is always somebody who waits for endpoint 0
    backends_[0].answer_all();
    backends_[1].answer_all();
    return other.done;
  }));
  EXPECT_LE(upstream_->cell().connections.value(), 1U);
}

TEST_F(PoolTest, RoomThatAnotherWorkerGaveBackIsFound) {
  configure(1, [](UpstreamSettings& settings) { settings.circuit.connections = 1; });
  ASSERT_TRUE(upstream_->cell().connections.try_add(1));  // as another worker does
  const Request& request = ask();
  run_for(milliseconds(50));
  EXPECT_FALSE(request.sent);
  upstream_->cell().connections.subtract();
  ASSERT_TRUE(until([&] { return request.sent; }));
}

TEST_F(PoolTest, AWorkerKeepsNoMoreIdleThanItsShare) {
  worker_.worker_count = 2;
  configure(1, [](UpstreamSettings& settings) { settings.circuit.connections = 4; });
  for (int i = 0; i < 4; ++i) ask();
  ASSERT_TRUE(until([&] {
    backends_[0].answer_all();
    return requests_[0]->done && requests_[1]->done && requests_[2]->done && requests_[3]->done;
  }));
  EXPECT_EQ(pool().idle(), 2U);
  EXPECT_EQ(upstream_->cell().connections.value(), 2U);
}

TEST_F(PoolTest, ConnectionsThatFailGiveTheirPlaceBack) {
  UniqueFd dead(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(::bind(dead.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::getsockname(dead.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  std::vector<Endpoint> list(1);
  list[0].addresses = {SocketAddress::ip(IpAddress::v4(0x7f000001), ntohs(address.sin_port))};
  upstream_ = std::make_shared<const Upstream>(
      make_settings(BalancePolicy::kRoundRobin, [](UpstreamSettings& settings) { settings.circuit.connections = 1; }), 0,
      std::move(list));
  bind();
  for (int i = 0; i < 3; ++i) ask();
  ASSERT_TRUE(until([&] { return requests_[2]->error.has_value(); }));
  for (const auto& request : requests_) EXPECT_EQ(request->error->code, Errc::kRefused);
  EXPECT_EQ(upstream_->cell().connections.value(), 0U);
  EXPECT_EQ(upstream_->cell().pending.value(), 0U);
}

TEST_F(PoolTest, ConnectionsEndWithTheirAge) {
  configure(1, [](UpstreamSettings& settings) { settings.connection.max_age = milliseconds(80); });
  const Request& first = ask();
  ASSERT_TRUE(until([&] {
    backends_[0].answer_all();
    return first.done;
  }));
  EXPECT_EQ(pool().idle(), 1U);
  ASSERT_TRUE(until([&] { return pool().idle() == 0; }));  // although `idle` is a minute
  EXPECT_EQ(backends_[0].open(), 0U);
  // One that is busy when its time is over ends with its request.
  const Request& second = ask();
  ASSERT_TRUE(until([&] { return second.sent; }));
  run_for(milliseconds(100));
  EXPECT_EQ(backends_[0].open(), 1U);
  ASSERT_TRUE(until([&] {
    backends_[0].answer_all();
    return second.done;
  }));
  EXPECT_EQ(pool().idle(), 0U);
}

TEST_F(PoolTest, WaitersOfAPoolThatGoesAreLetGo) {
  configure(1, [](UpstreamSettings& settings) { settings.circuit.connections = 1; });
  auto circuit = std::make_shared<Circuit>(worker_, upstream_->shared_settings(), upstream_->shared_cell());
  auto own = std::make_unique<Pool>(worker_, upstream_->shared_settings(), upstream_->endpoint(0), nullptr, circuit);
  Request first;
  Request second;
  ASSERT_TRUE(first.start(*own));
  ASSERT_TRUE(second.start(*own));
  own.reset();
  EXPECT_EQ(upstream_->cell().connections.value(), 0U);
  EXPECT_EQ(upstream_->cell().pending.value(), 0U);
}

}  // namespace
}  // namespace headgate::upstream
