// hub.h -- all streams of one controller: sets, sessions, timers, facts; one thread, no gRPC.
//
// A stream is an Outlet (its way out) and calls of on_...() (its way in), in this order:
//   open() -> [authentication on its own thread] -> Outlet::read() -> on_message()/on_written()* -> Outlet::finish()
// The hub calls finish() exactly once for each opened stream and never touches the Outlet afterwards.
// Thread: the public functions from any thread; everything else, and all calls of Outlets, on the hub's thread.
// Owner: the gRPC server.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "controlplane/publish/proxy_session.h"
#include "controlplane/publish/server.h"
#include "dataplane/base/random.h"

namespace headgate::publish {

// How a stream ends, in the codes of gRPC.
enum class EndCode : uint8_t {
  kOk = 0,
  kInvalidArgument = 3,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kUnavailable = 14,
  kUnauthenticated = 16,
};

// The way out of one stream.
class Outlet {
 public:
  // Take one message in: on_message() or on_gone() follows.
  virtual void read() = 0;
  // A serialized ServerMessage (or RelayAck); on_written() follows, or on_gone(). One at a time.
  virtual void write(std::string message) = 0;
  // The last call. `at_once`: without waiting for what is being written.
  virtual void finish(EndCode code, const std::string& reason, bool at_once) = 0;

 protected:
  ~Outlet() = default;
};

class Hub {
 public:
  enum class Purpose : uint8_t { kStream, kRelay };

  explicit Hub(ServerOptions options);
  ~Hub();
  Hub(const Hub&) = delete;
  Hub& operator=(const Hub&) = delete;

  // -- the controller
  void publish(std::string_view set, std::shared_ptr<const translate::Output> output);
  void withdraw(std::string_view set);
  [[nodiscard]] std::vector<FactsPtr> facts() const;
  [[nodiscard]] std::vector<FactsPtr> own_facts() const;  // without those that other replicas told
  [[nodiscard]] uint64_t digest(std::string_view set) const;
  [[nodiscard]] size_t streams() const;
  // Of our own dataplanes, besides options.on_change: for the relay to the leader. Called on the hub's thread.
  void set_relay(std::function<void(const FactsPtr&)> relay);
  // Ends every stream; no on_...() of streams is waited for. Idempotent.
  void stop();

  // -- the streams
  uint64_t open(Outlet& outlet, Credentials credentials, Purpose purpose);
  void on_message(uint64_t stream, std::string bytes);
  void on_written(uint64_t stream);
  // It cannot be read or written any more.
  void on_gone(uint64_t stream);

 private:
  struct Stream {
    Stream(Outlet& way_out, Purpose what, const std::string& id) : outlet(&way_out), purpose(what), session(id) {}
    Outlet* outlet;
    Purpose purpose;
    ProxySession session;
    Caller caller;
    std::string address;
    std::string set;
    bool admitted = false;  // authenticated
    bool writing = false;
    MonotonicTime write_began{};
    MonotonicTime opened{};
    MonotonicTime retire_at{};
    bool retiring = false;  // Goodbye is on its way
  };
  struct AuthenticationRequest {
    uint64_t stream;
    Credentials credentials;
  };
  struct KnownFacts {
    uint64_t stream;  // that told them
    FactsPtr facts;
    bool own;
  };
  using Streams = std::unordered_map<uint64_t, Stream>;

  void post(std::function<void()> task);
  void run();
  void run_authentication();
  MonotonicTime run_due(MonotonicTime now);
  void admit(uint64_t id, const Result<Caller>& caller);
  void on_client_message(uint64_t id, Stream& stream, const std::string& bytes);
  bool on_hello(uint64_t id, Stream& stream, control::v1::Hello hello);
  void on_relayed(uint64_t id, Stream& stream, const std::string& bytes);
  void send(Stream& stream, const google::protobuf::Message& message);
  void finish(uint64_t id, EndCode code, const std::string& reason, bool at_once = false);
  void tell(uint64_t id, const control::v1::ProxyFacts& facts, bool own);
  void forget(uint64_t id);
  static std::string contradiction(const control::v1::Node& node, const Caller& caller);
  // What the credentials say and the node left out.
  static void fill_in(const Caller& caller, control::v1::Node& node);
  Result<std::string> chosen_set(const control::v1::Node& node, const Caller& caller) const;

  const ServerOptions options_;
  Random random_;
  Streams streams_;                                             // hub's thread
  std::map<std::string, ResourceSetPtr, std::less<>> sets_;     // hub's thread
  std::function<void(const FactsPtr&)> relay_;                  // hub's thread

  mutable std::mutex facts_mutex_;
  std::map<std::string, KnownFacts> facts_;                  // by Node.id
  std::map<std::string, uint64_t, std::less<>> digests_;     // of sets

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable wake_authentication_;
  std::vector<std::function<void()>> tasks_;
  std::vector<AuthenticationRequest> unauthenticated_;
  uint64_t next_id_ = 0;
  size_t open_ = 0;
  bool stopping_ = false;
  std::thread thread_;
  std::thread authentication_;
};

}  // namespace headgate::publish
