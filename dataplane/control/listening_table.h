// listening_table.h -- the listening sockets of a process: found again, bound when missing, closed when nobody needs them.
// Thread: one.   Owner: the parent, or the local broker.   Limits: kMaxSockets.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/control/listening_sockets.h"

namespace headgate::control {

class ListeningTable {
 public:
  static constexpr size_t kMaxSockets = 8192;

  struct Entry {
    SocketAddress address;  // as asked for: port 0 stays 0
    net::Transport transport = net::Transport::kStream;
    uint32_t worker = 0;
    bool shared = false;  // one socket for all workers
    uint64_t user = 0;    // the last process that asked for it
    std::vector<std::string> listeners;
    UniqueFd fd;
    dev_t device = 0;  // of the Unix socket's file
    ino_t inode = 0;
  };

  // A descriptor that stays the table's own. `user` is remembered for close_unused().
  Result<int> acquire(const SocketKey& key, const ListenOptions& options, uint64_t user);
  void release(const SocketKey& key);
  // Closes every socket that `user` has not asked for.
  void close_unused(uint64_t user);
  // Takes a bound socket over, for example from systemd. False when it is none.
  bool adopt(UniqueFd fd);
  // Removes the files of all Unix sockets that are still ours.
  void unlink_all();
  // Forgets all without touching files: for a forked child.
  void clear() { entries_.clear(); }

  [[nodiscard]] std::vector<SocketKey> keys() const;
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
  void restore(Entry entry) { entries_.push_back(std::move(entry)); }

 private:
  Entry* find(const SocketKey& key, bool shared);
  Result<int> bind(const SocketKey& key, const ListenOptions& options, bool shared, uint64_t user);
  static void unlink_file(const Entry& entry);

  std::vector<Entry> entries_;
};

// Sockets that systemd passed to this process (LISTEN_PID, LISTEN_FDS); the variables are removed.
void adopt_systemd_sockets(ListeningTable& table);

}  // namespace headgate::control
