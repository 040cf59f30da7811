// shared_connections.h -- this worker's HTTP/2 connections to one Endpoint, each shared by many requests.
//
// A request goes to the oldest connection that has room: few full connections are cheaper than many with a stream each,
// and the ones that are not needed fall idle and close. One that takes no more (GOAWAY, age) stays until its last
// stream is done. The Pool decides when another one is opened.
// Thread: worker.   Owner: Pool.
#pragma once

#include <memory>

#include "dataplane/base/intrusive_list.h"
#include "dataplane/http2/client_connection.h"
#include "dataplane/upstream/upstream.h"

namespace headgate::upstream {

class SharedConnectionsOwner {
 public:
  // open_stream() may work now.
  virtual void on_shared_room() = 0;
  virtual void on_shared_closed() = 0;

 protected:
  ~SharedConnectionsOwner() = default;
};

class SharedConnections final : private http2::ClientConnectionOwner {
 public:
  // Connections that take requests, at once.
  static constexpr size_t kMost = 64;
  // Requests that one connection is expected to take, before it has said so itself.
  static constexpr size_t kStreamsHoped = 100;

  // All outlive us.
  SharedConnections(WorkerContext& worker, const ConnectionSettings& settings, const http::HttpLimits& limits,
                    SharedConnectionsOwner& owner)
      : worker_(worker), settings_(settings), limits_(limits), owner_(owner) {}
  ~SharedConnections() { close_now(); }
  SharedConnections(const SharedConnections&) = delete;
  SharedConnections& operator=(const SharedConnections&) = delete;

  void add(std::unique_ptr<net::ByteStream> stream);
  // For one request, to be sent at once; null: no connection has room.
  http::ClientStream* open_stream();
  // Closes all, whatever is under way.
  void close_now();
  // No new requests; each connection closes with its last.
  void retire();
  // Could open_stream() work?
  [[nodiscard]] bool has_room();
  // Connections that still take requests, full or not.
  [[nodiscard]] size_t usable();
  // Of these, those whose limits are not known yet: they may take many.
  [[nodiscard]] size_t unsettled();
  // All, those that are leaving included.
  [[nodiscard]] size_t open() const { return open_; }
  // Without a request.
  [[nodiscard]] size_t idle();
  // Closes one that has no request. False: there is none.
  bool close_idle();

 private:
  // http2::ClientConnectionOwner
  void on_room(http2::ClientConnection& connection) override;
  void on_connection_closed(http2::ClientConnection& connection) override;

  WorkerContext& worker_;
  const ConnectionSettings& settings_;
  const http::HttpLimits& limits_;
  SharedConnectionsOwner& owner_;
  IntrusiveList<http2::ClientConnection> connections_;  // oldest first
  IntrusiveList<http2::ClientConnection> leaving_;
  size_t open_ = 0;
};

}  // namespace headgate::upstream
