// password_checker.h -- is this the password of that hash? Without holding up the worker.
//
// A verdict is remembered by the worker for a while, under a keyed digest of everything that it depends on. Cheap hashes
// (SHA-1) are compared at once. Those that are slow on purpose (bcrypt, SHA-crypt, apr1) are worked out by one thread of
// the process, with a bounded queue: who floods it with guesses makes new passwords wait, not requests.
// Thread: ask() and the table its worker; the thread behind it one per process, started by the first slow hash.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "dataplane/event/loop.h"

namespace headgate::filters {

class PasswordSink {
 public:
  virtual void on_password(bool match) = 0;

 protected:
  ~PasswordSink() = default;
};

// One question; destroying it withdraws it.
class PasswordQuestion {
 public:
  PasswordQuestion() = default;
  PasswordQuestion(const PasswordQuestion&) = delete;
  PasswordQuestion& operator=(const PasswordQuestion&) = delete;
  ~PasswordQuestion();

  enum class Answer : uint8_t { kMatch, kMismatch, kLater, kTooMany };
  // kLater: `sink` is told once, on this loop. kTooMany: the queue is full.
  Answer ask(event::Loop& loop, std::string_view user, std::string_view password, std::string_view hash,
             PasswordSink& sink);

  struct Job;

 private:
  std::shared_ptr<Job> job_;
};

}  // namespace headgate::filters
