#include "dataplane/base/log_writer.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace headgate {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds kBatchWait{100};   // how long lines that are not urgent may gather
constexpr milliseconds kStuckWait{50};    // until a destination that took nothing is tried again
constexpr milliseconds kFlushLimit{1000};
constexpr size_t kBatchFull = 64 * 1024;  // enough bytes to write without waiting for more
constexpr size_t kPipePiece = 4096;       // PIPE_BUF: what a pipe that polls writable takes without blocking
constexpr size_t kKeptCapacity = 128 * 1024;

enum class WriteOutcome : uint8_t { kDone, kStuck };

uint64_t count_lines(std::string_view text) {
  return static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

bool is_writable(int fd) {
  pollfd entry{.fd = fd, .events = POLLOUT, .revents = 0};
  return ::poll(&entry, 1, 0) > 0;
}

}  // namespace

class LogWriter {
 public:
  // Never destroyed: threads may log while the process exits.
  static LogWriter& instance() {
    static LogWriter* writer = new LogWriter();  // leaked on purpose
    return *writer;
  }

  void append(LogFile& file, std::string_view line, bool urgent) {
    bool wake = false;
    {
      const std::lock_guard lock(mutex_);
      if (file.queued_.size() + line.size() + 1 > LogFile::kMaxQueued) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
        return;
      }
      file.queued_.append(line).push_back('\n');
      file.appended_ += line.size() + 1;
      if (!running_) start_thread();
      wake = note_work(urgent || file.queued_.size() > kBatchFull);
    }
    if (wake) work_.notify_one();
  }

  LogFile* open(const std::string& path) {
    const std::lock_guard lock(mutex_);
    for (LogFile* file = files_; file != nullptr; file = file->next_) {
      if (file->path_ == path) return file;
    }
    const bool standard = path == "stderr" || path == "stdout";
    const int fd = standard ? (path == "stderr" ? STDERR_FILENO : STDOUT_FILENO) : open_path(path);
    if (fd < 0) return nullptr;
    auto* file = new LogFile(path, fd, standard);  // lives as long as the process
    file->next_ = files_;
    files_ = file;
    return file;
  }

  // Paths that could not be opened: their old file goes on.
  std::vector<std::string> reopen() {
    std::vector<std::string> failed;
    const std::lock_guard lock(mutex_);
    for (LogFile* file = files_; file != nullptr; file = file->next_) {
      if (file->standard_) continue;
      const int fd = open_path(file->path_);
      if (fd < 0) {
        failed.push_back(file->path_);
        continue;
      }
      if (file->reopened_fd_ >= 0) ::close(file->reopened_fd_);
      file->reopened_fd_ = fd;
      if (!running_) take_reopened(*file);
    }
    if (running_ && note_work(true)) work_.notify_one();
    return failed;
  }

  void flush() {
    std::unique_lock lock(mutex_);
    if (!has_work_locked()) return;
    if (!running_) start_thread();
    note_work(true);
    work_.notify_one();
    const uint64_t wanted = total_appended();
    drained_.wait_for(lock, kFlushLimit, [&] { return total_finished() >= wanted; });
  }

  void watch(LogSite& site) {
    bool wake = false;
    {
      const std::lock_guard lock(mutex_);
      site.next_waiting = waiting_sites_;
      waiting_sites_ = &site;
      if (!running_) start_thread();
      wake = note_work(false);
    }
    if (wake) work_.notify_one();
  }

  std::atomic<uint64_t>& dropped() { return dropped_; }

 private:
  LogWriter() { ::pthread_atfork(&before_fork, &after_fork_parent, &after_fork_child); }

  static int open_path(const std::string& path) {
    return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
  }

  // The child has no writer thread: it starts with empty queues (the parent writes what was queued) and, since the
  // thread that may have waited on them is gone, with fresh condition variables.
  static void before_fork() { instance().mutex_.lock(); }
  static void after_fork_parent() { instance().mutex_.unlock(); }
  static void after_fork_child() {
    LogWriter& writer = instance();
    new (&writer.work_) std::condition_variable();
    new (&writer.drained_) std::condition_variable();
    writer.running_ = false;
    writer.work_noted_ = false;
    writer.urgent_ = false;
    writer.waiting_sites_ = nullptr;
    for (LogFile* file = writer.files_; file != nullptr; file = file->next_) {
      file->queued_.clear();
      file->batch_.clear();
      file->batch_at_ = 0;
      file->finished_ = file->appended_;
      take_reopened(*file);
    }
    writer.mutex_.unlock();
  }

  // Returns whether the thread must be woken.
  bool note_work(bool urgent) {
    const bool wake = !work_noted_ || (urgent && !urgent_);
    work_noted_ = true;
    urgent_ = urgent_ || urgent;
    return wake;
  }

  // Signals belong to other threads; a small stack is plenty. When no thread can be had, lines stay queued and the next
  // one tries again.
  void start_thread() {
    sigset_t all;
    sigset_t old;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setstacksize(&attributes, std::max<size_t>(PTHREAD_STACK_MIN, 128 * 1024));
    ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread{};
    running_ = ::pthread_create(&thread, &attributes, &run_thread, nullptr) == 0;
    ::pthread_attr_destroy(&attributes);
    ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
  }

  static void* run_thread(void*) {
    ::pthread_setname_np(::pthread_self(), "log");  // else it has the name of whoever logged first
    instance().run();
    return nullptr;
  }

  void run() {
    std::unique_lock lock(mutex_);
    bool stuck = false;
    for (;;) {
      wait_for_work(lock, stuck);
      const bool sites_due = collect_batches();
      lock.unlock();
      if (sites_due) report_sites();
      stuck = write_batches();
      lock.lock();
      finish_batches();
      drained_.notify_all();
    }
  }

  void wait_for_work(std::unique_lock<std::mutex>& lock, bool stuck) {
    if (stuck) {
      work_.wait_for(lock, kStuckWait, [this] { return urgent_; });
    } else if (waiting_sites_ != nullptr && !work_noted_) {
      work_.wait_until(lock, sites_due_at(), [this] { return work_noted_; });
    } else {
      work_.wait(lock, [this] { return work_noted_; });
      if (!urgent_) work_.wait_for(lock, kBatchWait, [this] { return urgent_; });
    }
    work_noted_ = false;
    urgent_ = false;
  }

  // A second after the first of them was put in the list.
  steady_clock::time_point sites_due_at() {
    if (sites_since_ == steady_clock::time_point()) sites_since_ = steady_clock::now();
    return sites_since_ + std::chrono::seconds(1);
  }

  // Moves queues into batches. True when suppressed sites are to be reported.
  bool collect_batches() {
    for (LogFile* file = files_; file != nullptr; file = file->next_) {
      if (file->batch_at_ < file->batch_.size()) {
        // The rest of the last batch goes first; what is queued behind it must not be forgotten.
        work_noted_ = work_noted_ || !file->queued_.empty();
        continue;
      }
      take_reopened(*file);
      file->batch_.clear();
      file->batch_at_ = 0;
      if (file->batch_.capacity() > kKeptCapacity) file->batch_.shrink_to_fit();
      file->batch_.swap(file->queued_);
    }
    return waiting_sites_ != nullptr && steady_clock::now() >= sites_due_at();
  }

  void report_sites() {
    LogSite* site = nullptr;
    {
      const std::lock_guard lock(mutex_);
      site = std::exchange(waiting_sites_, nullptr);
      sites_since_ = {};
    }
    while (site != nullptr) {
      LogSite* next = site->next_waiting;
      log_suppressed(*site);
      site = next;
    }
  }

  // True when some destination took less than it was given.
  bool write_batches() {
    bool stuck = false;
    for (LogFile* file = first_file(); file != nullptr; file = file->next_) {
      if (file->batch_at_ < file->batch_.size() && write_batch(*file) == WriteOutcome::kStuck) stuck = true;
    }
    return stuck;
  }

  // Files are only ever put in front, and next_ never changes: the list may be walked without the lock.
  LogFile* first_file() {
    const std::lock_guard lock(mutex_);
    return files_;
  }

  WriteOutcome write_batch(LogFile& file) {
    if (file.torn_ && write_log_bytes(file.fd_, "\n") == 1) file.torn_ = false;
    while (file.batch_at_ < file.batch_.size()) {
      const std::string_view rest = std::string_view(file.batch_).substr(file.batch_at_);
      const ssize_t written = write_log_bytes(file.fd_, rest);
      if (written > 0) {
        file.batch_at_ += static_cast<size_t>(written);
        continue;
      }
      if (written < 0 && errno == EINTR) continue;
      if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return WriteOutcome::kStuck;
      // Disk full, closed, broken pipe: these lines are lost, the next batch tries again.
      count_dropped_lines(count_lines(rest));
      file.torn_ = file.torn_ || (file.batch_at_ > 0 && file.batch_[file.batch_at_ - 1] != '\n');
      file.batch_at_ = file.batch_.size();
    }
    return WriteOutcome::kDone;
  }

  void finish_batches() {
    for (LogFile* file = files_; file != nullptr; file = file->next_) {
      const size_t unwritten = file->batch_.size() - file->batch_at_;
      file->finished_ = file->appended_ - file->queued_.size() - unwritten;
    }
  }

  static void take_reopened(LogFile& file) {
    if (file.reopened_fd_ < 0) return;
    if (!file.standard_) ::close(file.fd_);
    file.fd_ = std::exchange(file.reopened_fd_, -1);
    file.torn_ = false;
  }

  bool has_work_locked() { return total_finished() < total_appended(); }
  uint64_t total_appended() const {
    uint64_t total = 0;
    for (const LogFile* file = files_; file != nullptr; file = file->next_) total += file->appended_;
    return total;
  }
  uint64_t total_finished() const {
    uint64_t total = 0;
    for (const LogFile* file = files_; file != nullptr; file = file->next_) total += file->finished_;
    return total;
  }

  std::mutex mutex_;
  std::condition_variable work_;     // something was queued
  std::condition_variable drained_;  // a round of writing is over
  LogFile* files_ = nullptr;
  bool running_ = false;
  bool work_noted_ = false;
  bool urgent_ = false;
  LogSite* waiting_sites_ = nullptr;
  steady_clock::time_point sites_since_{};
  std::atomic<uint64_t> dropped_{0};
};

void LogFile::append(std::string_view line, bool urgent) { LogWriter::instance().append(*this, line, urgent); }

ssize_t write_log_bytes(int fd, std::string_view text) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return -1;
  if (S_ISREG(status.st_mode)) return ::write(fd, text.data(), text.size());
  if (S_ISSOCK(status.st_mode)) return ::send(fd, text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (!is_writable(fd)) {
    errno = EAGAIN;
    return -1;
  }
  return ::write(fd, text.data(), std::min(text.size(), kPipePiece));
}

LogFile* open_log_file(const std::string& path) { return LogWriter::instance().open(path); }

void count_dropped_lines(uint64_t lines) {
  LogWriter::instance().dropped().fetch_add(lines, std::memory_order_relaxed);
}

void watch_suppressed(LogSite& site) { LogWriter::instance().watch(site); }

LogSink* open_log_sink(const std::string& path) { return open_log_file(path); }
void reopen_logs() {
  for (const std::string& path : LogWriter::instance().reopen()) {
    HG_LOG(kError, kCore, "cannot reopen the log file, the old one goes on", {"path", path});
  }
}
void flush_logs() { LogWriter::instance().flush(); }
uint64_t log_lines_dropped() { return LogWriter::instance().dropped().load(std::memory_order_relaxed); }

}  // namespace headgate
