// parent_process.h -- the parent's own class and what it hands over when it executes a new binary (see parent.h).
// Thread: one.   Owner: run_parent().
#pragma once

#include <sys/types.h>

#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/log.h"
#include "dataplane/control/listening_table.h"
#include "dataplane/control/parent.h"
#include "dataplane/control/parent_channel.h"

namespace headgate::control {

// The layout of ParentState; a binary that reads another one is not executed by the parent, which then stays as it is.
inline constexpr uint8_t kParentStateVersion = 1;
inline constexpr const char* kStateVariable = "HEADGATE_PARENT_STATE";
inline constexpr const char* kChannelVariable = "HEADGATE_PARENT_CHANNEL";

enum class ChildPart : uint8_t { kServing, kCandidate, kDraining };

struct Child {
  pid_t pid = -1;
  ParentChannel channel;
  ChildPart part = ChildPart::kServing;
  uint64_t number = 0;  // counts processes; the user of ListeningTable entries
  bool ready = false;
  uint8_t state_version = 0;  // it reads
  MonotonicTime started{};
  MonotonicTime ready_at{};
};

// All that outlives the execution of a new binary.
struct ParentState {
  std::string binary;  // path that is executed for an upgrade
  std::list<Child> children;  // a list: references stay good while one is added
  ListeningTable sockets;
  UniqueFd last_good;
  uint64_t next_number = 1;
  uint32_t restarts = 0;
  bool log_json = false;

  // Into an anonymous file; descriptors are named by number and made inheritable. Invalid when that fails.
  UniqueFd save();
  // Undoes the inheritance when the execution failed.
  void make_private();
  // What save() wrote; makes descriptors close-on-exec again. False: not readable, nothing usable.
  bool load(int fd);
};

class Parent {
 public:
  Parent(int argc, char** argv, const ParentOptions& options);
  Parent(const Parent&) = delete;
  Parent& operator=(const Parent&) = delete;
  ~Parent();

  // Until the end (of the parent, or of this code's part in a child).
  ProcessRole run();

 private:
  void open_signals();
  void restore_signals();
  void handle_signals();
  void handle_signal(int number);
  [[nodiscard]] int poll_timeout_ms() const;
  void poll_once();
  void run_due();

  // Forks the serving process. True in the child, which must return to run() at once.
  bool start_serving();
  void start_candidate();
  [[noreturn]] void execute_candidate(int channel_fd);
  void become_child(UniqueFd channel);
  void send_start(Child& child, const std::string& crash, bool upgrade);

  void reap();
  void on_exit(Child child, int status);
  void on_serving_exit(const Child& child, int status);
  Duration plan_restart(bool good_run);

  void read_channel(Child& child);
  void handle_message(Child& child, Message& message);
  void handle_acquire(Child& child, const Message& message);
  void handle_list(Child& child, const Message& message);
  void on_ready(Child& child, const Message& message);
  void request_upgrade();
  void finish_upgrade(Child& candidate);
  void report_upgrade(bool ok, const std::string& reason);
  void execute_self();

  void stop();
  Child* find(ChildPart part);
  void log(LogLevel level, std::string_view message, std::initializer_list<LogField> fields = {}) const;

  const int argc_;
  char** const argv_;
  const ParentOptions options_;
  ParentState state_;
  UniqueFd signal_read_;
  UniqueFd signal_write_;
  std::optional<MonotonicTime> restart_at_;
  std::optional<MonotonicTime> candidate_until_;
  std::optional<MonotonicTime> kill_at_;
  std::string crash_reason_;
  uint32_t pauses_ = 0;  // restarts since the last good run
  bool ever_ready_ = false;
  bool stopping_ = false;
  bool ended_ = false;
  bool is_child_ = false;
  int exit_code_ = 0;
  UniqueFd child_channel_;
};

// "killed by SIGSEGV", "exited with code 3".
std::string describe_exit(int status);
// Where the binary that runs can be found again: argv[0] made absolute when it is this binary (so that a symbolic link
// may be pointed at a new version), else what /proc/self/exe says without " (deleted)".
std::string find_own_binary(const char* argv0);

}  // namespace headgate::control
