#include "dataplane/control/listening_sockets.h"

#include <fcntl.h>
#include <sys/socket.h>
#ifdef __linux__
#include <linux/filter.h>
#endif

#include <array>

#include "dataplane/control/listening_table.h"
#include "dataplane/control/memory_file.h"

namespace headgate::control {
namespace {

// Everything in this process. Descriptors given out are duplicates, so that closing one never closes the socket of a
// listener that comes back in the next configuration.
class LocalBroker final : public SocketBroker {
 public:
  LocalBroker() { adopt_systemd_sockets(table_); }
  ~LocalBroker() override { table_.unlink_all(); }

  Result<UniqueFd> acquire(const SocketKey& key, const ListenOptions& options) override {
    const auto fd = table_.acquire(key, options, 1);
    if (!fd) return fd.error();
    UniqueFd copy(::fcntl(*fd, F_DUPFD_CLOEXEC, 3));
    if (!copy.valid()) return system_error("dup");
    return copy;
  }
  void release(std::span<const SocketKey> keys) override {
    for (const SocketKey& key : keys) table_.release(key);
  }
  std::vector<SocketKey> held() override { return table_.keys(); }
  void report_ready() override { table_.close_unused(1); }
  void request_upgrade(std::function<void(const UpgradeOutcome&)> done) override {
    done({.ok = false, .reason = "started with -no-parent: whoever started it has to upgrade it"});
  }
  void keep_last_good(const UniqueFd&) override {}  // nobody restarts this process from here
  void set_parent_log_json(bool) override {}
  const StartReason& start_reason() const override { return reason_; }
  Result<void> watch(event::Loop&, SocketBrokerObserver&) override { return {}; }

 private:
  ListeningTable table_;
  StartReason reason_;
};

}  // namespace

void SocketBroker::keep_last_good(std::string_view text) {
  const UniqueFd file = make_memory_file("headgate-last-good");
  if (file.valid() && write_fully(file.get(), text)) keep_last_good(file);
}

std::unique_ptr<SocketBroker> make_local_broker() { return std::make_unique<LocalBroker>(); }

#ifdef SO_ATTACH_REUSEPORT_CBPF
Result<void> steer_connections(int fd, uint32_t sockets) {
  if (sockets == 0) return Error{.code = Errc::kInvalid, .detail = "no socket to steer to"};
  // A = random; return A mod sockets. Any listener of the group may answer any connection, so chance is as good as a
  // hash, and unlike the packet's hash it is there on loopback too.
  std::array<sock_filter, 3> program = {{
      {BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_RANDOM)},
      {BPF_ALU | BPF_MOD | BPF_K, 0, 0, sockets},
      {BPF_RET | BPF_A, 0, 0, 0},
  }};
  const sock_fprog attached{static_cast<uint16_t>(program.size()), program.data()};
  if (::setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &attached, sizeof(attached)) != 0) {
    return system_error("SO_ATTACH_REUSEPORT_CBPF");
  }
  return {};
}
#else
Result<void> steer_connections(int, uint32_t) {
  return Error{.code = Errc::kUnsupported, .detail = "SO_ATTACH_REUSEPORT_CBPF"};
}
#endif

}  // namespace headgate::control
