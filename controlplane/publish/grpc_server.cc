// grpc_server.cc -- Server over gRPC: the port, the credentials, and one reactor per stream handing bytes to the hub.
#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>

#include <algorithm>

#include "controlplane/publish/hub.h"
#include "controlplane/publish/relay_client.h"
#include "controlplane/publish/rotating_credentials.h"
#include "dataplane/base/address.h"
#include "dataplane/base/log.h"
#include "headgate/control/v1/control.grpc.pb.h"

namespace headgate::publish {
namespace {

constexpr int kMaxMessage = 64 << 20;  // a Hello with 100,000 known versions is 6 MiB

// "ipv4:10.1.2.3:40132" -> "10.1.2.3:40132"
std::string address_of(const grpc::CallbackServerContext& call) {
  const std::string peer = call.peer();
  const size_t colon = peer.find(':');
  return colon == std::string::npos ? peer : peer.substr(colon + 1);
}

// Leaf first. With OpenSSL the chain of a client is what it sent besides its leaf, with BoringSSL the leaf begins it.
std::string client_chain(const grpc::AuthContext& authentication) {
  const auto property = [&](const char* name) {
    const auto values = authentication.FindPropertyValues(name);
    return values.empty() ? std::string() : std::string(values[0].data(), values[0].size());
  };
  std::string leaf = property("x509_pem_cert");
  std::string chain = property("x509_pem_cert_chain");
  return chain.starts_with(leaf) ? chain : leaf + chain;
}

Credentials credentials_of(const grpc::CallbackServerContext& call) {
  Credentials shown{.address = address_of(call)};
  if (const auto authentication = call.auth_context()) shown.certificate_chain_pem = client_chain(*authentication);
  constexpr std::string_view kBearer = "Bearer ";
  const auto range = call.client_metadata().equal_range("authorization");
  for (auto field = range.first; field != range.second; ++field) {
    const std::string_view value(field->second.data(), field->second.size());
    if (value.starts_with(kBearer)) shown.bearer_token = value.substr(kBearer.size());
  }
  return shown;
}

using ByteReactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

// Deletes itself when gRPC is done with it, which is after Outlet::finish(): the hub's last call.
class StreamReactor final : public ByteReactor, private Outlet {
 public:
  StreamReactor(Hub& hub, grpc::CallbackServerContext& call, Hub::Purpose purpose) : hub_(hub), call_(call) {
    id_ = hub.open(*this, credentials_of(call), purpose);
    opened_.store(true, std::memory_order_release);
  }

 private:
  void read() override { StartRead(&incoming_); }
  void write(std::string message) override {
    // The text lives until the write is done, so that gRPC need not copy it.
    outgoing_text_ = std::move(message);
    const grpc::Slice slice(outgoing_text_.data(), outgoing_text_.size(), grpc::Slice::STATIC_SLICE);
    outgoing_ = grpc::ByteBuffer(&slice, 1);
    StartWrite(&outgoing_);
  }
  void finish(EndCode code, const std::string& reason, bool at_once) override {
    if (at_once) call_.TryCancel();
    Finish(grpc::Status(static_cast<grpc::StatusCode>(code), reason));
  }

  void OnReadDone(bool ok) override {
    if (!ok) return hub_.on_gone(id());
    std::vector<grpc::Slice> slices;
    std::string bytes;
    if (incoming_.Dump(&slices).ok()) {
      for (const grpc::Slice& slice : slices) bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
    }
    incoming_.Clear();
    hub_.on_message(id(), std::move(bytes));
  }
  void OnWriteDone(bool ok) override {
    outgoing_.Clear();
    if (ok) {
      hub_.on_written(id());
    } else {
      hub_.on_gone(id());
    }
  }
  void OnCancel() override { hub_.on_gone(id()); }
  void OnDone() override { delete this; }

  // The hub may act on the stream before its constructor has the id.
  uint64_t id() const {
    while (!opened_.load(std::memory_order_acquire)) std::this_thread::yield();
    return id_;
  }

  Hub& hub_;
  grpc::CallbackServerContext& call_;
  std::atomic<bool> opened_{false};
  uint64_t id_ = 0;
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
  std::string outgoing_text_;
};

class StreamService final
    : public control::v1::ControlPlane::WithRawCallbackMethod_Stream<control::v1::ControlPlane::Service> {
 public:
  explicit StreamService(Hub& hub) : hub_(hub) {}
  ByteReactor* Stream(grpc::CallbackServerContext* call) override {
    return new StreamReactor(hub_, *call, Hub::Purpose::kStream);
  }

 private:
  Hub& hub_;
};

class RelayService final : public control::v1::Relay::WithRawCallbackMethod_Observe<control::v1::Relay::Service> {
 public:
  explicit RelayService(Hub& hub) : hub_(hub) {}
  ByteReactor* Observe(grpc::CallbackServerContext* call) override {
    return new StreamReactor(hub_, *call, Hub::Purpose::kRelay);
  }

 private:
  Hub& hub_;
};

class GrpcServer final : public Server {
 public:
  explicit GrpcServer(const ServerOptions& options)
      : options_(options), hub_(options), streams_(hub_), relays_(hub_) {}

  ~GrpcServer() override {
    follow({}, {}, {});
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
    hub_.stop();
  }

  bool listen(std::string& problem) {
    if (options_.plaintext) {
      credentials_ = grpc::InsecureServerCredentials();
    } else {
      certificate_ = std::make_shared<CertificateSource>();
      if (!certificate_->set(options_.certificate)) {
        problem = "the certificate and the key cannot be used together";
        return false;
      }
      credentials_ = std::make_shared<RotatingCredentials>(certificate_);
    }
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort(options_.address, credentials_, &port);
    builder.RegisterService(&streams_);
    builder.RegisterService(&relays_);
    for (grpc::Service* service : options_.services) builder.RegisterService(service);
    builder.SetMaxReceiveMessageSize(kMaxMessage);
    // Dataplanes ask by PING every 30 s; without these gRPC would call that too many.
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 5'000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 64);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port == 0) {
      problem = "cannot listen on " + options_.address;
      return false;
    }
    port_ = static_cast<uint16_t>(port);
    return true;
  }

  void publish(std::string_view set, std::shared_ptr<const translate::Output> output) override {
    hub_.publish(set, std::move(output));
  }
  void withdraw(std::string_view set) override { hub_.withdraw(set); }
  bool set_certificate(const ServerCertificate& certificate) override {
    if (certificate_ == nullptr || !certificate_->set(certificate)) return false;
    const std::lock_guard lock(relay_mutex_);
    options_.certificate = certificate;
    restart_relay();  // it shows the certificate, too
    return true;
  }
  [[nodiscard]] std::vector<FactsPtr> facts() const override { return hub_.facts(); }
  [[nodiscard]] uint64_t digest(std::string_view set) const override { return hub_.digest(set); }
  void follow(std::string_view address, std::string_view roots_pem, std::string_view server_name) override {
    const std::lock_guard lock(relay_mutex_);
    relay_target_ = {.address = std::string(address),
                     .server_name = std::string(server_name),
                     .tls = !options_.plaintext,
                     .roots_pem = std::string(roots_pem)};
    restart_relay();
  }
  [[nodiscard]] uint16_t port() const override { return port_; }
  [[nodiscard]] size_t streams() const override { return hub_.streams(); }

 private:
  // With `relay_mutex_` held.
  void restart_relay() {
    if (relay_ != nullptr) {
      hub_.set_relay({});
      relay_->stop();
      relay_ = nullptr;
    }
    if (relay_target_.address.empty()) return;
    if (relay_target_.tls) relay_target_.certificate = options_.certificate;
    relay_ = std::make_shared<RelayClient>(relay_target_, [this] { return hub_.own_facts(); });
    hub_.set_relay([relay = relay_](const FactsPtr& facts) { relay->tell(facts); });
    relay_->start();
  }

  ServerOptions options_;
  std::shared_ptr<CertificateSource> certificate_;
  // Each handshake asks them for the certificate, and gRPC keeps no share in them: they outlive server_.
  std::shared_ptr<grpc::ServerCredentials> credentials_;
  Hub hub_;
  StreamService streams_;
  RelayService relays_;
  std::unique_ptr<grpc::Server> server_;
  uint16_t port_ = 0;
  std::mutex relay_mutex_;
  RelayTarget relay_target_;  // no address: none
  std::shared_ptr<RelayClient> relay_;
};

// "127.0.0.1:0", "[::1]:8443", "unix:/path", "localhost:8443"
bool is_loopback(const std::string& address) {
  if (address.starts_with("unix:") || address.starts_with("localhost:")) return true;
  std::string host = address.substr(0, address.rfind(':'));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  const auto ip = IpAddress::parse(host);
  return ip && ip->is_loopback();
}

}  // namespace

std::unique_ptr<Server> Server::start(ServerOptions options, std::string& problem) {
  if (options.plaintext && !is_loopback(options.address)) {
    problem = "plaintext is for loopback addresses only";
    return nullptr;
  }
  if (!options.plaintext && options.authenticator == nullptr) {
    problem = "there is nobody to authenticate callers";
    return nullptr;
  }
  auto server = std::make_unique<GrpcServer>(options);
  if (!server->listen(problem)) return nullptr;
  return server;
}

}  // namespace headgate::publish
