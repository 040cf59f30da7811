// connection.h -- one cpp-httplib client, and the way to end its request from another thread.
// Thread: one request at a time; abort() and expire() any.   Owner: the request in flight, else Transport's idle list.
#pragma once

#include <httplib.h>

#include <atomic>
#include <memory>
#include <mutex>

#include "dataplane/base/clock.h"
#include "dataplane/base/unique_fd.h"

namespace headgate::kube {

class Connection {
 public:
  Connection(std::unique_ptr<httplib::ClientImpl> client, MonotonicTime made);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  httplib::ClientImpl& client() { return *client_; }
  [[nodiscard]] MonotonicTime made() const { return made_; }

  // The request fails at once, in whatever it waits for but the resolution of a name. The connection is spent.
  void abort();
  // abort(), because the time is over.
  void expire();
  [[nodiscard]] bool aborted() const { return aborted_.load(); }
  [[nodiscard]] bool timed_out() const { return timed_out_.load(); }

 private:
  void on_socket(int socket);

  std::unique_ptr<httplib::ClientImpl> client_;
  const MonotonicTime made_;
  std::atomic<bool> aborted_ = false;
  std::atomic<bool> timed_out_ = false;
  std::mutex mutex_;
  // Ours, of the same socket: cpp-httplib may close its own, and the number could be a stranger's by then. Its own
  // stop() waits for the connection to be made.
  UniqueFd socket_;
};

}  // namespace headgate::kube
