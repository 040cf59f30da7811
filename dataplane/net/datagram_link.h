// datagram_link.h -- a datagram socket connected to one target: what a flow has on its upstream side.
//
// Being connected, it gets answers of the target and of nobody else, and learns of ICMP errors. A Unix link binds a
// name of its own (an abstract one where there are such), so that it can be answered.
// Thread: worker.   Owner: a flow or a forwarding run; destroy from a callback only by Loop::defer_delete.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "dataplane/base/address.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/event/loop.h"

namespace headgate::net {

class DatagramLinkObserver {
 public:
  // Valid during the call; may be empty. The link may be closed by it.
  virtual void on_link_datagram(std::span<char> payload) = 0;
  // Nobody listens at the target (ECONNREFUSED), or it cannot be reached. Once; the link is closed.
  virtual void on_link_failed(const Error& error) = 0;

 protected:
  ~DatagramLinkObserver() = default;
};

class DatagramLink final : private event::FdObserver {
 public:
  DatagramLink(WorkerContext& worker, DatagramLinkObserver& observer);
  ~DatagramLink();
  DatagramLink(const DatagramLink&) = delete;
  DatagramLink& operator=(const DatagramLink&) = delete;

  // `hops`: hop limit of what is sent; 0: the system's. Errors: kSystem and its refinements; nothing was sent then.
  Result<void> open(const SocketAddress& target, uint8_t hops = 0);
  // False: dropped (too large, queue of the kernel full). A refusal that came in between is reported later.
  bool send(std::string_view payload);
  // Equal sizes in a row leave as one segmented send. Returns how many were sent.
  size_t send_run(std::span<const std::span<char>> payloads);
  // No more calls to the observer.
  void close();

  [[nodiscard]] const SocketAddress& local_address() const { return local_; }

 private:
  void on_fd_ready(uint8_t ready) override;
  void on_more() { receive(); }
  void on_failed();
  void receive();
  bool segment(std::span<const std::span<char>> payloads);
  // True: try again.
  bool note_send_error();

  WorkerContext& worker_;
  DatagramLinkObserver& observer_;
  UniqueFd fd_;
  SocketAddress local_;
  std::string unix_name_;  // to be removed
  event::FdWatch watch_;
  event::DeferredCall more_;
  event::DeferredCall failed_;
  Error error_;
  bool segments_ = false;
};

}  // namespace headgate::net
