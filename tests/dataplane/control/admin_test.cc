#include "dataplane/control/admin.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

namespace headgate::control {
namespace {

class FakeBackend final : public AdminBackend {
 public:
  std::vector<Heartbeat> heartbeats() override { return beats; }
  std::string not_ready_reason() override { return not_ready; }
  std::vector<const Counters*> counters() override { return {&workers[0], &workers[1]}; }
  std::vector<MetricSample> samples() override { return extra; }
  std::string config_text() override { return "{\"listen\": []}\n"; }
  AdminAnswer explain(const explain::Question& question) override {
    return {.body = question.method + " " + question.target + "\n"};
  }
  AdminStats stats() override { return fixed_stats; }
  void reload(ActionDone done) override { finish("reload", std::move(done)); }
  void drain(ActionDone done) override { finish("drain", std::move(done)); }
  void reopen(ActionDone done) override { finish("reopen", std::move(done)); }
  void upgrade(ActionDone done) override { later = std::move(done); }

  void finish(const std::string& name, ActionDone done) {
    actions.push_back(name);
    done(outcome);
  }

  std::vector<Heartbeat> beats;
  std::string not_ready;
  std::array<Counters, 2> workers;
  std::vector<MetricSample> extra;
  AdminStats fixed_stats;
  ActionOutcome outcome{.ok = true, .message = "done"};
  std::vector<std::string> actions;
  ActionDone later;
};

class AdminTest : public ::testing::Test {
 protected:
  AdminAnswer ask(const std::string& method, const std::string& path) {
    return ask({.method = method, .path = path, .over_unix_socket = true});
  }
  AdminAnswer ask(const AdminRequest& request) {
    AdminAnswer answer{.status = 0};
    admin_.handle(request, [&](AdminAnswer given) {
      EXPECT_EQ(answer.status, 0) << "answered twice";
      answer = std::move(given);
    });
    return answer;
  }
  FakeBackend backend_;
  FakeClock clock_;
  Admin admin_{backend_, clock_};
};

TEST_F(AdminTest, Livez) {
  const int64_t now = clock_.now().time_since_epoch().count();
  backend_.beats = {{.turns = 5, .turn_began_ns = 0}, {.turns = 9, .turn_began_ns = now}};
  EXPECT_EQ(ask("GET", "/livez").status, 200);
  clock_.advance(std::chrono::seconds(10));
  EXPECT_EQ(ask("GET", "/livez").status, 200);
  clock_.advance(std::chrono::milliseconds(1));
  const AdminAnswer stuck = ask("GET", "/livez");
  EXPECT_EQ(stuck.status, 503);
  EXPECT_EQ(stuck.body, "worker 1 has not turned for 10 s\n");
  backend_.beats[1].turn_began_ns = 0;  // an idle worker is alive however long it waits
  EXPECT_EQ(ask("GET", "/livez").status, 200);
}

TEST_F(AdminTest, Readyz) {
  EXPECT_EQ(ask("GET", "/readyz").status, 200);
  backend_.not_ready = "draining";
  EXPECT_EQ(ask("GET", "/readyz").status, 503);
  EXPECT_EQ(ask("GET", "/readyz").body, "draining\n");
}

TEST_F(AdminTest, ActionsAnswerJson) {
  EXPECT_EQ(ask("POST", "/drain").body, "{\"ok\":true,\"message\":\"done\",\"problems\":[]}\n");
  backend_.outcome = {.ok = false,
                      .message = "refused",
                      .problems = {{"site.json", 3, 7, "$.listen[0]", "unknown scheme \"htp\""}}};
  const AdminAnswer answer = ask("POST", "/reload");
  EXPECT_EQ(answer.status, 409);
  EXPECT_EQ(answer.content_type, "application/json");
  EXPECT_EQ(answer.body,
            "{\"ok\":false,\"message\":\"refused\",\"problems\":[{\"file\":\"site.json\",\"line\":3,\"column\":7,"
            "\"path\":\"$.listen[0]\",\"message\":\"unknown scheme \\\"htp\\\"\"}]}\n");
  ask("POST", "/reopen");
  EXPECT_EQ(backend_.actions, (std::vector<std::string>{"drain", "reload", "reopen"}));
}

TEST_F(AdminTest, UpgradeAnswersLater) {
  AdminAnswer answer{.status = 0};
  admin_.handle({.method = "POST", .path = "/upgrade", .over_unix_socket = true},
                [&](AdminAnswer given) { answer = std::move(given); });
  EXPECT_EQ(answer.status, 0);
  backend_.later({.ok = false, .message = "the new binary exited with code 4"});
  EXPECT_EQ(answer.status, 409);
}

TEST_F(AdminTest, MethodsAndPaths) {
  EXPECT_EQ(ask("GET", "/").status, 200);
  EXPECT_NE(ask("GET", "/").body.find("POST /reload"), std::string::npos);
  EXPECT_EQ(ask("HEAD", "/livez").status, 200);
  EXPECT_EQ(ask("GET", "/nothing").status, 404);
  EXPECT_EQ(ask("GET", "/livez/").status, 404);
  for (const char* path : {"/reload", "/drain", "/reopen", "/upgrade"}) {
    EXPECT_EQ(ask("GET", path).status, 405);
    EXPECT_EQ(ask("GET", path).allow, "POST");
  }
  EXPECT_EQ(ask("POST", "/stats").status, 405);
  EXPECT_EQ(ask("POST", "/stats").allow, "GET, HEAD");
  EXPECT_TRUE(backend_.actions.empty());
}

TEST_F(AdminTest, WebPagesAreKeptOut) {
  const auto status = [&](AdminRequest request) {
    request.method = "POST";
    request.path = "/drain";
    return ask(request).status;
  };
  EXPECT_EQ(status({.host = "127.0.0.1:9901"}), 200);
  EXPECT_EQ(status({.host = "localhost:9901"}), 200);
  EXPECT_EQ(status({.host = "[::1]:9901"}), 200);
  EXPECT_EQ(status({}), 200);
  EXPECT_EQ(status({.host = "evil.example:9901"}), 403);
  EXPECT_EQ(status({.host = "127.0.0.1.evil.example"}), 403);
  EXPECT_EQ(status({.host = "127.0.0.1:9901", .origin = "https://evil.example"}), 403);
  EXPECT_EQ(status({.host = "127.0.0.1:9901", .origin = "null"}), 403);
  EXPECT_EQ(status({.host = "127.0.0.1:9901", .fetch_site = "cross-site"}), 403);
  EXPECT_EQ(status({.host = "127.0.0.1:9901", .fetch_site = "none"}), 200);
  EXPECT_EQ(status({.host = "evil.example", .over_unix_socket = true}), 200);
}

TEST_F(AdminTest, TheHealthListenerHasThreePagesAndAnyHost) {
  const auto status = [&](const char* method, const char* path) {
    return ask({.method = method, .path = path, .host = "192.0.2.1:9902", .health_only = true}).status;
  };
  for (const char* path : {"/livez", "/readyz", "/metrics"}) {
    EXPECT_EQ(status("GET", path), 200) << path;
    EXPECT_EQ(status("POST", path), 405) << path;
  }
  for (const char* path : {"/", "/config", "/stats", "/reload", "/drain", "/reopen", "/upgrade"}) {
    EXPECT_EQ(status("GET", path), 404) << path;
    EXPECT_EQ(status("POST", path), 404) << path;
  }
  EXPECT_TRUE(backend_.actions.empty());
}

TEST_F(AdminTest, Stats) {
  backend_.workers[0].add(Counter::kConnectionsAccepted, 5);
  backend_.workers[1].add(Counter::kConnectionsAccepted, 2);
  backend_.workers[0].add(Counter::kConnectionsActive, 3);
  backend_.workers[1].subtract(Counter::kConnectionsActive, 1);
  backend_.workers[1].subtract(Counter::kRequestsActive, 1);
  backend_.fixed_stats = {.state = "serving",
                          .uptime_s = 12.9,
                          .workers = 2,
                          .restarts = 1,
                          .config = "/etc/site.json",
                          .config_time_s = 99,
                          .listeners = 3,
                          .upstreams = {{"app", {{"127.0.0.1:1", true, ""}, {"127.0.0.1:2", false, "refused"}}}}};
  const std::string body = ask("GET", "/stats").body;
  for (const char* part :
       {"\"version\":\"" HEADGATE_VERSION "\"", "\"state\":\"serving\"", "\"uptime_s\":12,", "\"workers\":2",
        "\"restarts\":1", "\"config\":\"/etc/site.json\"", "\"listeners\":3",
        "\"connections\":{\"active\":2,\"accepted\":7,\"refused\":0}", "\"requests\":{\"active\":0,",
        "\"upstreams\":[{\"name\":\"app\",\"endpoints\":[{\"address\":\"127.0.0.1:1\",\"healthy\":true},"
        "{\"address\":\"127.0.0.1:2\",\"healthy\":false,\"reason\":\"refused\"}]}]}"}) {
    EXPECT_NE(body.find(part), std::string::npos) << part << "\n" << body;
  }
}

TEST_F(AdminTest, Metrics) {
  backend_.workers[0].add(Counter::kResponses2xx, 4);
  backend_.workers[1].add(Counter::kResponses2xx, 6);
  backend_.workers[1].add(Counter::kResponses5xx, 1);
  backend_.workers[0].subtract(Counter::kConnectionsActive, 1);
  backend_.workers[0].observe(Histogram::kRequestDuration, std::chrono::milliseconds(3));
  backend_.workers[1].observe(Histogram::kRequestDuration, std::chrono::seconds(60));
  backend_.extra = {{.name = "headgate_upstream_endpoint_healthy",
                     .help = "1 or 0.",
                     .labels = {{"upstream", "a\"b\\c\nd"}, {"endpoint", "127.0.0.1:1"}},
                     .value = 1}};
  const AdminAnswer answer = ask("GET", "/metrics");
  EXPECT_EQ(answer.content_type, kMetricsContentType);
  for (const char* line :
       {"# TYPE headgate_http_responses_total counter\n", "headgate_http_responses_total{code=\"2xx\"} 10\n",
        "headgate_http_responses_total{code=\"5xx\"} 1\n", "# TYPE headgate_downstream_connections_active gauge\n",
        "\nheadgate_downstream_connections_active 0\n", "# TYPE headgate_http_request_duration_seconds histogram\n",
        "headgate_http_request_duration_seconds_count 2\n", "headgate_http_request_duration_seconds_sum 60.003",
        "headgate_http_request_duration_seconds_bucket{le=\"+Inf\"} 2\n",
        "headgate_upstream_endpoint_healthy{upstream=\"a\\\"b\\\\c\\nd\",endpoint=\"127.0.0.1:1\"} 1\n",
        "headgate_build_properties{version=\"" HEADGATE_VERSION "\"} 1\n", "\nheadgate_metrics_dropped_samples 0\n"}) {
    EXPECT_NE(answer.body.find(line), std::string::npos) << line;
  }
  // Each name has one TYPE line, as the format demands.
  size_t types = 0;
  for (size_t at = answer.body.find("# TYPE headgate_http_responses_total "); at != std::string::npos;
       at = answer.body.find("# TYPE headgate_http_responses_total ", at + 1)) {
    ++types;
  }
  EXPECT_EQ(types, 1U);
}

TEST_F(AdminTest, MetricsAreBounded) {
  for (int i = 0; i < 5000; ++i) {
    backend_.extra.push_back({.name = "headgate_many", .help = "x", .labels = {{"n", std::to_string(i)}}});
  }
  const std::string body = ask("GET", "/metrics").body;
  size_t lines = 0;
  for (size_t at = body.find("\nheadgate_many{"); at != std::string::npos; at = body.find("\nheadgate_many{", at + 1)) {
    ++lines;
  }
  EXPECT_LE(lines, kMaxMetricSamples);
  EXPECT_GT(lines, 1000U);
  EXPECT_EQ(body.find("\nheadgate_metrics_dropped_samples 0\n"), std::string::npos);
}

// Names, units and help of the table follow the rules.
TEST(Metrics, TableIsWellFormed) {
  for (const CounterRow& row : counter_rows()) {
    EXPECT_TRUE(row.name.starts_with("headgate_")) << row.name;
    EXPECT_EQ(row.name.ends_with("_total"), row.type == MetricType::kCounter) << row.name;
    EXPECT_TRUE(row.help.ends_with(".")) << row.name;
  }
  for (const HistogramRow& row : histogram_rows()) EXPECT_TRUE(row.name.ends_with("_seconds")) << row.name;
}

TEST(AdminAddress, Parse) {
  const auto text = [](std::string_view from) {
    const auto address = parse_admin_address(from);
    return address ? address->to_string() : "refused";
  };
  EXPECT_EQ(text("unix:///run/headgate/headgate.sock"), "unix:/run/headgate/headgate.sock");
  EXPECT_EQ(text("http://127.0.0.1:9901"), "127.0.0.1:9901");
  EXPECT_EQ(text("http://127.0.0.1:9901/"), "127.0.0.1:9901");
  EXPECT_EQ(text("http://[::1]:9901"), "[::1]:9901");
  EXPECT_EQ(text("http://localhost:0"), "127.0.0.1:0");
  EXPECT_EQ(text("off"), "-");
  for (const char* bad : {"", "http://:9901", "http://0.0.0.0:9901", "http://192.0.2.1:1", "http://example.com:1",
                          "http://127.0.0.1", "https://127.0.0.1:1", "unix://relative", "unix://", "127.0.0.1:9901",
                          "http://127.0.0.1:99999"}) {
    EXPECT_EQ(text(bad), "refused") << bad;
  }
}

TEST(HealthAddress, AnyAddressButAPort) {
  const auto text = [](std::string_view from) {
    const auto address = parse_health_address(from);
    return address ? address->to_string() : "refused";
  };
  EXPECT_EQ(text("http://:9902"), ":9902");
  EXPECT_EQ(text("http://0.0.0.0:9902/"), "0.0.0.0:9902");
  EXPECT_EQ(text("http://[2001:db8::1]:9902"), "[2001:db8::1]:9902");
  for (const char* bad : {"", "off", ":9902", "http://0.0.0.0", "http://:0", "http://example.com:1", "unix:///a", "http://:x"}) {
    EXPECT_EQ(text(bad), "refused") << bad;
  }
}

TEST(AdminAddress, Default) {
  if (::geteuid() == 0) {
    EXPECT_EQ(default_admin_address().to_string(), "unix:/run/headgate/headgate.sock");
    return;
  }
  ::setenv("XDG_RUNTIME_DIR", "/run/user/1", 1);
  EXPECT_EQ(default_admin_address().to_string(), "unix:/run/user/1/headgate/headgate.sock");
  ::unsetenv("XDG_RUNTIME_DIR");
  EXPECT_EQ(default_admin_address().family(), SocketAddress::Family::kNone);
}

}  // namespace
}  // namespace headgate::control
