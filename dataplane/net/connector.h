// connector.h -- opens a TCP or Unix stream connection to one of several addresses of one target, with a deadline.
//
// With addresses of both families the second family starts 250 ms after the first (RFC 8305 5), the first to connect
// wins and the others are closed.
// Thread: worker.   Owner: who wants the connection; destroying it withdraws everything.
// Errors: kRefused, kTimeout, kUnreachable, kSystem; all with Retry::kYes, nothing was sent.
#pragma once

#include <array>
#include <memory>
#include <span>

#include "dataplane/net/byte_stream.h"

namespace headgate::net {

class ConnectObserver {
 public:
  // Exactly one of the two, never from inside start(). May destroy the Connector.
  virtual void on_connected(std::unique_ptr<ByteStream> stream) = 0;
  virtual void on_connect_failed(const Error& error) = 0;

 protected:
  ~ConnectObserver() = default;
};

class Connector {
 public:
  static constexpr Duration kFamilyHeadStart = std::chrono::milliseconds(250);

  Connector(event::Loop& loop, ConnectObserver& observer);
  ~Connector();
  Connector(const Connector&) = delete;
  Connector& operator=(const Connector&) = delete;

  // At most kMaxAddresses are tried. `timeout` covers all of them.
  void start(std::span<const SocketAddress> addresses, Duration timeout, const SocketAddress* bind_to = nullptr);

 private:
  static constexpr size_t kMaxAddresses = 8;

  class Attempt final : public event::FdObserver {
   public:
    void on_fd_ready(uint8_t ready) override;
    Connector* connector = nullptr;
    SocketAddress address;
    UniqueFd fd;
    event::FdWatch watch;
  };

  void start_next();
  void on_head_start_over();
  void on_deadline();
  void on_attempt_ready(Attempt& attempt);
  void report();
  void settle(Attempt& winner);

  event::Loop& loop_;
  ConnectObserver& observer_;
  event::Timer deadline_;
  event::Timer head_start_;
  event::DeferredCall report_later_;
  std::array<Attempt, kMaxAddresses> attempts_;
  size_t count_ = 0;    // addresses to try
  size_t started_ = 0;  // of them, how many were begun
  size_t open_ = 0;     // of those, how many have no outcome yet
  bool bind_ = false;
  SocketAddress bind_to_;
  Error last_error_;
  std::unique_ptr<ByteStream> connected_;  // waits for report()
};

}  // namespace headgate::net
