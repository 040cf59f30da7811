#include "dataplane/control/signals.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>

namespace headgate::control {
namespace {

std::atomic<int> g_write_fd{-1};

void on_raised(int number) {
  const int saved = errno;
  const auto byte = static_cast<char>(number);
  [[maybe_unused]] const ssize_t written = ::write(g_write_fd.load(std::memory_order_relaxed), &byte, 1);
  errno = saved;
}

}  // namespace

SignalWatch::~SignalWatch() {
  watch_.stop();
  g_write_fd.store(-1, std::memory_order_relaxed);
}

Result<void> SignalWatch::start(event::Loop& loop, std::span<const int> signals, std::function<void(int)> on_signal) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return system_error("pipe");
  read_.reset(ends[0]);
  write_.reset(ends[1]);
  for (const int fd : ends) {
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  HG_TRY(watch_.start(loop, read_.get(), *this));
  on_signal_ = std::move(on_signal);
  g_write_fd.store(write_.get(), std::memory_order_relaxed);
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : signals) {
    struct sigaction old{};
    ::sigaction(number, nullptr, &old);
    ::sigaddset(&set, number);
    if (old.sa_handler == SIG_IGN && number == SIGINT) continue;
    struct sigaction action{};
    action.sa_handler = &on_raised;
    action.sa_flags = SA_RESTART;
    ::sigemptyset(&action.sa_mask);
    ::sigaction(number, &action, nullptr);
  }
  ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
  return {};
}

void SignalWatch::on_fd_ready(uint8_t) {
  std::array<char, 64> bytes{};
  ssize_t count = 0;
  while ((count = ::read(read_.get(), bytes.data(), bytes.size())) > 0) {
    for (ssize_t i = 0; i < count; ++i) on_signal_(bytes.at(static_cast<size_t>(i)));
  }
}

}  // namespace headgate::control
