// logging.cc -- the section `logging`, and the single keys `admin`, `zone`, `temp_dir`, `trusted_proxies`.
#include <algorithm>
#include <array>

#include "dataplane/base/text.h"
#include "proto/json/reading.h"

namespace headgate::json {

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

constexpr std::array<std::string_view, 16> kSubsystems{
    "base",    "event",    "net",     "dns",      "tls",     "http",     "http1",  "http2",
    "routing", "upstream", "filters", "handlers", "observe", "snapshot", "worker", "control"};
constexpr std::array<std::string_view, 5> kOwnKeys{"format", "level", "access_log", "access_format", "error_log"};

LogLevel level_of(std::string_view word) {
  if (word == "trace") return LOG_LEVEL_TRACE;
  if (word == "debug") return LOG_LEVEL_DEBUG;
  if (word == "warn") return LOG_LEVEL_WARN;
  if (word == "error") return LOG_LEVEL_ERROR;
  if (word == "off") return LOG_LEVEL_OFF;
  return LOG_LEVEL_INFO;
}

// A stream of the process, or a file relative to the folder of ours.
std::string log_output(const Reading& reading, std::string_view text) {
  if (text == "stdout" || text == "stderr" || text == "off") return std::string(text);
  return reading.resolve(text);
}

void read_levels(Reading& reading, NodeId node, LogSettings& log) {
  for (NodeId child = reading.doc.first(node); child != kNoNode; child = reading.doc.next(child)) {
    const std::string_view key = reading.doc.node(child).key;
    if (std::find(kOwnKeys.begin(), kOwnKeys.end(), key) != kOwnKeys.end()) continue;
    const auto level = reading.text(child);
    if (!level) continue;
    if (std::find(kSubsystems.begin(), kSubsystems.end(), key) == kSubsystems.end()) {
      std::string known;
      for (const std::string_view name : kSubsystems) known += (known.empty() ? "" : ", ") + std::string(name);
      reading.warning(
          child, "subsystem",
          "there is no subsystem " + quote_json(key) + ", so this level changes nothing; there are " + known);
    }
    SubsystemLevel& entry = *log.add_levels();
    entry.set_subsystem(std::string(key));
    entry.set_level(level_of(*level));
  }
}

void read_access_log(Reading& reading, NodeId node, AccessLog& access) {
  if (const auto output = reading.text(node, "access_log")) {
    if (output->empty())
      reading.error(reading.member(node, "access_log"), "file", "expected stdout, stderr, off or the name of a file");
    access.set_output(log_output(reading, *output));
  }
  const auto format = reading.text(node, "access_format");
  if (!format) return;
  if (*format == "combined") {
    access.set_format(ACCESS_LOG_COMBINED);
  } else if (*format == "json") {
    access.set_format(ACCESS_LOG_JSON);
  } else if (format->find('$') != std::string_view::npos) {
    access.set_format(ACCESS_LOG_TEMPLATE);
    access.set_template_(std::string(*format));
  } else {
    reading.error(reading.member(node, "access_format"), "value",
                  "expected combined, json, or a template with $variables such as \"$client_ip $request $status\"");
  }
  reading.positions.add(check::Kind::kSettings, "default", "access_log.template",
                        reading.member(node, "access_format"));
}

}  // namespace

void read_logging(Reading& reading, NodeId root) {
  ProxySettings& settings = *reading.set.mutable_settings();
  const NodeId node = reading.member(root, "logging");
  if (reading.is_object(node)) {
    LogSettings& log = *settings.mutable_log();
    if (const auto format = reading.text(node, "format"))
      log.set_format(*format == "json" ? LOG_FORMAT_JSON : LOG_FORMAT_PRETTY);
    if (const auto level = reading.text(node, "level")) log.set_level(level_of(*level));
    if (const auto output = reading.text(node, "error_log")) {
      if (output->empty())
        reading.error(reading.member(node, "error_log"), "file", "expected stderr, stdout, off or the name of a file");
      log.set_output(log_output(reading, *output));
    }
    read_levels(reading, node, log);
    read_access_log(reading, node, *settings.mutable_access_log());
    reading.positions.add(check::Kind::kSettings, "default", "log", node);
    reading.positions.add(check::Kind::kSettings, "default", "access_log", node);
  }
  if (const auto admin = reading.text(root, "admin")) settings.set_admin(std::string(*admin));
  reading.positions.add(check::Kind::kSettings, "default", "admin", reading.member(root, "admin"));
  if (const auto zone = reading.text(root, "zone")) settings.set_zone(std::string(*zone));
  if (const auto folder = reading.text(root, "temp_dir")) {
    if (folder->empty()) reading.error(reading.member(root, "temp_dir"), "file", "expected the name of a folder");
    settings.set_temp_dir(reading.resolve(*folder));
  }
  const NodeId trusted = reading.member(root, "trusted_proxies");
  for (const std::string& range : reading.texts(root, "trusted_proxies")) settings.add_trusted_proxies(range);
  reading.positions.add_list(check::Kind::kSettings, "default", "trusted_proxies", reading.each(trusted));
}

}  // namespace headgate::json
