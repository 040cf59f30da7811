// log.h -- the error log: levelled lines of key=value pairs, per subsystem, rate limited per call site.
//
//   HG_LOG(kWarn, kTls, "handshake failed", {"client", address}, {"error", text});
//
// A line is formatted on the calling thread into a bounded queue and written by one writer thread; when the queue is
// full the line is dropped and counted, so that a stuck pipe never blocks a worker.
// Thread: any.   Errors: none; logging never fails.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace headgate {

enum class LogLevel : uint8_t { kTrace, kDebug, kInfo, kWarn, kError, kOff };
enum class Subsystem : uint8_t {
  kCore, kConfig, kNet, kTls, kHttp, kUpstream, kHealth, kStatic, kForward, kDns, kControl, kAdmin, kCount
};
enum class LogFormat : uint8_t { kPretty, kJson };

std::string_view level_name(LogLevel level);
std::string_view subsystem_name(Subsystem subsystem);
// False when the name is unknown.
bool parse_level(std::string_view name, LogLevel& level);
bool parse_subsystem(std::string_view name, Subsystem& subsystem);

// A number or a text; numbers are kept as text without allocation.
class LogField {
 public:
  LogField(std::string_view key, std::string_view value) : key_(key), value_(value) {}
  LogField(std::string_view key, const char* value) : key_(key), value_(value) {}
  LogField(std::string_view key, const std::string& value) : key_(key), value_(value) {}
  template <typename Number>
    requires std::is_arithmetic_v<Number>
  LogField(std::string_view key, Number value) : key_(key), number_(std::to_string(value)), is_number_(true) {}

  [[nodiscard]] std::string_view key() const { return key_; }
  [[nodiscard]] std::string_view value() const { return is_number_ ? std::string_view(number_) : value_; }
  [[nodiscard]] bool is_number() const { return is_number_; }

 private:
  std::string_view key_;
  std::string_view value_;
  std::string number_;
  bool is_number_ = false;
};

// Per call site: at most 10 lines a second, then one line that says how many were left out. Static storage only: the
// writer thread comes back to a site that left lines out.
struct LogSite {
  std::atomic<uint64_t> window{0};
  std::atomic<uint32_t> lines{0};
  std::atomic<uint32_t> suppressed{0};
  std::atomic<bool> waiting{false};  // in the writer's list of sites that left lines out
  LogSite* next_waiting = nullptr;
  std::string_view message;  // of the first line that was left out
  LogLevel level = LogLevel::kInfo;
  Subsystem subsystem = Subsystem::kCore;
};

bool log_enabled(LogLevel level, Subsystem subsystem);
// `message` is a literal: the site keeps it.
void log_line(LogSite& site, LogLevel level, Subsystem subsystem, std::string_view message,
              std::initializer_list<LogField> fields = {});
// The same line as text with its newline, for the one process that has no writer thread (control/parent).
std::string format_log_line(LogFormat format, LogLevel level, Subsystem subsystem, std::string_view message,
                            std::initializer_list<LogField> fields = {});

// Settings; take effect at once. Every subsystem starts at kInfo.
void set_log_level(LogLevel level);
void set_log_level(Subsystem subsystem, LogLevel level);
void set_log_format(LogFormat format);
// "stderr", "stdout" or a path. False when the file cannot be opened (the old one stays).
bool set_log_file(const std::string& path);

// A destination for whole lines: the access log. Same writer thread, same rule when it cannot keep up.
class LogSink {
 public:
  virtual ~LogSink() = default;
  // Appends one line (without the newline). Thread: any.
  virtual void write(std::string_view line) = 0;
};
// Sinks live as long as the process; the same path gives the same sink. Null when the file cannot be opened.
LogSink* open_log_sink(const std::string& path);
// Reopens every file (log rotation).
void reopen_logs();
// Waits until all that was logged so far is written, at most one second. Call before exit and before fork: a forked
// child starts with empty queues and its own writer thread.
void flush_logs();
uint64_t log_lines_dropped();

}  // namespace headgate

#define HG_LOG(level, subsystem, message, ...)                                                              \
  do {                                                                                                      \
    if (::headgate::log_enabled(::headgate::LogLevel::level, ::headgate::Subsystem::subsystem)) {            \
      static ::headgate::LogSite hg_site_;                                                                  \
      ::headgate::log_line(hg_site_, ::headgate::LogLevel::level, ::headgate::Subsystem::subsystem, message \
                           __VA_OPT__(, {__VA_ARGS__}));                                                    \
    }                                                                                                       \
  } while (false)
