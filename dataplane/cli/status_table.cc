// status_table(): the answer of /stats for people (declared in commands.h).
#include <algorithm>
#include <chrono>
#include <string>

#include "dataplane/cli/commands.h"
#include "dataplane/control/admin_reply.h"

namespace headgate::cli {
namespace {

constexpr size_t kLabelWidth = 13;

std::string padded(std::string text, size_t width) {
  if (text.size() < width) text.append(width - text.size(), ' ');
  return text;
}

// What came over the wire is shown, not obeyed: no control character reaches the terminal.
std::string printable(std::string_view text) {
  std::string shown;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    shown += byte < 0x20 || byte == 0x7f ? '?' : c;
  }
  return shown;
}

// "3d 4h", "12m 5s": the two largest units.
std::string duration_text(uint64_t seconds) {
  const uint64_t days = seconds / 86'400;
  const uint64_t hours = seconds / 3600 % 24;
  const uint64_t minutes = seconds / 60 % 60;
  if (days > 0) return std::to_string(days) + "d " + std::to_string(hours) + "h";
  if (hours > 0) return std::to_string(hours) + "h " + std::to_string(minutes) + "m";
  if (minutes > 0) return std::to_string(minutes) + "m " + std::to_string(seconds % 60) + "s";
  return std::to_string(seconds) + "s";
}

std::string two_digits(uint64_t value) { return (value < 10 ? "0" : "") + std::to_string(value); }

// "2026-08-01 12:00:00 UTC"
std::string time_text(int64_t unix_time_s) {
  const std::chrono::sys_seconds time{std::chrono::seconds(unix_time_s)};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const auto of_day = static_cast<uint64_t>((time - day).count());
  return std::to_string(static_cast<int>(date.year())) + "-" + two_digits(static_cast<unsigned>(date.month())) + "-" +
         two_digits(static_cast<unsigned>(date.day())) + " " + two_digits(of_day / 3600) + ":" +
         two_digits(of_day / 60 % 60) + ":" + two_digits(of_day % 60) + " UTC";
}

std::string counted(uint64_t value, const char* what) { return std::to_string(value) + " " + what; }

void add_upstreams(std::string& table, const std::vector<control::UpstreamStats>& upstreams) {
  if (upstreams.empty()) return;
  size_t name_width = 8;
  size_t address_width = 8;
  for (const auto& upstream : upstreams) {
    name_width = std::max(name_width, upstream.name.size());
    for (const auto& endpoint : upstream.endpoints) address_width = std::max(address_width, endpoint.address.size());
  }
  table += "\n" + padded("UPSTREAM", name_width + 2) + padded("ENDPOINT", address_width + 2) + "HEALTH\n";
  for (const auto& upstream : upstreams) {
    std::string name = printable(upstream.name);
    if (upstream.endpoints.empty()) table += padded(name, name_width + 2) + padded("-", address_width + 2) + "no endpoint\n";
    for (const auto& endpoint : upstream.endpoints) {
      table += padded(name, name_width + 2) + padded(printable(endpoint.address), address_width + 2);
      table += endpoint.healthy ? "up" : "down";
      if (!endpoint.reason.empty()) table += ": " + printable(endpoint.reason);
      table += "\n";
      name.clear();  // once per upstream
    }
  }
}

}  // namespace

std::string status_table(const control::StatsReply& reply) {
  const control::AdminStats& stats = reply.stats;
  std::string table;
  const auto row = [&table](const char* label, const std::string& value) {
    table += padded(label, kLabelWidth) + value + "\n";
  };
  row("headgate", printable(reply.version) + ", " + printable(stats.state) + " for " +
                      duration_text(static_cast<uint64_t>(stats.uptime_s)) + ", pid " + std::to_string(reply.pid));
  row("workers", std::to_string(stats.workers) +
                     (stats.restarts > 0 ? " (restarted after a crash: " + std::to_string(stats.restarts) + ")" : ""));
  row("config", (stats.config.empty() ? std::string("command line") : printable(stats.config)) +
                    (stats.config_time_s > 0 ? ", applied " + time_text(stats.config_time_s) : ""));
  row("listeners", std::to_string(stats.listeners));
  row("connections", counted(reply.connections_active, "open, ") + counted(reply.connections_accepted, "accepted, ") +
                         counted(reply.connections_refused, "refused"));
  row("requests", counted(reply.requests_active, "active, ") + counted(reply.requests_received, "received"));
  row("responses", counted(reply.responses_2xx, "2xx, ") + counted(reply.responses_3xx, "3xx, ") +
                       counted(reply.responses_4xx, "4xx, ") + counted(reply.responses_5xx, "5xx"));
  if (reply.log_lines_dropped > 0) row("log", counted(reply.log_lines_dropped, "lines dropped"));
  add_upstreams(table, stats.upstreams);
  return table;
}

}  // namespace headgate::cli
