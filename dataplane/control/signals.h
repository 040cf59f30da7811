// signals.h -- signals of the serving process as calls on its loop.
// Thread: control; one instance per process.   Owner: the supervisor.
#pragma once

#include <functional>
#include <span>

#include "dataplane/base/result.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/event/loop.h"

namespace headgate::control {

class SignalWatch final : private event::FdObserver {
 public:
  SignalWatch() = default;
  ~SignalWatch();

  // Handles `signals` from now on and unblocks them (run_parent() left them blocked; what came meanwhile comes now).
  // A signal that this process ignores (SIGINT under a parent) stays ignored.
  Result<void> start(event::Loop& loop, std::span<const int> signals, std::function<void(int)> on_signal);

 private:
  void on_fd_ready(uint8_t ready) override;

  std::function<void(int)> on_signal_;
  UniqueFd read_;
  UniqueFd write_;
  event::FdWatch watch_;
};

}  // namespace headgate::control
