#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "dataplane/control/parent_process.h"

namespace headgate::control {

void Parent::read_channel(Child& child) {
  for (;;) {
    Message message;
    switch (child.channel.receive(message, Duration(0))) {
      case ReceiveOutcome::kNothing: return;
      case ReceiveOutcome::kClosed:
        child.channel.close();
        return;
      case ReceiveOutcome::kMessage: break;
    }
    handle_message(child, message);
    if (!child.channel.open()) return;
  }
}

void Parent::handle_message(Child& child, Message& message) {
  switch (message.type) {
    case MessageType::kAcquire: handle_acquire(child, message); return;
    case MessageType::kList: handle_list(child, message); return;
    case MessageType::kReady: on_ready(child, message); return;
    case MessageType::kUpgrade:
      if (child.part == ChildPart::kServing) request_upgrade();
      return;
    case MessageType::kRelease: {
      PayloadReader in(message.payload);
      const SocketKey key = in.key();
      if (!in.complete()) break;
      // A draining process closes its own descriptors; the sockets serve the one that replaced it.
      if (child.part != ChildPart::kDraining) state_.sockets.release(key);
      return;
    }
    case MessageType::kLastGood: {
      struct stat status{};
      if (child.part == ChildPart::kDraining) return;
      if (!message.fd.valid() || ::fstat(message.fd.get(), &status) != 0 || !S_ISREG(status.st_mode)) break;
      state_.last_good = std::move(message.fd);
      return;
    }
    case MessageType::kLogFormat: {
      PayloadReader in(message.payload);
      state_.log_json = in.u8() != 0;
      return;
    }
    case MessageType::kStart:
    case MessageType::kSocket:
    case MessageType::kRefused:
    case MessageType::kKeys:
    case MessageType::kReplaced:
    case MessageType::kUpgradeResult: break;  // ours to send
  }
  log(LogLevel::kError, "bad message from the serving process",
      {{"pid", child.pid}, {"type", static_cast<unsigned>(message.type)}});
  child.channel.close();  // it sees its parent gone and drains
}

void Parent::handle_acquire(Child& child, const Message& message) {
  PayloadReader in(message.payload);
  const SocketKey key = in.key();
  const ListenOptions options = in.options();
  PayloadWriter out;
  if (!in.complete() || child.part == ChildPart::kDraining) {
    out.u8(static_cast<uint8_t>(Errc::kInvalid)).u32(0).text("bad request for a socket");
  } else if (const auto fd = state_.sockets.acquire(key, options, child.number)) {
    if (child.channel.send(MessageType::kSocket, message.id, {}, *fd)) return;
    child.channel.close();
    return;
  } else {
    const Error& error = fd.error();
    out.u8(static_cast<uint8_t>(error.code)).u32(static_cast<uint32_t>(error.sys_errno)).text(error.detail);
  }
  if (!child.channel.send(MessageType::kRefused, message.id, out.bytes())) child.channel.close();
}

void Parent::handle_list(Child& child, const Message& message) {
  PayloadReader in(message.payload);
  const size_t first = in.u32();
  const std::vector<SocketKey> keys = state_.sockets.keys();
  PayloadWriter page;
  size_t count = 0;
  while (first + count < keys.size() && page.bytes().size() < kMaxMessage - 1024) page.key(keys[first + count++]);
  PayloadWriter out;
  out.u8(first + count < keys.size() ? 1 : 0).u16(static_cast<uint16_t>(count));
  if (!child.channel.send(MessageType::kKeys, message.id, out.bytes() + page.bytes())) child.channel.close();
}

void Parent::on_ready(Child& child, const Message& message) {
  PayloadReader in(message.payload);
  child.state_version = in.u8();
  if (child.ready || child.part == ChildPart::kDraining) return;
  child.ready = true;
  child.ready_at = system_clock().now();
  ever_ready_ = true;
  // What this process did not ask for, nobody serves any more.
  state_.sockets.close_unused(child.number);
  if (child.part == ChildPart::kCandidate) finish_upgrade(child);
}

void Parent::finish_upgrade(Child& candidate) {
  candidate_until_.reset();
  log(LogLevel::kInfo, "upgrade: the new binary serves", {{"pid", candidate.pid}});
  report_upgrade(true, "");
  if (Child* old = find(ChildPart::kServing)) {
    old->part = ChildPart::kDraining;
    // A process that cannot even be told is stopped the usual way.
    if (!old->channel.send(MessageType::kReplaced, 0)) ::kill(old->pid, SIGTERM);
  }
  restart_at_.reset();  // the old one may have crashed meanwhile
  candidate.part = ChildPart::kServing;
  pauses_ = 0;
  if (candidate.state_version == kParentStateVersion) {
    execute_self();
  } else {
    log(LogLevel::kWarn, "upgrade: the new binary reads another state, this parent stays");
  }
}

void Parent::report_upgrade(bool ok, const std::string& reason) {
  if (!ok) log(LogLevel::kError, "upgrade failed, the old process goes on serving", {{"reason", reason}});
  Child* serving = find(ChildPart::kServing);
  if (serving == nullptr) return;
  PayloadWriter out;
  out.u8(ok ? 1 : 0).text(std::string_view(reason).substr(0, 4096));
  if (!serving->channel.send(MessageType::kUpgradeResult, 0, out.bytes())) serving->channel.close();
}

// The same pid goes on with the new code. Signals are blocked over the execution: what arrives is pending after it.
void Parent::execute_self() {
  sigset_t blocked = serving_signals();
  ::sigaddset(&blocked, SIGCHLD);
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &blocked, &before);
  // What the handlers have put into the pipe would end with it: raised again it stays pending.
  std::array<char, 64> bytes{};
  ssize_t count = 0;
  while ((count = ::read(signal_read_.get(), bytes.data(), bytes.size())) > 0) {
    for (ssize_t i = 0; i < count; ++i) ::kill(::getpid(), bytes.at(static_cast<size_t>(i)));
  }
  const UniqueFd file = state_.save();
  if (file.valid()) {
    ::setenv(kStateVariable, (std::to_string(kParentStateVersion) + ":" + std::to_string(file.get())).c_str(), 1);
    ::execv(state_.binary.c_str(), argv_);
    ::unsetenv(kStateVariable);
  }
  state_.make_private();
  log(LogLevel::kError, "upgrade: this parent could not be replaced, it stays", {{"error", std::strerror(errno)}});
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace headgate::control
