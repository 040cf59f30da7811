#include "dataplane/upstream/resolver.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "dataplane/upstream/dns_endpoints.h"
#include "tests/dataplane/upstream/dns_responder.h"

namespace headgate::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Mode = DnsResponder::Mode;

// Real readiness, but a clock that the test can push.
class SkewedClock final : public Clock {
 public:
  MonotonicTime now() const override { return system_clock().now() + skew; }
  WallTime wall() const override { return system_clock().wall() + skew; }
  Duration skew{0};
};

struct Outcome {
  bool done = false;
  std::vector<IpAddress> addresses{};
  MonotonicTime expires{};
  Error error{};
};

class Waiter final : public ResolveWaiter, public Outcome {
 public:
  void on_resolved(const Resolved& resolved) override {
    done = true;
    addresses = resolved.addresses;
    expires = resolved.expires;
  }
  void on_resolve_failed(const Error& failure) override {
    done = true;
    error = failure;
  }
};

std::vector<std::string> texts(const std::vector<IpAddress>& addresses) {
  std::vector<std::string> result;
  for (const IpAddress& address : addresses) result.push_back(address.to_string());
  return result;
}
using Texts = std::vector<std::string>;

class ResolverTest : public ::testing::Test {
 protected:
  ResolverTest() {
    char name[] = "/tmp/headgate-resolver-XXXXXX";
    directory_ = ::mkdtemp(name);
    write("hosts", "192.0.2.80 db db.lan # comment\n2001:db8::80\tDB.lan\n192.0.2.80 db\n");
    write("resolv.conf", "options timeout:1 attempts:2\n");
  }
  ~ResolverTest() override {
    ::unlink((directory_ + "/hosts").c_str());
    ::unlink((directory_ + "/resolv.conf").c_str());
    ::rmdir(directory_.c_str());
  }
  void write(const std::string& file, const std::string& text) { std::ofstream(directory_ + "/" + file) << text; }
  Resolver::Options options(std::vector<SocketAddress> servers) {
    return {directory_ + "/hosts", directory_ + "/resolv.conf", std::move(servers)};
  }
  void make(std::vector<SocketAddress> servers) {
    resolver_ = std::make_unique<Resolver>(loop_, options(std::move(servers)));
  }
  void make() { make({server_.address()}); }
  bool run_until(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + seconds(8);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      loop_.run_once(milliseconds(5));
    }
    return true;
  }
  Outcome ask(std::string_view name) {
    Waiter waiter;
    if (const auto known = resolver_->resolve(name, waiter)) {
      waiter.on_resolved(*known);
      at_once_ = true;
      return waiter;
    }
    at_once_ = false;
    EXPECT_FALSE(waiter.done);  // never from inside resolve()
    EXPECT_TRUE(run_until([&] { return waiter.done; })) << name;
    return waiter;
  }

  std::string directory_;
  SkewedClock clock_;
  DnsResponder server_;
  event::Loop loop_{clock_};
  std::unique_ptr<Resolver> resolver_;
  bool at_once_ = false;
};

TEST_F(ResolverTest, KnownWithoutAsking) {
  make();
  struct Case {
    const char* name;
    Texts addresses;
  };
  for (const Case& c : {Case{"192.0.2.1", {"192.0.2.1"}}, Case{"::1", {"::1"}}, Case{"[2001:db8::1]", {"2001:db8::1"}},
                        Case{"localhost", {"127.0.0.1", "::1"}}, Case{"LocalHost.", {"127.0.0.1", "::1"}},
                        Case{"app.localhost", {"127.0.0.1", "::1"}}, Case{"db", {"192.0.2.80"}},
                        Case{"Db.Lan", {"2001:db8::80", "192.0.2.80"}}}) {
    EXPECT_EQ(texts(ask(c.name).addresses), c.addresses) << c.name;
    EXPECT_TRUE(at_once_) << c.name;
  }
  EXPECT_EQ(server_.udp_queries(), 0);
  for (const char* name : {"", ".", "a b", "-x.test", "x..test"}) EXPECT_EQ(ask(name).error.code, Errc::kInvalid) << name;
}

TEST_F(ResolverTest, BothFamiliesAndTheCache) {
  server_.set("shop.test", {{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1"}, "", 60, 0});
  make();
  const Outcome first = ask("Shop.Test");
  EXPECT_EQ(texts(first.addresses), (Texts{"2001:db8::1", "192.0.2.1", "192.0.2.2"}));
  EXPECT_NEAR(to_seconds(first.expires - loop_.now()), 60, 1);
  EXPECT_EQ(server_.udp_queries(), 2);
  ask("shop.test");
  EXPECT_TRUE(at_once_);
  clock_.skew += seconds(61);
  loop_.run_once(milliseconds(0));
  ask("shop.test");
  EXPECT_FALSE(at_once_);
  EXPECT_EQ(server_.udp_queries(), 4);
}

TEST_F(ResolverTest, TtlsAreClamped) {
  server_.set("short.test", {{"192.0.2.1"}, {}, "", 0, 0});
  server_.set("long.test", {{"192.0.2.1"}, {}, "", 86400, 0});
  server_.set("alias.test", {{}, {}, "long.test", 20, 0});
  make();
  EXPECT_NEAR(to_seconds(ask("short.test").expires - loop_.now()), 1, 0.5);
  EXPECT_NEAR(to_seconds(ask("long.test").expires - loop_.now()), 300, 1);
  const Outcome alias = ask("alias.test");  // by way of a CNAME, whose time counts, too
  EXPECT_EQ(texts(alias.addresses), Texts{"192.0.2.1"});
}

TEST_F(ResolverTest, NegativeAnswersAreKeptFiveSeconds) {
  server_.set("empty.test", {});
  make();
  EXPECT_EQ(ask("nothing.test").error.code, Errc::kNotFound);
  EXPECT_EQ(ask("empty.test").error.code, Errc::kNotFound);
  const int queries = server_.udp_queries();
  EXPECT_EQ(ask("nothing.test").error.code, Errc::kNotFound);
  EXPECT_EQ(server_.udp_queries(), queries);
  server_.set("nothing.test", {{"192.0.2.9"}, {}, "", 60, 0});
  clock_.skew += seconds(6);
  loop_.run_once(milliseconds(0));
  EXPECT_EQ(texts(ask("nothing.test").addresses), Texts{"192.0.2.9"});
}

TEST_F(ResolverTest, ConcurrentQuestionsShareALookup) {
  server_.set("shop.test", {{"192.0.2.1"}, {}, "", 60, 0});
  make();
  std::vector<std::unique_ptr<Waiter>> waiters;
  for (int i = 0; i < 50; ++i) {
    waiters.push_back(std::make_unique<Waiter>());
    EXPECT_EQ(resolver_->resolve("shop.test", *waiters.back()), nullptr);
  }
  waiters.erase(waiters.begin() + 10);  // one that left
  EXPECT_EQ(resolver_->running(), 1U);
  EXPECT_TRUE(run_until([&] { return waiters.back()->done; }));
  for (const auto& waiter : waiters) EXPECT_EQ(texts(waiter->addresses), Texts{"192.0.2.1"});
  EXPECT_EQ(server_.udp_queries(), 2);
  EXPECT_EQ(resolver_->running(), 0U);
}

TEST_F(ResolverTest, AboveTheLimitIsRefused) {
  server_.set_mode(Mode::kSilent);
  make();
  std::vector<std::unique_ptr<Waiter>> waiters;
  for (size_t i = 0; i <= Resolver::kMaxRunning; ++i) {
    waiters.push_back(std::make_unique<Waiter>());
    resolver_->resolve("n" + std::to_string(i) + ".test", *waiters.back());
  }
  EXPECT_TRUE(run_until([&] { return waiters.back()->done; }));
  EXPECT_EQ(waiters.back()->error.code, Errc::kOverloaded);
  EXPECT_FALSE(waiters.front()->done);
}

TEST_F(ResolverTest, SearchListAndNdots) {
  write("resolv.conf", "nameserver 192.0.2.53\nsearch one.test two.test\noptions ndots:2 timeout:1\n");
  server_.set("db.two.test", {{"192.0.2.1"}, {}, "", 60, 0});
  server_.set("a.b", {{"192.0.2.2"}, {}, "", 60, 0});
  server_.set("a.b.c", {{"192.0.2.3"}, {}, "", 60, 0});
  server_.set("db", {{"192.0.2.4"}, {}, "", 60, 0});
  write("hosts", "");
  make();
  EXPECT_EQ(texts(ask("db").addresses), Texts{"192.0.2.1"});
  EXPECT_EQ(texts(ask("a.b").addresses), Texts{"192.0.2.2"});
  EXPECT_EQ(texts(ask("a.b.c").addresses), Texts{"192.0.2.3"});
  EXPECT_EQ(texts(ask("db.").addresses), Texts{"192.0.2.4"});  // absolute
  EXPECT_EQ(server_.asked(), (Texts{"db.one.test", "db.two.test", "a.b.one.test", "a.b.two.test", "a.b", "a.b.c", "db"}));
}

TEST_F(ResolverTest, TruncatedAnswersComeOverTcp) {
  DnsResponder::Zone many;
  for (int i = 1; i <= 200; ++i) many.a.push_back("192.0.2." + std::to_string(i));
  server_.set("many.test", many);
  server_.set_mode(Mode::kTruncate);
  make();
  EXPECT_EQ(ask("many.test").addresses.size(), 200U);
  EXPECT_EQ(server_.tcp_queries(), 2);
}

TEST_F(ResolverTest, ForgedAnswersAreIgnoredAndIdsAndPortsVary) {
  server_.set("shop.test", {{"192.0.2.1"}, {"2001:db8::1"}, "", 0, 0});
  server_.set_mode(Mode::kForge);
  make();
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(texts(ask("shop.test").addresses), (Texts{"2001:db8::1", "192.0.2.1"}));
    clock_.skew += seconds(2);
    loop_.run_once(milliseconds(0));
  }
  const auto ids = server_.ids();
  const auto ports = server_.ports();
  ASSERT_EQ(ids.size(), 40U);
  EXPECT_GE(std::set<uint16_t>(ids.begin(), ids.end()).size(), 35U);
  EXPECT_GE(std::set<uint16_t>(ports.begin(), ports.end()).size(), 30U);
}

TEST_F(ResolverTest, TheNextServerHelps) {
  DnsResponder broken;
  broken.set_mode(Mode::kServFail);
  DnsResponder silent;
  silent.set_mode(Mode::kSilent);
  server_.set("shop.test", {{"192.0.2.1"}, {}, "", 60, 0});
  make({broken.address(), silent.address(), server_.address()});
  EXPECT_EQ(texts(ask("shop.test").addresses), Texts{"192.0.2.1"});
  EXPECT_EQ(broken.udp_queries(), 2);
  EXPECT_EQ(silent.udp_queries(), 2);
}

TEST_F(ResolverTest, AServerWithoutEdns) {
  server_.set("shop.test", {{"192.0.2.1"}, {}, "", 60, 0});
  server_.set_mode(Mode::kNoEdns);
  make();
  EXPECT_EQ(texts(ask("shop.test").addresses), Texts{"192.0.2.1"});
}

TEST_F(ResolverTest, AServerThatIgnoresAaaa) {
  server_.set("shop.test", {{"192.0.2.1"}, {}, "", 300, 0});
  server_.set_mode(Mode::kSilentAaaa);
  make();
  const auto before = std::chrono::steady_clock::now();
  const Outcome waiter = ask("shop.test");
  EXPECT_EQ(texts(waiter.addresses), Texts{"192.0.2.1"});
  EXPECT_LT(std::chrono::steady_clock::now() - before, seconds(1));
  EXPECT_LE(to_seconds(waiter.expires - loop_.now()), 30);
}

TEST_F(ResolverTest, StaleAddressesWhileTheServerFails) {
  server_.set("shop.test", {{"192.0.2.1"}, {}, "", 10, 0});
  make();
  ask("shop.test");
  server_.set_mode(Mode::kServFail);
  clock_.skew += seconds(11);
  loop_.run_once(milliseconds(0));
  EXPECT_EQ(texts(ask("shop.test").addresses), Texts{"192.0.2.1"});
  EXPECT_FALSE(at_once_);
  ask("shop.test");
  EXPECT_TRUE(at_once_);  // not asked again for five seconds
  EXPECT_EQ(ask("other.test").error.code, Errc::kDenied);
  // The name is gone for good: that is an answer.
  server_.set_mode(Mode::kAnswer);
  server_.set("shop.test", {{}, {}, "", 10, dns::kRcodeNxDomain});
  clock_.skew += seconds(6);
  loop_.run_once(milliseconds(0));
  EXPECT_EQ(ask("shop.test").error.code, Errc::kNotFound);
  // A day later nothing is stale enough.
  server_.set("old.test", {{"192.0.2.1"}, {}, "", 10, 0});
  ask("old.test");
  server_.set_mode(Mode::kServFail);
  clock_.skew += std::chrono::hours(25);
  loop_.run_once(milliseconds(0));
  EXPECT_EQ(ask("old.test").error.code, Errc::kDenied);
}

TEST_F(ResolverTest, FilesAreReadAgainWhenTheyChange) {
  make();
  EXPECT_EQ(texts(ask("db").addresses), Texts{"192.0.2.80"});
  write("hosts", "192.0.2.81 db\n192.0.2.82 new\n");
  clock_.skew += seconds(2);
  loop_.run_once(milliseconds(0));
  EXPECT_EQ(texts(ask("db").addresses), Texts{"192.0.2.81"});
  EXPECT_EQ(texts(ask("new").addresses), Texts{"192.0.2.82"});
  ::unlink((directory_ + "/hosts").c_str());
  clock_.skew += seconds(2);
  loop_.run_once(milliseconds(0));
  EXPECT_EQ(ask("db").error.code, Errc::kNotFound);
}

TEST_F(ResolverTest, DestroyedInTheMiddle) {
  server_.set_mode(Mode::kSilent);
  make();
  Waiter waiter;
  resolver_->resolve("shop.test", waiter);
  loop_.run_once(milliseconds(20));
  resolver_.reset();
  loop_.run_once(milliseconds(20));
  EXPECT_FALSE(waiter.done);
}

TEST(ResolverFiles, ResolvConf) {
  const ResolvConf conf = parse_resolv_conf(
      "# comment\nnameserver 192.0.2.1\nnameserver nonsense\nnameserver 2001:db8::1 ; second\nnameserver fe80::1%eth0\n"
      "domain old.test\nsearch One.Test. two.test bad..name\noptions ndots:5 timeout:3 attempts:9 rotate\r\noptions timeout:0\n");
  ASSERT_EQ(conf.servers.size(), 2U);
  EXPECT_EQ(conf.servers[0].to_string(), "192.0.2.1:53");
  EXPECT_EQ(conf.servers[1].to_string(), "[2001:db8::1]:53");
  EXPECT_EQ(conf.search, (Texts{"one.test", "two.test"}));
  EXPECT_EQ(conf.ndots, 5U);
  EXPECT_EQ(conf.timeout, seconds(3));
  EXPECT_EQ(conf.attempts, 5U);
  EXPECT_EQ(parse_resolv_conf("").servers[0].to_string(), "127.0.0.1:53");
}

class Changes final : public DnsEndpointsObserver {
 public:
  void on_endpoints_changed(const std::string& upstream) override { changed.push_back(upstream); }
  std::vector<std::string> changed;
};

Texts endpoint_texts(const std::vector<Endpoint>& endpoints) {
  Texts result;
  for (const Endpoint& endpoint : endpoints) result.push_back(endpoint.text);
  return result;
}

TEST_F(ResolverTest, EndpointsFollowTheirNames) {
  server_.set("shop.test", {{"192.0.2.1", "192.0.2.2"}, {}, "", 5, 0});
  make();
  Changes changes;
  DnsEndpoints endpoints(loop_, *resolver_, changes);
  std::vector<Endpoint> configured(3);
  configured[0].addresses = {*SocketAddress::parse("192.0.2.2:80")};
  configured[1].host = "shop.test";
  configured[1].port = 80;
  configured[1].weight = 7;
  configured[2].host = "localhost";
  configured[2].port = 8080;
  endpoints.set_upstream("app", configured);
  EXPECT_EQ(endpoints.names(), 2U);
  // What is not known yet stands there unresolved.
  auto now = endpoints.endpoints("app");
  EXPECT_EQ(endpoint_texts(now), (Texts{"192.0.2.2:80", "shop.test:80", "127.0.0.1:8080"}));
  EXPECT_FALSE(now[1].resolved());
  ASSERT_EQ(now[2].addresses.size(), 2U);
  EXPECT_EQ(now[2].addresses[1].to_string(), "[::1]:8080");

  ASSERT_TRUE(run_until([&] { return !changes.changed.empty(); }));
  now = endpoints.endpoints("app");
  EXPECT_EQ(endpoint_texts(now), (Texts{"192.0.2.2:80", "192.0.2.1:80", "127.0.0.1:8080"}));  // once each
  EXPECT_EQ(now[1].weight, 7U);
  EXPECT_EQ(now[1].host, "shop.test");

  // Rotated: no change. Then another address. Then the server fails: what was known stays.
  server_.set("shop.test", {{"192.0.2.2", "192.0.2.1"}, {}, "", 5, 0});
  const int queries = server_.udp_queries();
  clock_.skew += seconds(6);
  ASSERT_TRUE(run_until([&] { return server_.udp_queries() >= queries + 2; }));
  loop_.run_once(milliseconds(20));
  EXPECT_EQ(changes.changed.size(), 1U);
  server_.set("shop.test", {{"192.0.2.5"}, {}, "", 5, 0});
  clock_.skew += seconds(6);
  ASSERT_TRUE(run_until([&] { return changes.changed.size() == 2; }));
  EXPECT_EQ(endpoint_texts(endpoints.endpoints("app"))[1], "192.0.2.5:80");
  server_.set("shop.test", {{}, {}, "", 5, dns::kRcodeNxDomain});
  clock_.skew += seconds(6);
  for (int i = 0; i < 20; ++i) loop_.run_once(milliseconds(5));
  EXPECT_EQ(endpoint_texts(endpoints.endpoints("app"))[1], "192.0.2.5:80");
  endpoints.remove_upstream("app");
  EXPECT_EQ(endpoints.names(), 0U);
  EXPECT_TRUE(endpoints.endpoints("app").empty());
}

TEST(DnsEndpoints, PairsTheFamilies) {
  Endpoint configured;
  configured.host = "x.test";
  configured.port = 1;
  const auto expand = [&](const std::vector<std::string>& addresses) {
    std::vector<IpAddress> parsed;
    for (const auto& address : addresses) parsed.push_back(*IpAddress::parse(address));
    std::string text;
    for (const Endpoint& endpoint : expand_endpoint(configured, parsed)) {
      text += endpoint.text + "(";
      for (const auto& address : endpoint.addresses) text += address.to_string() + " ";
      text += ")";
    }
    return text;
  };
  EXPECT_EQ(expand({}), "x.test:1()");
  EXPECT_EQ(expand({"192.0.2.1", "192.0.2.2"}), "192.0.2.1:1(192.0.2.1:1 )192.0.2.2:1(192.0.2.2:1 )");
  EXPECT_EQ(expand({"::2", "::3", "192.0.2.1"}), "[::2]:1([::2]:1 192.0.2.1:1 )[::3]:1([::3]:1 192.0.2.1:1 )");
  EXPECT_EQ(expand({"::2", "192.0.2.1", "192.0.2.2"}),
            "192.0.2.1:1([::2]:1 192.0.2.1:1 )192.0.2.2:1([::2]:1 192.0.2.2:1 )");
}

}  // namespace
}  // namespace headgate::upstream
