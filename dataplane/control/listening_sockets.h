// listening_sockets.h -- where the serving process gets its listening sockets from, and what it tells its parent.
//
// With a parent (the normal case) sockets are bound and kept there, so that a crash or an upgrade refuses no connection;
// with -no-parent the same calls bind in this process.
// Thread: control.   Owner: the supervisor.   Errors: those of net::bind_socket; kTimeout and kClosed when the parent
// does not answer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/result.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/event/loop.h"
#include "dataplane/net/socket.h"

namespace headgate::control {

// A socket is asked for by listener and worker; which one it is depends on address, transport and worker, so that
// renaming a listener keeps its socket. With port 0 the name counts too, and all workers get the port of the first.
struct SocketKey {
  std::string listener;
  SocketAddress address;
  net::Transport transport = net::Transport::kStream;
  uint32_t worker = 0;  // ignored where a socket cannot be bound once per worker: Unix, no SO_REUSEPORT

  bool operator==(const SocketKey&) const = default;
};

struct ListenOptions {
  net::BindOptions bind;
  bool make_directory = false;  // Unix sockets: create the last directory of the path (0755) when it is missing
};

// Why this process was started.
struct StartReason {
  uint32_t restarts = 0;     // crashes so far
  std::string crash;         // "killed by SIGSEGV"; empty unless this start replaces a crashed process
  bool upgrade = false;      // an older binary still serves; it drains once report_ready() was called
  std::string last_good;     // what keep_last_good() was given by the process before; empty: nothing
};

struct UpgradeOutcome {
  bool ok = false;
  std::string reason;  // why not
};

// Called on the loop that watches.
class SocketBrokerObserver {
 public:
  // An upgraded process serves on the same sockets: stop accepting, drain, exit.
  virtual void on_replaced() = 0;
  // The parent has died: nobody would restart us. The usual answer is to drain and exit, so that whoever restarts the
  // parent finds the addresses free.
  virtual void on_parent_gone() = 0;

 protected:
  ~SocketBrokerObserver() = default;
};

class SocketBroker {
 public:
  virtual ~SocketBroker() = default;

  // A bound socket (listening, for streams), ours to close. The same socket as before when it is still kept.
  virtual Result<UniqueFd> acquire(const SocketKey& key, const ListenOptions& options) = 0;
  // The listeners are gone from the configuration. Close what acquire() gave first, or after; the last one closes it.
  // When this returns nobody but the caller holds them any more (and a process that drains).
  virtual void release(std::span<const SocketKey> keys) = 0;
  // Sockets kept now, also those of a predecessor that nobody has asked for yet (a higher number of workers): acquire,
  // drain and release them before report_ready(), which closes what is left.
  virtual std::vector<SocketKey> held() = 0;
  // Everything accepts.
  virtual void report_ready() = 0;
  // Starts the binary anew beside this process. `done` is called on the watching loop; a failure leaves all as it is.
  virtual void request_upgrade(std::function<void(const UpgradeOutcome&)> done) = 0;
  // Keeps the text of the configuration in use for the process that replaces this one after a crash: all that `file`,
  // which is the caller's, holds now.
  virtual void keep_last_good(const UniqueFd& file) = 0;
  void keep_last_good(std::string_view text);
  // The parent's own lines follow the format of the log.
  virtual void set_parent_log_json(bool json) = 0;
  [[nodiscard]] virtual const StartReason& start_reason() const = 0;
  // Needed for request_upgrade() and the observer. Both outlive the broker's last callback.
  virtual Result<void> watch(event::Loop& loop, SocketBrokerObserver& observer) = 0;
};

// For a process started by run_parent(). Waits for the parent's first message.
Result<std::unique_ptr<SocketBroker>> make_parent_broker(UniqueFd channel);
// For -no-parent: binds here; takes sockets from systemd (LISTEN_FDS). request_upgrade() says no.
std::unique_ptr<SocketBroker> make_local_broker();

// Sends new TCP connections to the first `sockets` sockets (in bind order) of the SO_REUSEPORT group of `fd`: the others
// can then be accepted empty and closed without losing a connection. kUnsupported where the kernel cannot.
Result<void> steer_connections(int fd, uint32_t sockets);

}  // namespace headgate::control
