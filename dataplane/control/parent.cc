#include "dataplane/control/parent.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "dataplane/base/log_writer.h"
#include "dataplane/base/number.h"
#include "dataplane/control/parent_process.h"
#include "dataplane/control/startup_pages.h"

namespace headgate::control {
namespace {

constexpr std::array kForwarded = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT};
constexpr unsigned kTriesBeforeFirstReady = 5;
constexpr int kCannotExecute = 127;  // exit code of a process that found no program, as shells have it

int g_signal_pipe = -1;  // handlers can reach nothing else

void on_signal(int number) {
  const int saved = errno;
  const auto byte = static_cast<char>(number);
  [[maybe_unused]] const ssize_t written = ::write(g_signal_pipe, &byte, 1);
  errno = saved;
}

std::string_view signal_name(int number) {
  switch (number) {
    case SIGSEGV: return "SIGSEGV";
    case SIGABRT: return "SIGABRT";
    case SIGBUS: return "SIGBUS";
    case SIGILL: return "SIGILL";
    case SIGFPE: return "SIGFPE";
    case SIGKILL: return "SIGKILL";
    case SIGTERM: return "SIGTERM";
    case SIGPIPE: return "SIGPIPE";
    case SIGHUP: return "SIGHUP";
    case SIGUSR1: return "SIGUSR1";
    case SIGSYS: return "SIGSYS";
    default: return "";
  }
}

// "1:5": version of the protocol or state, descriptor. -1 when absent or of another version.
int take_descriptor_variable(const char* name, uint8_t version) {
  const char* value = std::getenv(name);
  if (value == nullptr) return -1;
  const std::string text(value);
  ::unsetenv(name);
  const size_t colon = text.find(':');
  const auto seen = parse_decimal<uint8_t>(std::string_view(text).substr(0, colon));
  const auto fd = colon == std::string::npos ? std::nullopt : parse_decimal<uint16_t>(text.substr(colon + 1));
  if (!seen || !fd || *seen != version || ::fcntl(*fd, F_SETFD, FD_CLOEXEC) != 0) return -1;
  return *fd;
}

}  // namespace

sigset_t serving_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : kForwarded) ::sigaddset(&set, number);
  return set;
}

void ensure_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) == -1 && errno == EBADF) {
      [[maybe_unused]] const int opened = ::open("/dev/null", O_RDWR);  // the lowest free number: fd
    }
  }
}

std::string describe_exit(int status) {
  if (WIFEXITED(status)) return "exited with code " + std::to_string(WEXITSTATUS(status));
  const int number = WTERMSIG(status);
  const std::string_view name = signal_name(number);
  return "killed by " + (name.empty() ? "signal " + std::to_string(number) : std::string(name));
}

ProcessRole run_parent(int argc, char** argv, const ParentOptions& options) {
  ensure_standard_descriptors();
  if (std::getenv(kChannelVariable) != nullptr) {
    // Started by a parent as the new binary: signals are blocked and SIGINT is ignored already, across exec.
    const int fd = take_descriptor_variable(kChannelVariable, kChannelVersion);
    if (fd < 0) return {.exit_code = 1};  // a parent that speaks another version
    return {.serve = true, .channel = UniqueFd(fd)};
  }
  Parent parent(argc, argv, options);
  return parent.run();
}

Parent::Parent(int argc, char** argv, const ParentOptions& options) : argc_(argc), argv_(argv), options_(options) {
  open_signals();
  const int state_fd = take_descriptor_variable(kStateVariable, kParentStateVersion);
  if (state_fd < 0) {
    state_.binary = find_own_binary(argc > 0 ? argv[0] : nullptr);
    adopt_systemd_sockets(state_.sockets);
    return;
  }
  const UniqueFd file(state_fd);
  if (!state_.load(file.get())) {
    // Cannot happen with a binary that said it reads this version. The children see the channel close and drain.
    log(LogLevel::kError, "cannot read the state of the parent before the upgrade");
    ended_ = true;
    exit_code_ = 1;
    return;
  }
  ever_ready_ = true;
}

Parent::~Parent() { restore_signals(); }

void Parent::log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) const {
  const LogFormat format = state_.log_json ? LogFormat::kJson : LogFormat::kPretty;
  write_log_bytes(STDERR_FILENO, format_log_line(format, level, Subsystem::kControl, message, fields));
}

// ---- signals ----

void Parent::open_signals() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) {
    log(LogLevel::kError, "cannot create a pipe", {{"error", std::strerror(errno)}});
    ended_ = true;
    exit_code_ = 1;
    return;
  }
  signal_read_.reset(ends[0]);
  signal_write_.reset(ends[1]);
  for (const int fd : ends) {
    ::fcntl(fd, F_SETFL, O_NONBLOCK);
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  }
  g_signal_pipe = signal_write_.get();
  struct sigaction action{};
  action.sa_handler = &on_signal;
  action.sa_flags = SA_RESTART;
  ::sigemptyset(&action.sa_mask);
  for (const int number : kForwarded) ::sigaction(number, &action, nullptr);
  action.sa_flags = SA_RESTART | SA_NOCLDSTOP;
  ::sigaction(SIGCHLD, &action, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  // After exec they are still blocked (see execute_self) and what arrived meanwhile is pending.
  sigset_t set = serving_signals();
  ::sigaddset(&set, SIGCHLD);
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
}

void Parent::restore_signals() {
  for (const int number : kForwarded) ::signal(number, SIG_DFL);
  ::signal(SIGCHLD, SIG_DFL);
  g_signal_pipe = -1;
  if (is_child_) ::signal(SIGINT, SIG_IGN);
}

void Parent::handle_signals() {
  std::array<char, 64> bytes{};
  ssize_t count = 0;
  while ((count = ::read(signal_read_.get(), bytes.data(), bytes.size())) > 0) {
    for (ssize_t i = 0; i < count; ++i) handle_signal(bytes.at(static_cast<size_t>(i)));
  }
}

void Parent::handle_signal(int number) {
  switch (number) {
    case SIGCHLD: break;  // reap() runs on every turn
    case SIGTERM:
    case SIGINT:
    case SIGQUIT:
      if (stopping_ && !kill_at_) kill_at_ = system_clock().now() + options_.kill_after;
      stop();
      break;
    case SIGUSR2: request_upgrade(); break;
    default:
      // Log files are open in a draining process too.
      for (const Child& child : state_.children) {
        if (child.part == ChildPart::kServing || number == SIGUSR1) ::kill(child.pid, number);
      }
  }
}

void Parent::stop() {
  stopping_ = true;
  restart_at_.reset();
  candidate_until_.reset();
  for (const Child& child : state_.children) ::kill(child.pid, SIGTERM);
  if (state_.children.empty()) ended_ = true;
}

// ---- the loop ----

ProcessRole Parent::run() {
  if (!ended_ && state_.children.empty() && start_serving()) return {.serve = true, .channel = std::move(child_channel_)};
  release_startup_pages();
  reap();  // what ended while this binary was being executed
  while (!ended_) {
    poll_once();
    if (ended_) break;
    if (restart_at_ && system_clock().now() >= *restart_at_) {
      restart_at_.reset();
      if (start_serving()) return {.serve = true, .channel = std::move(child_channel_)};
    }
  }
  state_.sockets.unlink_all();
  return {.exit_code = exit_code_};
}

int Parent::poll_timeout_ms() const {
  std::optional<MonotonicTime> next;
  for (const auto& time : {restart_at_, candidate_until_, kill_at_}) {
    if (time && (!next || *time < *next)) next = time;
  }
  if (!next) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - system_clock().now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
}

void Parent::poll_once() {
  std::vector<pollfd> watched = {{.fd = signal_read_.get(), .events = POLLIN, .revents = 0}};
  std::vector<pid_t> pids;
  for (const Child& child : state_.children) {
    if (!child.channel.open()) continue;
    watched.push_back({.fd = child.channel.fd(), .events = POLLIN, .revents = 0});
    pids.push_back(child.pid);
  }
  if (::poll(watched.data(), watched.size(), poll_timeout_ms()) < 0 && errno != EINTR) return;
  handle_signals();
  // Messages before exits: a process may have said something just before it died.
  for (size_t i = 0; i < pids.size(); ++i) {
    if (watched[i + 1].revents == 0) continue;
    const auto child = std::ranges::find(state_.children, pids[i], &Child::pid);
    if (child != state_.children.end()) read_channel(*child);
  }
  reap();
  run_due();
}

void Parent::run_due() {
  const MonotonicTime now = system_clock().now();
  if (candidate_until_ && now >= *candidate_until_) {
    candidate_until_.reset();
    if (const Child* candidate = find(ChildPart::kCandidate)) ::kill(candidate->pid, SIGKILL);
  }
  if (kill_at_ && now >= *kill_at_) {
    kill_at_.reset();
    for (const Child& child : state_.children) ::kill(child.pid, SIGKILL);
  }
}

Child* Parent::find(ChildPart part) {
  const auto found = std::ranges::find(state_.children, part, &Child::part);
  return found == state_.children.end() ? nullptr : &*found;
}

// ---- starting ----

bool Parent::start_serving() {
  auto pair = ParentChannel::make_pair();
  const sigset_t blocked = serving_signals();
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &blocked, &before);
  const pid_t pid = pair ? ::fork() : -1;
  if (pid == 0) {
    pair->first.reset();
    become_child(std::move(pair->second));
    return true;
  }
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) {
    log(LogLevel::kError, "cannot start the serving process", {{"error", std::strerror(errno)}});
    if (ever_ready_) {
      plan_restart(false);
    } else {
      ended_ = true;
      exit_code_ = 1;
    }
    return false;
  }
  state_.children.push_back({.pid = pid,
                             .channel = ParentChannel(std::move(pair->first)),
                             .part = ChildPart::kServing,
                             .number = state_.next_number++,
                             .started = system_clock().now()});
  send_start(state_.children.back(), crash_reason_, false);
  return false;
}

// In the forked child: nothing of the parent stays but the channel.
void Parent::become_child(UniqueFd channel) {
  is_child_ = true;
  child_channel_ = std::move(channel);
  state_.children.clear();
  state_.sockets.clear();
  state_.last_good.reset();
  signal_read_.reset();
  signal_write_.reset();
}

void Parent::send_start(Child& child, const std::string& crash, bool upgrade) {
  PayloadWriter out;
  out.u32(state_.restarts).u8(upgrade ? 1 : 0).text(crash);
  [[maybe_unused]] const auto sent = child.channel.send(MessageType::kStart, 0, out.bytes(), state_.last_good.get());
}

void Parent::request_upgrade() {
  const Child* serving = find(ChildPart::kServing);
  if (stopping_ || serving == nullptr || !serving->ready) {
    report_upgrade(false, "the serving process is not ready");
  } else if (find(ChildPart::kCandidate) != nullptr) {
    report_upgrade(false, "an upgrade is under way");
  } else if (::access(state_.binary.c_str(), X_OK) != 0) {
    report_upgrade(false, "cannot execute " + state_.binary + ": " + std::strerror(errno));
  } else {
    start_candidate();
  }
}

void Parent::start_candidate() {
  auto pair = ParentChannel::make_pair();
  const sigset_t blocked = serving_signals();
  sigset_t before;
  ::sigprocmask(SIG_BLOCK, &blocked, &before);
  const pid_t pid = pair ? ::fork() : -1;
  if (pid == 0) execute_candidate(pair->second.get());
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) {
    report_upgrade(false, "cannot start a process");
    return;
  }
  log(LogLevel::kInfo, "upgrade: the new binary is starting", {{"binary", state_.binary}, {"pid", pid}});
  state_.children.push_back({.pid = pid,
                             .channel = ParentChannel(std::move(pair->first)),
                             .part = ChildPart::kCandidate,
                             .number = state_.next_number++,
                             .started = system_clock().now()});
  send_start(state_.children.back(), "", true);
  candidate_until_ = system_clock().now() + options_.ready_limit;
}

void Parent::execute_candidate(int channel_fd) {
  is_child_ = true;
  restore_signals();  // handlers would be reset anyway; an ignored SIGINT stays ignored
  ::fcntl(channel_fd, F_SETFD, 0);
  ::setenv(kChannelVariable, (std::to_string(kChannelVersion) + ":" + std::to_string(channel_fd)).c_str(), 1);
  ::execv(state_.binary.c_str(), argv_);
  ::_exit(kCannotExecute);
}

// ---- ending ----

void Parent::reap() {
  for (;;) {
    int status = 0;
    const pid_t pid = ::waitpid(-1, &status, WNOHANG);
    if (pid <= 0) return;
    // As process 1 of a container we also get orphans that were never ours.
    const auto found = std::ranges::find(state_.children, pid, &Child::pid);
    if (found == state_.children.end()) continue;
    read_channel(*found);  // its last words
    Child child = std::move(*found);
    state_.children.erase(found);
    on_exit(std::move(child), status);
  }
}

void Parent::on_exit(Child child, int status) {
  switch (child.part) {
    case ChildPart::kServing: on_serving_exit(child, status); break;
    case ChildPart::kCandidate: {
      const bool late = !candidate_until_.has_value();
      candidate_until_.reset();
      const auto limit = std::chrono::duration_cast<std::chrono::milliseconds>(options_.ready_limit).count();
      std::string reason = "the new binary " + describe_exit(status);
      if (WIFEXITED(status) && WEXITSTATUS(status) == kCannotExecute) reason = "the new binary could not be executed";
      if (late) reason = "the new binary was not ready within " + std::to_string(limit) + " ms";
      if (!stopping_) report_upgrade(false, reason);
      break;
    }
    case ChildPart::kDraining: {
      const bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
      log(clean ? LogLevel::kInfo : LogLevel::kWarn, "the replaced process has ended",
          {{"pid", child.pid}, {"status", describe_exit(status)}});
      break;
    }
  }
  if (stopping_ && state_.children.empty()) ended_ = true;
}

void Parent::on_serving_exit(const Child& child, int status) {
  const bool exited = WIFEXITED(status);
  if (stopping_) {
    exit_code_ = exited ? WEXITSTATUS(status) : 1;
    return;
  }
  const bool before_first_ready = !ever_ready_ && !child.ready;
  if (exited && (before_first_ready || WEXITSTATUS(status) == 0)) {
    // It never came up (bad command line, bad file: it said so itself), or it was told to drain.
    exit_code_ = WEXITSTATUS(status);
    stop();
    return;
  }
  crash_reason_ = describe_exit(status);
  ++state_.restarts;
  if (before_first_ready && state_.restarts >= kTriesBeforeFirstReady) {
    log(LogLevel::kError, "the serving process does not come up", {{"reason", crash_reason_}});
    exit_code_ = 1;
    stop();
    return;
  }
  const Duration pause = plan_restart(child.ready && system_clock().now() - child.ready_at >= options_.good_run);
  log(LogLevel::kError, "the serving process ended, starting another one",
      {{"pid", child.pid},
       {"reason", crash_reason_},
       {"restarts", state_.restarts},
       {"in_ms", std::chrono::duration_cast<std::chrono::milliseconds>(pause).count()}});
}

// At once, then 100 ms doubling to 10 s.
Duration Parent::plan_restart(bool good_run) {
  if (good_run) pauses_ = 0;
  Duration pause(0);
  if (pauses_ > 0) {
    pause = options_.first_pause;
    for (uint32_t i = 1; i < pauses_ && pause < options_.longest_pause; ++i) pause *= 2;
    pause = std::min(pause, options_.longest_pause);
  }
  ++pauses_;
  restart_at_ = system_clock().now() + pause;
  return pause;
}

}  // namespace headgate::control
