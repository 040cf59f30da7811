#include "dataplane/filters/password_checker.h"

#include <array>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "dataplane/base/random.h"
#include "dataplane/tls/crypto.h"

namespace headgate::filters {
namespace {

constexpr size_t kQueue = 256;
constexpr size_t kRemembered = 512;  // verdicts per worker
constexpr Duration kRememberFor = std::chrono::minutes(5);

using Fingerprint = std::array<uint8_t, 16>;

// Of user, password and hash, with a key that nobody outside this process has.
Fingerprint fingerprint_of(std::string_view user, std::string_view password, std::string_view hash) {
  static const std::string key = [] {
    std::array<uint8_t, 32> bytes;
    fill_secure_random(bytes);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }();
  std::string text;
  text.reserve(user.size() + password.size() + hash.size() + 2);
  text.append(user).append(1, '\0').append(password).append(1, '\0').append(hash);
  const tls::Sha256Digest digest = tls::hmac_sha256(key, text);
  tls::wipe(text);
  Fingerprint print;
  std::memcpy(print.data(), digest.data(), print.size());
  return print;
}

struct Verdict {
  Fingerprint print{};
  MonotonicTime until{};
  bool match = false;
};

Verdict& slot_of(const Fingerprint& print) {
  thread_local std::unique_ptr<std::array<Verdict, kRemembered>> table;
  if (table == nullptr) table = std::make_unique<std::array<Verdict, kRemembered>>();
  return (*table)[(print[0] | static_cast<size_t>(print[1]) << 8) % kRemembered];
}

void remember(const Fingerprint& print, bool match, MonotonicTime now) {
  slot_of(print) = {.print = print, .until = now + kRememberFor, .match = match};
}

}  // namespace

// Shared by the one who asks and the thread; `mailbox` is null once nobody waits.
struct PasswordQuestion::Job {
  std::string password;
  std::string hash;
  Fingerprint print{};
  event::Loop* loop = nullptr;
  PasswordSink* sink = nullptr;  // of the worker's thread only
  std::mutex mutex;
  event::Mailbox* mailbox = nullptr;  // guarded

  ~Job() { tls::wipe(password); }
};

namespace {

class CheckerThread {
 public:
  static CheckerThread& instance() {
    static CheckerThread one;
    return one;
  }

  bool push(std::shared_ptr<PasswordQuestion::Job> job) {
    {
      const std::lock_guard lock(mutex_);
      if (queue_.size() >= kQueue) return false;
      queue_.push_back(std::move(job));
      if (!thread_.joinable()) thread_ = std::thread([this] { run(); });
    }
    ready_.notify_one();
    return true;
  }

 private:
  CheckerThread() = default;
  ~CheckerThread() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    ready_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

  void run() {
    ::pthread_setname_np(::pthread_self(), "passwords");
    for (;;) {
      std::shared_ptr<PasswordQuestion::Job> job;
      {
        std::unique_lock lock(mutex_);
        ready_.wait(lock, [this] { return ending_ || !queue_.empty(); });
        if (ending_) return;
        job = std::move(queue_.front());
        queue_.pop_front();
      }
      {
        const std::lock_guard lock(job->mutex);
        if (job->mailbox == nullptr) continue;
      }
      const bool match = tls::check_password(job->password, job->hash) == tls::PasswordResult::kMatch;
      const std::lock_guard lock(job->mutex);
      // The loop outlives the question, and the question is told below or withdraws the mailbox.
      if (job->mailbox == nullptr) continue;
      job->mailbox->post_fn([job, match] {
        remember(job->print, match, job->loop->now());
        if (PasswordSink* sink = std::exchange(job->sink, nullptr)) sink->on_password(match);
      });
    }
  }

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::shared_ptr<PasswordQuestion::Job>> queue_;
  std::thread thread_;
  bool ending_ = false;
};

}  // namespace

PasswordQuestion::~PasswordQuestion() {
  if (job_ == nullptr) return;
  job_->sink = nullptr;
  const std::lock_guard lock(job_->mutex);
  job_->mailbox = nullptr;
}

PasswordQuestion::Answer PasswordQuestion::ask(event::Loop& loop, std::string_view user, std::string_view password,
                                               std::string_view hash, PasswordSink& sink) {
  if (!tls::is_slow_password_hash(hash)) {
    return tls::check_password(password, hash) == tls::PasswordResult::kMatch ? Answer::kMatch : Answer::kMismatch;
  }
  const Fingerprint print = fingerprint_of(user, password, hash);
  if (const Verdict& known = slot_of(print); known.until > loop.now() && known.print == print) {
    return known.match ? Answer::kMatch : Answer::kMismatch;
  }
  job_ = std::make_shared<Job>();
  job_->password = password;
  job_->hash = hash;
  job_->print = print;
  job_->loop = &loop;
  job_->sink = &sink;
  job_->mailbox = &loop.mailbox();
  return CheckerThread::instance().push(job_) ? Answer::kLater : Answer::kTooMany;
}

}  // namespace headgate::filters
