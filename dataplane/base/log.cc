#include "dataplane/base/log.h"

#include <array>
#include <chrono>

#include "dataplane/base/log_writer.h"
#include "dataplane/base/number.h"

namespace headgate {
namespace {

constexpr uint32_t kLinesPerSecond = 10;
constexpr size_t kMaxLine = 16 * 1024;

constexpr std::array<std::string_view, 6> kLevelNames = {"trace", "debug", "info", "warn", "error", "off"};
constexpr std::array<std::string_view, static_cast<size_t>(Subsystem::kCount)> kSubsystemNames = {
    "core", "config", "net", "tls", "http", "upstream", "health", "static", "forward", "dns", "control", "admin"};

struct Settings {
  std::array<std::atomic<LogLevel>, static_cast<size_t>(Subsystem::kCount)> levels{};
  std::atomic<LogFormat> format{LogFormat::kPretty};
  std::atomic<LogFile*> file{nullptr};  // null: stderr, not opened yet
  Settings() {
    for (auto& level : levels) level.store(LogLevel::kInfo, std::memory_order_relaxed);
  }
};
Settings g_settings;

LogFile& error_log() {
  LogFile* file = g_settings.file.load(std::memory_order_acquire);
  return file != nullptr ? *file : *open_log_file("stderr");
}

void append_two(std::string& into, uint64_t value) {
  into += static_cast<char>('0' + value / 10 % 10);
  into += static_cast<char>('0' + value % 10);
}

// RFC 3339 5.6, UTC, milliseconds. gmtime() takes a lock of the C library; the calendar of <chrono> does not.
void append_time(std::string& into, std::chrono::system_clock::time_point time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(day);
  const auto ms = static_cast<uint64_t>(std::chrono::floor<std::chrono::milliseconds>(time - day).count());
  std::array<char, 20> year{};
  const char* year_end = write_decimal(year.data(), static_cast<uint64_t>(static_cast<int>(date.year())));
  into.append(year.data(), static_cast<size_t>(year_end - year.data()));
  into += '-';
  append_two(into, static_cast<unsigned>(date.month()));
  into += '-';
  append_two(into, static_cast<unsigned>(date.day()));
  into += 'T';
  append_two(into, ms / 3'600'000);
  into += ':';
  append_two(into, ms / 60'000 % 60);
  into += ':';
  append_two(into, ms / 1000 % 60);
  into += '.';
  into += static_cast<char>('0' + ms % 1000 / 100);
  append_two(into, ms % 100);
  into += 'Z';
}

// Length of the well-formed UTF-8 sequence at the start of `text`, 0 when there is none (RFC 3629 4).
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<uint8_t>(text[i]) : 0U; };
  const auto tail = [&](size_t i) { return (byte(i) & 0xc0U) == 0x80U; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return tail(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    const bool second = lead == 0xe0 ? byte(1) >= 0xa0 : lead != 0xed || byte(1) < 0xa0;
    return tail(1) && second && tail(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    const bool second = lead == 0xf0 ? byte(1) >= 0x90 : lead != 0xf4 || byte(1) < 0x90;
    return tail(1) && second && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

void append_hex_byte(std::string& into, std::string_view prefix, uint8_t byte) {
  constexpr std::string_view kHex = "0123456789abcdef";
  into.append(prefix) += kHex[byte >> 4];
  into += kHex[byte & 15];
}

enum class Quotes : uint8_t { kEscape, kKeep };

// Inside a JSON string (RFC 8259 7), or a quoted value of the pretty format: what clients send ends up here, so no
// control character reaches a terminal and no malformed byte a JSON reader.
void append_escaped(std::string& into, std::string_view text, LogFormat format, Quotes quotes = Quotes::kEscape) {
  const bool json = format == LogFormat::kJson;
  while (!text.empty()) {
    const auto byte = static_cast<uint8_t>(text[0]);
    const size_t length = utf8_length(text);
    const bool c1_control = byte == 0xc2 && length == 2 && static_cast<uint8_t>(text[1]) < 0xa0;
    if ((byte == '"' || byte == '\\') && quotes == Quotes::kEscape) {
      (into += '\\') += text[0];
    } else if (byte == '\n') {
      into += "\\n";
    } else if (byte == '\r') {
      into += "\\r";
    } else if (byte == '\t') {
      into += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      append_hex_byte(into, json ? "\\u00" : "\\x", byte);
    } else if (c1_control) {
      append_hex_byte(into, "\\u00", static_cast<uint8_t>(text[1]));
    } else if (length == 0) {
      if (json) {
        into += "\\ufffd";
      } else {
        append_hex_byte(into, "\\x", byte);
      }
    } else {
      into.append(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

bool needs_quotes(std::string_view value) {
  if (value.empty()) return true;
  for (const char c : value) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '"' || c == '=' || c == '\\') return true;
  }
  return false;
}

// A number may stand without quotes in JSON unless it is "nan" or "inf".
bool is_json_number(const LogField& field) {
  const std::string_view text = field.value();
  return field.is_number() && !text.empty() && ((text.back() >= '0' && text.back() <= '9'));
}

std::string_view shortened(std::string_view text) { return text.substr(0, kMaxLine / 4); }

void append_pretty(std::string& line, LogLevel level, Subsystem subsystem, std::string_view message,
                   std::initializer_list<LogField> fields) {
  append_time(line, std::chrono::system_clock::now());
  line.append(" ").append(level_name(level)).append(level_name(level).size() == 4 ? "  " : " ");
  line.append(subsystem_name(subsystem)).append(": ");
  append_escaped(line, shortened(message), LogFormat::kPretty, Quotes::kKeep);  // it stands alone, not in quotes
  for (const LogField& field : fields) {
    if (line.size() > kMaxLine) break;
    line.append(" ").append(field.key()).append("=");
    if (!needs_quotes(field.value())) {
      line.append(shortened(field.value()));
      continue;
    }
    line += '"';
    append_escaped(line, shortened(field.value()), LogFormat::kPretty);
    line += '"';
  }
}

void append_json(std::string& line, LogLevel level, Subsystem subsystem, std::string_view message,
                 std::initializer_list<LogField> fields) {
  line += "{\"time\":\"";
  append_time(line, std::chrono::system_clock::now());
  line.append("\",\"level\":\"").append(level_name(level));
  line.append("\",\"subsystem\":\"").append(subsystem_name(subsystem)).append("\",\"message\":\"");
  append_escaped(line, shortened(message), LogFormat::kJson);
  line += '"';
  for (const LogField& field : fields) {
    if (line.size() > kMaxLine) break;
    line += ",\"";
    append_escaped(line, field.key(), LogFormat::kJson);
    line += "\":";
    if (is_json_number(field)) {
      line.append(field.value());
      continue;
    }
    line += '"';
    append_escaped(line, shortened(field.value()), LogFormat::kJson);
    line += '"';
  }
  line += '}';
}

void append_line(std::string& line, LogFormat format, LogLevel level, Subsystem subsystem, std::string_view message,
                 std::initializer_list<LogField> fields) {
  if (format == LogFormat::kJson) {
    append_json(line, level, subsystem, message, fields);
  } else {
    append_pretty(line, level, subsystem, message, fields);
  }
}

void emit(LogLevel level, Subsystem subsystem, std::string_view message, std::initializer_list<LogField> fields) {
  thread_local std::string line;
  line.clear();
  append_line(line, g_settings.format.load(std::memory_order_relaxed), level, subsystem, message, fields);
  error_log().append(line, true);
}

// True when this site may still write in the second that runs.
bool admit(LogSite& site) {
  const auto second = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now().time_since_epoch()).count());
  uint64_t window = site.window.load(std::memory_order_relaxed);
  if (window != second && site.window.compare_exchange_strong(window, second, std::memory_order_relaxed)) {
    site.lines.store(0, std::memory_order_relaxed);
  }
  return site.lines.fetch_add(1, std::memory_order_relaxed) < kLinesPerSecond;
}

template <typename Names>
bool find_name(const Names& names, std::string_view name, size_t& index) {
  for (index = 0; index < names.size(); ++index) {
    if (names[index] == name) return true;
  }
  return false;
}

}  // namespace

std::string_view level_name(LogLevel level) { return kLevelNames[static_cast<size_t>(level)]; }
std::string_view subsystem_name(Subsystem subsystem) { return kSubsystemNames[static_cast<size_t>(subsystem)]; }

bool parse_level(std::string_view name, LogLevel& level) {
  size_t index = 0;
  if (!find_name(kLevelNames, name, index)) return false;
  level = static_cast<LogLevel>(index);
  return true;
}

bool parse_subsystem(std::string_view name, Subsystem& subsystem) {
  size_t index = 0;
  if (!find_name(kSubsystemNames, name, index)) return false;
  subsystem = static_cast<Subsystem>(index);
  return true;
}

bool log_enabled(LogLevel level, Subsystem subsystem) {
  return level >= g_settings.levels[static_cast<size_t>(subsystem)].load(std::memory_order_relaxed) &&
         level != LogLevel::kOff;
}

void log_line(LogSite& site, LogLevel level, Subsystem subsystem, std::string_view message,
              std::initializer_list<LogField> fields) {
  if (admit(site)) {
    emit(level, subsystem, message, fields);
    return;
  }
  site.suppressed.fetch_add(1, std::memory_order_relaxed);
  if (site.waiting.exchange(true, std::memory_order_acquire)) return;
  // Messages of call sites are literals; a longer-lived copy is not needed.
  site.message = message;
  site.level = level;
  site.subsystem = subsystem;
  watch_suppressed(site);
}

void log_suppressed(LogSite& site) {
  const std::string_view message = site.message;
  const LogLevel level = site.level;
  const Subsystem subsystem = site.subsystem;
  site.waiting.store(false, std::memory_order_release);
  const uint32_t left_out = site.suppressed.exchange(0, std::memory_order_relaxed);
  if (left_out > 0) emit(level, subsystem, message, {{"left_out", left_out}});
}

std::string format_log_line(LogFormat format, LogLevel level, Subsystem subsystem, std::string_view message,
                            std::initializer_list<LogField> fields) {
  std::string line;
  append_line(line, format, level, subsystem, message, fields);
  line += '\n';
  return line;
}

void set_log_level(LogLevel level) {
  for (auto& each : g_settings.levels) each.store(level, std::memory_order_relaxed);
}
void set_log_level(Subsystem subsystem, LogLevel level) {
  g_settings.levels[static_cast<size_t>(subsystem)].store(level, std::memory_order_relaxed);
}
void set_log_format(LogFormat format) { g_settings.format.store(format, std::memory_order_relaxed); }

bool set_log_file(const std::string& path) {
  LogFile* file = open_log_file(path);
  if (file == nullptr) return false;
  g_settings.file.store(file, std::memory_order_release);
  return true;
}

}  // namespace headgate
