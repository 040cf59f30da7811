#include "dataplane/control/admin.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>

#include "dataplane/base/log.h"
#include "dataplane/base/text.h"

namespace headgate::control {
namespace {

AdminAnswer text_answer(int status, std::string body) { return {.status = status, .body = std::move(body)}; }

AdminAnswer json_answer(int status, std::string body) {
  return {.status = status, .content_type = "application/json", .body = std::move(body)};
}

bool is_loopback_name(std::string_view host) {
  // The port does not matter: the listener has only one.
  if (host.starts_with('[')) {
    host = host.substr(0, host.find(']') + 1);
  } else {
    host = host.substr(0, host.find(':'));
  }
  if (equals_ignore_case(host, "localhost")) return true;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto address = IpAddress::parse(host);
  return address && address->is_loopback();
}

// Could a web page have made a browser send this? (DNS rebinding, cross-site forms and fetches.)
bool may_come_from_a_page(const AdminRequest& request) {
  if (request.over_unix_socket) return false;
  if (!request.host.empty() && !is_loopback_name(request.host)) return true;
  const bool same_site = request.fetch_site.empty() || request.fetch_site == "none" || request.fetch_site == "same-origin";
  return !request.origin.empty() || !same_site;
}

enum class Page : uint8_t { kLivez, kReadyz, kMetrics, kConfig, kStats, kExplain, kReload, kDrain, kReopen, kUpgrade };
struct PageRow {
  std::string_view path;
  Page page;
  bool is_action;
  bool is_health = false;  // on the listener of -health, too
};
constexpr std::array kPages = {
    PageRow{"/livez", Page::kLivez, false, true},     PageRow{"/readyz", Page::kReadyz, false, true},
    PageRow{"/metrics", Page::kMetrics, false, true}, PageRow{"/config", Page::kConfig, false},
    PageRow{"/stats", Page::kStats, false},           PageRow{"/explain", Page::kExplain, false},
    PageRow{"/reload", Page::kReload, true},          PageRow{"/drain", Page::kDrain, true},
    PageRow{"/reopen", Page::kReopen, true},          PageRow{"/upgrade", Page::kUpgrade, true},
};

std::string index_text() {
  std::string text = "headgate " HEADGATE_VERSION "\n";
  for (const PageRow& row : kPages) text.append(row.is_action ? "POST " : "GET  ").append(row.path).append("\n");
  return text;
}

class JsonWriter {
 public:
  JsonWriter& open(char bracket) {
    comma();
    text_ += bracket;
    first_ = true;
    return *this;
  }
  JsonWriter& close(char bracket) {
    text_ += bracket;
    first_ = false;
    return *this;
  }
  JsonWriter& key(std::string_view name) {
    comma();
    text_ += quote_json(name);
    text_ += ':';
    first_ = true;
    return *this;
  }
  JsonWriter& text(std::string_view value) { return raw(quote_json(value)); }
  JsonWriter& number(uint64_t value) { return raw(std::to_string(value)); }
  JsonWriter& boolean(bool value) { return raw(value ? "true" : "false"); }
  JsonWriter& raw(std::string_view value) {
    comma();
    text_ += value;
    first_ = false;
    return *this;
  }
  [[nodiscard]] const std::string& result() const { return text_; }

 private:
  void comma() {
    if (!first_) text_ += ',';
    first_ = false;
  }
  std::string text_;
  bool first_ = true;
};

void write_upstreams(JsonWriter& json, const std::vector<UpstreamStats>& upstreams) {
  json.key("upstreams").open('[');
  for (const UpstreamStats& upstream : upstreams) {
    json.open('{').key("name").text(upstream.name).key("endpoints").open('[');
    for (const EndpointStats& endpoint : upstream.endpoints) {
      json.open('{').key("address").text(endpoint.address).key("healthy").boolean(endpoint.healthy);
      if (!endpoint.reason.empty()) json.key("reason").text(endpoint.reason);
      json.close('}');
    }
    json.close(']').close('}');
  }
  json.close(']');
}

}  // namespace

std::string outcome_json(const ActionOutcome& outcome) {
  JsonWriter json;
  json.open('{').key("ok").boolean(outcome.ok).key("message").text(outcome.message).key("problems").open('[');
  for (const AdminProblem& problem : outcome.problems) {
    json.open('{').key("file").text(problem.file).key("line").number(problem.line);
    json.key("column").number(problem.column).key("path").text(problem.path);
    json.key("message").text(problem.message).close('}');
  }
  json.close(']').close('}');
  return json.result() + "\n";
}

void Admin::handle(const AdminRequest& request, AdminDone done) {
  if (!request.health_only && may_come_from_a_page(request)) {
    HG_LOG(kWarn, kAdmin, "refused a request that a web page may have caused", {"host", request.host},
           {"origin", request.origin});
    return done(text_answer(403, "not from a web page\n"));
  }
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (request.path == "/" && reads && !request.health_only) return done(text_answer(200, index_text()));
  for (const PageRow& row : kPages) {
    if (row.path != request.path || (request.health_only && !row.is_health)) continue;
    if (row.is_action ? request.method != "POST" : !reads) {
      AdminAnswer answer = text_answer(405, "method not allowed\n");
      answer.allow = row.is_action ? "POST" : "GET, HEAD";
      return done(std::move(answer));
    }
    if (row.is_action) HG_LOG(kInfo, kAdmin, "command", {"path", row.path});
    const auto finish = [done](ActionOutcome outcome) {
      done(json_answer(outcome.ok ? 200 : 409, outcome_json(outcome)));
    };
    switch (row.page) {
      case Page::kLivez: return done(livez());
      case Page::kReadyz: return done(readyz());
      case Page::kMetrics: return done(metrics());
      case Page::kConfig: return done(config());
      case Page::kStats: return done(stats());
      case Page::kExplain: return done(explain(request.query));
      case Page::kReload: return backend_.reload(finish);
      case Page::kDrain: return backend_.drain(finish);
      case Page::kReopen: return backend_.reopen(finish);
      case Page::kUpgrade: return backend_.upgrade(finish);
    }
  }
  done(text_answer(404, "no such page\n"));
}

AdminAnswer Admin::livez() {
  const int64_t now_ns = clock_.now().time_since_epoch().count();
  const std::vector<Heartbeat> heartbeats = backend_.heartbeats();
  for (size_t i = 0; i < heartbeats.size(); ++i) {
    const int64_t began = heartbeats[i].turn_began_ns;
    if (began == 0 || now_ns - began <= kStuckAfter.count()) continue;
    const auto seconds = std::to_string((now_ns - began) / 1'000'000'000);
    return text_answer(503, "worker " + std::to_string(i) + " has not turned for " + seconds + " s\n");
  }
  return text_answer(200, "ok\n");
}

AdminAnswer Admin::readyz() {
  const std::string reason = backend_.not_ready_reason();
  return reason.empty() ? text_answer(200, "ok\n") : text_answer(503, reason + "\n");
}

AdminAnswer Admin::metrics() {
  std::vector<MetricSample> samples = process_samples();
  for (MetricSample& sample : backend_.samples()) samples.push_back(std::move(sample));
  const std::vector<const Counters*> counters = backend_.counters();
  return {.status = 200, .content_type = kMetricsContentType, .body = export_metrics(counters, samples)};
}

AdminAnswer Admin::explain(const std::string& query) {
  auto question = explain::from_query(query);
  if (!question) return text_answer(400, "expected ?url=URL&method=METHOD&client=ADDRESS&header=NAME: VALUE, encoded\n");
  std::string problem;
  if (!explain::parse(*question, problem)) return text_answer(400, problem + "\n");
  return backend_.explain(*question);
}

AdminAnswer Admin::config() { return json_answer(200, backend_.config_text()); }

AdminAnswer Admin::stats() {
  const AdminStats stats = backend_.stats();
  const std::vector<const Counters*> counters = backend_.counters();
  const auto total = [&](Counter counter) {
    uint64_t sum = 0;
    for (const Counters* worker : counters) sum += worker->value(counter);
    // A gauge read while it moves between workers may be below zero for a moment.
    return static_cast<int64_t>(sum) < 0 ? 0 : sum;
  };
  JsonWriter json;
  json.open('{').key("version").text(HEADGATE_VERSION).key("pid").number(static_cast<uint64_t>(::getpid()));
  json.key("state").text(stats.state);
  json.key("uptime_s").number(static_cast<uint64_t>(std::max(0.0, std::floor(stats.uptime_s))));
  json.key("workers").number(stats.workers).key("restarts").number(stats.restarts);
  json.key("config").text(stats.config).key("config_time_s").number(static_cast<uint64_t>(stats.config_time_s));
  json.key("listeners").number(stats.listeners);
  json.key("connections").open('{').key("active").number(total(Counter::kConnectionsActive));
  json.key("accepted").number(total(Counter::kConnectionsAccepted));
  json.key("refused").number(total(Counter::kConnectionsRefusedLimit) + total(Counter::kConnectionsRefusedPerIp) +
                             total(Counter::kConnectionsRefusedOverload));
  json.close('}');
  json.key("requests").open('{').key("active").number(total(Counter::kRequestsActive));
  json.key("received").number(total(Counter::kRequests));
  json.key("status_2xx").number(total(Counter::kResponses2xx)).key("status_3xx").number(total(Counter::kResponses3xx));
  json.key("status_4xx").number(total(Counter::kResponses4xx)).key("status_5xx").number(total(Counter::kResponses5xx));
  json.close('}');
  json.key("log_lines_dropped").number(log_lines_dropped());
  write_upstreams(json, stats.upstreams);
  json.close('}');
  return json_answer(200, json.result() + "\n");
}

Result<SocketAddress> parse_admin_address(std::string_view text) {
  const auto invalid = [](const char* detail) { return Error{.code = Errc::kInvalid, .detail = detail}; };
  if (text == "off") return SocketAddress();
  if (text.starts_with("unix://")) {
    const auto address = SocketAddress::unix_path(text.substr(7));
    if (address && !address->path().starts_with('/')) return invalid("the admin socket needs an absolute path");
    return address;
  }
  if (!text.starts_with("http://")) return invalid("expected unix:///PATH, http://127.0.0.1:PORT or off");
  text.remove_prefix(7);
  if (text.ends_with('/')) text.remove_suffix(1);
  const auto parts = parse_host_port(text, 0);
  if (!parts) return parts.error();
  const auto address = equals_ignore_case(parts->host, "localhost") ? Result<IpAddress>(IpAddress::v4(0x7f000001))
                                                                    : IpAddress::parse(parts->host);
  if (!address || !address->is_loopback()) return invalid("the admin address must be a loopback address");
  if (parts->port == 0 && !text.ends_with(":0")) return invalid("the admin address needs a port");
  return SocketAddress::ip(*address, parts->port);
}

Result<SocketAddress> parse_health_address(std::string_view text) {
  const Error expected{.code = Errc::kInvalid, .detail = "expected http://:PORT or http://ADDRESS:PORT"};
  if (!text.starts_with("http://")) return expected;
  text.remove_prefix(7);
  if (text.ends_with('/')) text.remove_suffix(1);
  const auto address = SocketAddress::parse(text);
  return address && address->is_ip() && address->port() != 0 ? address : Result<SocketAddress>(expected);
}

SocketAddress default_admin_address() {
  std::string directory = "/run";
  if (::geteuid() != 0) {
    const char* runtime = std::getenv("XDG_RUNTIME_DIR");
    directory = runtime != nullptr && runtime[0] == '/' ? runtime : "";
  }
  if (directory.empty()) return {};
  return SocketAddress::unix_path(directory + "/headgate/headgate.sock").value_or(SocketAddress());
}

}  // namespace headgate::control
