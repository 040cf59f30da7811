// stream_handler.h -- what takes over raw connections and datagrams of a listener that does not speak HTTP.
// Thread: const and shared by all workers; what start() returns belongs to one Session.
#pragma once

#include <memory>
#include <span>

#include "dataplane/event/worker_context.h"
#include "dataplane/net/byte_stream.h"

namespace headgate::net {

class DatagramSocket;
struct Datagram;

// Runs until it has closed; then it calls StreamRunOwner::on_run_ended once.
class StreamRun {
 public:
  virtual ~StreamRun() = default;
  // The process is shutting down: finish what is due, end by `deadline`.
  virtual void drain(MonotonicTime deadline) = 0;
};

class StreamRunOwner {
 public:
  // The owner destroys the run (deferred).
  virtual void on_run_ended() = 0;

 protected:
  ~StreamRunOwner() = default;
};

class StreamHandler {
 public:
  virtual ~StreamHandler() = default;
  // Takes the connection. Never calls the owner from inside start().
  virtual std::unique_ptr<StreamRun> start(std::unique_ptr<ByteStream> stream, StreamRunOwner& owner,
                                           WorkerContext& worker) const = 0;
};

// One per (listener, worker), made when the listener opens: it owns flows, rate limits and the like.
class DatagramRun {
 public:
  virtual ~DatagramRun() = default;
  virtual void on_datagrams(std::span<Datagram> batch) = 0;
  // Takes nothing new (another process reads the socket now); what is under way ends by `deadline`.
  virtual void drain(MonotonicTime deadline) = 0;
  // Nothing is under way: may be destroyed without loss.
  [[nodiscard]] virtual bool empty() const { return true; }
};

class DatagramHandler {
 public:
  virtual ~DatagramHandler() = default;
  virtual std::unique_ptr<DatagramRun> start(DatagramSocket& socket, WorkerContext& worker) const = 0;
};

}  // namespace headgate::net
