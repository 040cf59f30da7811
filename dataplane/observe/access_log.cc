#include "dataplane/observe/access_log.h"

#include "dataplane/base/text.h"

namespace headgate::observe {
namespace {

constexpr std::string_view kCombined =
    "$client_ip - $remote_user [$time_local] \"$request\" $status $body_bytes_sent \"$http_referer\" "
    "\"$http_user_agent\"";

struct StandardField {
  std::string_view name;
  std::string_view value;
  bool number;
};
constexpr StandardField kJsonFields[] = {
    {"time", "$time_iso8601", false},
    {"client", "$client_ip", false},
    {"method", "$method", false},
    {"scheme", "$scheme", false},
    {"host", "$host", false},
    {"uri", "$request_uri", false},
    {"protocol", "$protocol", false},
    {"status", "$status", true},
    {"bytes_sent", "$body_bytes_sent", true},
    {"bytes_received", "$bytes_received", true},
    {"duration", "$request_time", true},
    {"route", "$route", false},
    {"upstream", "$upstream_name", false},
    {"endpoint", "$upstream_addr", false},
    {"upstream_duration", "$upstream_time", false},
    {"attempts", "$attempts", true},
    {"request_id", "$request_id", false},
    {"referer", "$http_referer", false},
    {"user_agent", "$http_user_agent", false},
    {"tls", "$tls_version", false},
    {"error", "$error", false},
};

}  // namespace

AccessLog AccessLog::combined(LogSink& sink) {
  AccessLog log(sink);
  auto parsed = http::TextTemplate::parse(kCombined);
  HG_CHECK(parsed.has_value());
  log.line_ = std::move(*parsed);
  return log;
}

Result<AccessLog> AccessLog::json(LogSink& sink, const std::vector<std::pair<std::string, std::string>>& extra,
                                  std::string* why) {
  AccessLog log(sink);
  const auto add = [&](std::string_view name, std::string_view value, bool number) -> Result<void> {
    auto parsed = http::TextTemplate::parse(value, why);
    if (!parsed) return parsed.error();
    const char* separator = log.fields_.empty() ? "{" : ",";
    log.fields_.push_back({separator + quote_json(name) + ":", std::move(*parsed), number});
    return {};
  };
  for (const StandardField& field : kJsonFields) HG_TRY(add(field.name, field.value, field.number));
  for (const auto& [name, value] : extra) HG_TRY(add(name, value, false));
  return log;
}

Result<AccessLog> AccessLog::from_template(LogSink& sink, std::string_view text, std::string* why) {
  AccessLog log(sink);
  auto parsed = http::TextTemplate::parse(text, why);
  if (!parsed) return parsed.error();
  log.line_ = std::move(*parsed);
  return log;
}

void AccessLog::write(http::Exchange& exchange) const {
  if (!fields_.empty()) {
    write_json(exchange);
  } else {
    sink_->write(line_.expand(exchange, http::ValueEscape::kLog));
  }
}

void AccessLog::write_json(http::Exchange& exchange) const {
  // Reused: a line a request must not mean an allocation a request.
  thread_local std::string line;
  line.clear();
  for (const JsonField& field : fields_) {
    line += field.before;
    const std::string_view value = field.value.expand(exchange);
    if (field.number) {
      line += value.empty() ? std::string_view("0") : value;
      continue;
    }
    line += '"';
    append_json_escaped(line, value);
    line += '"';
  }
  line += '}';
  sink_->write(line);
}

}  // namespace headgate::observe
