// log_writer.h -- the queues behind the log: one per destination, and the one thread that empties them.
//
// append() copies a line into a bounded queue and returns; the thread writes whole batches. A destination that cannot
// take bytes now (a full pipe) is skipped and tried again, so it delays neither a worker nor the other destinations.
// What a full disk or a closed descriptor refuses is dropped and counted.
// Thread: append(), flush() and reopen() from any; the rest is the writer thread's.
// Owner: the process; a LogFile is never destroyed, so sinks may be kept as plain pointers.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/base/log.h"
#include "dataplane/base/unique_fd.h"

namespace headgate {

class LogFile final : public LogSink {
 public:
  // Bytes that may wait for the writer; a line that does not fit is dropped.
  static constexpr size_t kMaxQueued = size_t{1} << 20;

  // Queues one line; the newline is added. A batch is written within 100 ms.
  void write(std::string_view line) override { append(line, false); }
  // `urgent`: written as soon as the thread runs.
  void append(std::string_view line, bool urgent);

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  friend class LogWriter;
  LogFile(std::string path, int fd, bool standard) : path_(std::move(path)), fd_(fd), standard_(standard) {}

  const std::string path_;
  int fd_;               // of the writer thread while it runs
  const bool standard_;  // stdout or stderr: never closed, never reopened
  int reopened_fd_ = -1;
  std::string queued_;       // bytes of whole lines
  uint64_t appended_ = 0;    // bytes ever queued
  uint64_t finished_ = 0;    // bytes ever written or given up
  // Of the writer thread alone:
  std::string batch_;
  size_t batch_at_ = 0;
  bool torn_ = false;  // the last line written is incomplete
  LogFile* next_ = nullptr;
};

// The destination called "stderr", "stdout" or a path; null when the file cannot be opened.
LogFile* open_log_file(const std::string& path);
// One write that never blocks: bytes taken, or -1 with errno (EAGAIN: nothing now). For log destinations, whose open file
// description is often shared with other processes, so that O_NONBLOCK is not ours to set.
ssize_t write_log_bytes(int fd, std::string_view text);
// Counts lines that nobody will see.
void count_dropped_lines(uint64_t lines);
// Has the writer thread say how many lines `site` left out, when its second is over.
void watch_suppressed(LogSite& site);
// Writes the line that says how many were left out, and lets the site be watched again (log.cc).
void log_suppressed(LogSite& site);

}  // namespace headgate
