// server.h -- the controller's end of the configuration streams: gRPC server, one stream per dataplane.
//
//   publish::ServerOptions options;
//   options.address = "0.0.0.0:8443";
//   options.authenticator = &authenticator;             // from controlplane/identity
//   options.services = {&certify_service};              // more services on the same port
//   options.on_change = [&](const FactsPtr& facts) { loop.post(...); };
//   std::string problem;
//   auto server = publish::Server::start(std::move(options), problem);
//   server->set_certificate(chain_pem, key_pem);        // before start: options.certificate; again at each rotation
//   ...
//   server->publish("gateway", output);                 // whenever translate gave an Output; cheap when it is the same
//   server->follow("10.0.0.7:8443")                     // not the leader: it is told what our dataplanes say
//
// Until a set has been published, dataplanes that ask for it are told UNAVAILABLE (they keep what they serve, and come
// back): call publish() only when all caches are synced. A publish() is compared with the one before it by version;
// each stream gets the difference to what it has, at once, or merged into its next Push while one is unanswered.
// What streams say (Ack, Reject, Report) becomes one ProxyFacts per dataplane, those told by other replicas included.
// Thread: all functions from any thread; `on_change` is called on a thread of the Server and must not block.
// Owner: the controller's main.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/publish/authenticator.h"
#include "controlplane/translate/output.h"
#include "headgate/control/v1/control.pb.h"

namespace grpc {
class Service;
}

namespace headgate::publish {

using FactsPtr = std::shared_ptr<const control::v1::ProxyFacts>;

struct ServerCertificate {
  std::string chain_pem;
  std::string key_pem;
};

struct ServerOptions {
  std::string address = "0.0.0.0:8443";  // port 0: a free one, see Server::port()
  std::string id;                        // of this replica, in Welcome; the name of the pod
  std::string version = HEADGATE_VERSION;
  bool plaintext = false;                // no TLS, everybody may be any Node: only on loopback, else start() refuses
  ServerCertificate certificate;         // needed unless plaintext
  Authenticator* authenticator = nullptr;  // needed unless plaintext
  std::vector<grpc::Service*> services;    // outlive the Server
  std::function<void(const FactsPtr&)> on_change;
  // The set a dataplane gets. Default: Node.config, or the only published set when that is empty.
  // kDenied: not for this caller.
  std::function<Result<std::string>(const control::v1::Node&, const Caller&)> choose_set;
  std::chrono::seconds max_connection_age{30 *
                                          60};  // +-10 %, then a dataplane reconnects (and may find another replica)
  std::chrono::milliseconds slow_after{10'000};      // a write that waits longer closes the stream
  std::chrono::milliseconds unanswered_after{60'000};  // so does a Push without an Ack
  size_t max_streams = 20'000;
};

class Server {
 public:
  // Null with `problem` set: the address is taken, the certificate and its key cannot be used, options contradict.
  static std::unique_ptr<Server> start(ServerOptions options, std::string& problem);
  virtual ~Server() = default;  // ends all streams
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // From now on this is what the set holds.
  virtual void publish(std::string_view set, std::shared_ptr<const translate::Output> output) = 0;
  // The set is gone (its Gateway or pod was deleted); its streams end, dataplanes keep what they serve.
  virtual void withdraw(std::string_view set) = 0;
  // For handshakes from now on. False: not usable, the one before stays.
  virtual bool set_certificate(const ServerCertificate& certificate) = 0;

  // Every dataplane that is connected here or to a replica that relays to us. Ordered by Node.id.
  [[nodiscard]] virtual std::vector<FactsPtr> facts() const = 0;
  // xor of the versions in a set: a dataplane whose ProxyFacts has the same digest has taken in this very Output (what
  // it could not use of it is in `rejects`). Zero for a set that is not published.
  [[nodiscard]] virtual uint64_t digest(std::string_view set) const = 0;

  // Tells the replica at `address` what our dataplanes say, until told otherwise; reconnects by itself. Empty: nobody
  // (we lead). TLS: `roots_pem` verifies the other replica as `server_name`, our own certificate is shown to it.
  virtual void follow(std::string_view address, std::string_view roots_pem = {}, std::string_view server_name = {}) = 0;

  [[nodiscard]] virtual uint16_t port() const = 0;
  [[nodiscard]] virtual size_t streams() const = 0;

 protected:
  Server() = default;
};

}  // namespace headgate::publish
