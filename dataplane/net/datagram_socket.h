// datagram_socket.h -- a bound UDP or Unix datagram socket: batches in, batches out, replies from the address asked.
//
// One recvmmsg(2) takes up to kBatch datagrams, at most kTurnBudget a turn. Replies gather until the end of the turn and
// leave with one sendmmsg(2); equal sizes in a row for one peer leave as one segmented send where the kernel can
// (UDP_SEGMENT). What the kernel does not take waits, bounded by kQueueMessages and kQueueBytes; past that it is dropped
// and counted. Nothing allocates per datagram: receive buffers are the thread's, the send queue is ours.
// Thread: worker.   Owner: the worker's open listener. The descriptor is ours.
// Spec: ip(7) IP_PKTINFO, ipv6(7) IPV6_RECVPKTINFO, udp(7) UDP_SEGMENT and UDP_GRO, unix(7).
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/buffer.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/event/loop.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/net/stream_handler.h"

namespace headgate::net {

// The other end of a datagram, as the kernel says it. A plain value: no allocation, Unix paths included.
class DatagramAddress {
 public:
  DatagramAddress() = default;
  explicit DatagramAddress(const SocketAddress& address);

  [[nodiscard]] const sockaddr* raw() const { return &address_.any; }
  [[nodiscard]] sockaddr* raw() { return &address_.any; }
  [[nodiscard]] socklen_t length() const { return length_; }
  void set_length(socklen_t length) { length_ = length; }
  static constexpr socklen_t kCapacity = sizeof(sockaddr_un);

  [[nodiscard]] bool is_unix() const { return address_.any.sa_family == AF_UNIX; }
  // False for a Unix peer that has not bound a name: nothing can be sent to it.
  [[nodiscard]] bool can_be_answered() const { return length_ > sizeof(sa_family_t); }
  [[nodiscard]] uint16_t port() const;  // 0: not an IP address
  [[nodiscard]] IpAddress ip() const;   // :: when not an IP address
  // Allocates for Unix paths: for logs and set-up, not per datagram.
  [[nodiscard]] SocketAddress address() const { return SocketAddress::from_sockaddr(raw(), length_); }
  [[nodiscard]] std::string_view bytes() const { return {reinterpret_cast<const char*>(&address_), length_}; }
  bool operator==(const DatagramAddress& other) const { return bytes() == other.bytes(); }

 private:
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_un path;
  } address_{};
  socklen_t length_ = 0;
};

// Which of our addresses a datagram came to. Only known, and only needed, on sockets that are bound to every address.
struct DatagramLocal {
  IpAddress address;       // :: when not known
  uint32_t interface = 0;  // only kept for link-local addresses, where a reply needs it
  bool operator==(const DatagramLocal&) const = default;
};

struct Datagram {
  std::span<char> payload;  // may be empty; may be changed; gone when on_datagrams() returns
  DatagramAddress peer;
  DatagramLocal local;
  uint8_t hops = 0;  // what is left of its hop limit; 0: not known (see report_hops())
};

class DatagramSocket final : private event::FdObserver {
 public:
  static constexpr size_t kBatch = 32;
  static constexpr size_t kTurnBudget = 256;
  static constexpr size_t kMaxPayload = 65535;
  static constexpr size_t kQueueMessages = 256;
  static constexpr size_t kQueueBytes = Block::kHuge;

  DatagramSocket(WorkerContext& worker, UniqueFd fd);
  ~DatagramSocket();
  DatagramSocket(const DatagramSocket&) = delete;
  DatagramSocket& operator=(const DatagramSocket&) = delete;

  // Begins to receive. `run` is told of every batch. Errors: kSystem.
  Result<void> start(DatagramRun& run);
  // Further batches go to another one.
  void set_run(DatagramRun& run) { run_ = &run; }
  // Takes no more datagrams; sending goes on. For draining: another process reads the same socket now.
  void stop_receiving();
  // Long runs of one sender come in one piece and are taken apart here. Worth its price for bulk only.
  void enable_receive_offload();
  // Datagrams say how many hops they had left. For relays: what they pass on has fewer, so that a ring of relays ends.
  void report_hops();

  // Copies the datagram into the queue. False: dropped and counted (queue full, or the peer cannot be answered).
  bool send(const DatagramAddress& peer, const DatagramLocal& local, std::string_view payload);
  // The same without a copy: write at most `size` bytes there, then commit() at once. Empty: queue full.
  std::span<char> reserve(size_t size);
  bool commit(const DatagramAddress& peer, const DatagramLocal& local, size_t size);
  // Sends what is queued now instead of at the end of the turn.
  void flush();

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const SocketAddress& local_address() const { return local_; }
  [[nodiscard]] bool is_unix() const { return local_.is_unix(); }
  [[nodiscard]] size_t queued() const { return queue_.size() - queue_head_; }

 private:
  struct Queued {
    DatagramAddress peer;
    DatagramLocal local;
    uint32_t offset = 0;
    uint32_t size = 0;
  };

  void on_fd_ready(uint8_t ready) override;
  void receive();
  // How many datagrams came; 0 when the socket is drained.
  size_t receive_batch();
  void on_flush() { flush(); }
  void on_more() { receive(); }
  size_t send_batch();
  [[nodiscard]] size_t segments_at(size_t index) const;
  void drop(size_t count);
  void clear_queue();

  WorkerContext& worker_;
  UniqueFd fd_;
  SocketAddress local_;
  event::FdWatch watch_;
  event::DeferredCall flush_later_;
  event::DeferredCall more_;
  DatagramRun* run_ = nullptr;
  BlockRef queue_bytes_;  // held while something is queued
  size_t queue_used_ = 0;
  std::vector<Queued> queue_;
  size_t queue_head_ = 0;
  bool writable_ = true;
  bool receiving_ = true;
  bool wants_local_ = false;  // bound to every address
  bool segments_ = false;     // UDP_SEGMENT works here
};

}  // namespace headgate::net
