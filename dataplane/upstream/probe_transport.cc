#include "dataplane/upstream/probe_transport.h"

#include <utility>

#include "dataplane/http2/call.h"
#include "dataplane/http2/fetch.h"
#include "dataplane/upstream/client_tls.h"

namespace headgate::upstream {
namespace {

constexpr size_t kMaxAnswer = 4096;

class SecuredConnect final : public event::Disposable, private TlsConnectObserver {
 public:
  SecuredConnect(event::Loop& loop, const Upstream& upstream, net::ConnectObserver& observer)
      : observer_(observer), tls_(loop, upstream.settings(), *this) {}
  void start(std::unique_ptr<net::ByteStream> plain, std::shared_ptr<tls::ClientContext> context,
             const Endpoint& endpoint, Duration timeout) {
    tls_.start(std::move(plain), std::move(context), endpoint, timeout);
  }

 private:
  void on_tls_connected(std::unique_ptr<net::ByteStream> stream) override { observer_.on_connected(std::move(stream)); }
  void on_tls_failed(const Error& error) override { observer_.on_connect_failed(error); }

  net::ConnectObserver& observer_;
  TlsConnect tls_;
};

class GrpcCheck final : public event::Disposable, private http2::CallObserver {
 public:
  GrpcCheck(event::Loop& loop, std::unique_ptr<net::ByteStream> stream, http2::CallOptions options,
            ProbeObserver& observer)
      : observer_(observer), call_(loop, std::move(stream), std::move(options), *this) {}
  void start(std::string_view service) {
    call_.start();
    call_.send(write_health_request(service));
    call_.finish_sending();
  }

 private:
  void on_message(std::string_view message) override { serving_ = says_serving(message); }
  void on_ended(const http2::CallStatus& status) override {
    const bool ok = status.code == http2::CallStatus::kOk;
    observer_.on_probe_done(ok && serving_, !ok ? "the gRPC call failed" : serving_ ? "" : "not serving", 0);
  }

  ProbeObserver& observer_;
  http2::Call call_;
  bool serving_ = false;
};

// The request that ProbeResponse judges over HTTP/1, with the same verdicts.
class HttpCheck final : public event::Disposable, private http2::FetchObserver {
 public:
  HttpCheck(event::Loop& loop, std::unique_ptr<net::ByteStream> stream, const ActiveHealthCheck& check,
            http2::FetchRequest request, ProbeObserver& observer)
      : check_(check), observer_(observer), fetch_(loop, std::move(stream), std::move(request), *this) {}
  void start() { fetch_.start(); }

 private:
  void on_fetched(const http2::Fetched& answer) override {
    const char* const reason = judge(answer);
    observer_.on_probe_done(*reason == '\0', reason, answer.status);
  }
  const char* judge(const http2::Fetched& answer) const {
    if (answer.status == 0) return *answer.problem != '\0' ? answer.problem : "closed without an answer";
    if (!in_ranges(check_.expect, answer.status)) return "unexpected status";
    if (*answer.problem != '\0') return answer.problem;
    return answer.body.find(check_.body_contains) != std::string::npos ? "" : "body without the expected text";
  }

  const ActiveHealthCheck& check_;
  ProbeObserver& observer_;
  http2::Fetch fetch_;
};

}  // namespace

std::unique_ptr<event::Disposable> ProbeTransport::secure(std::unique_ptr<net::ByteStream> plain,
                                                          const Upstream& upstream, const Endpoint& endpoint,
                                                          net::ConnectObserver& observer) {
  auto context = context_of(upstream);
  if (context == nullptr) return nullptr;
  auto connect = std::make_unique<SecuredConnect>(loop_, upstream, observer);
  connect->start(std::move(plain), std::move(context), endpoint, upstream.settings().health_check->timeout);
  return connect;
}

std::unique_ptr<event::Disposable> ProbeTransport::check_http2(std::unique_ptr<net::ByteStream> stream,
                                                               const Upstream& upstream, const Endpoint& endpoint,
                                                               ProbeObserver& observer) {
  const ActiveHealthCheck& check = *upstream.settings().health_check;
  const bool https = upstream.settings().tls != nullptr;
  if (check.kind != ActiveHealthCheck::Kind::kGrpc) {
    http2::FetchRequest request{.method = check.method,
                                .path = check.path.empty() ? "/" : check.path,
                                .authority = check_authority(upstream, endpoint),
                                .user_agent = kCheckUserAgent,
                                .https = https,
                                .body_bytes = check.body_contains.empty() ? 0 : ProbeResponse::kMaxBytes};
    auto fetch = std::make_unique<HttpCheck>(loop_, std::move(stream), check, std::move(request), observer);
    fetch->start();
    return fetch;
  }
  http2::CallOptions options;
  options.path = "/grpc.health.v1.Health/Check";
  options.authority = !check.host.empty()                                    ? check.host
                      : endpoint.host.empty() || endpoint.address().is_unix() ? "localhost"
                                                                             : endpoint.authority();
  options.https = https;
  options.max_message = kMaxAnswer;
  auto call = std::make_unique<GrpcCheck>(loop_, std::move(stream), std::move(options), observer);
  call->start(check.grpc_service);
  return call;
}

std::shared_ptr<tls::ClientContext> ProbeTransport::context_of(const Upstream& upstream) {
  std::erase_if(made_, [](const auto& entry) { return entry.second.settings.expired(); });
  MadeTls& context = made_[&upstream.settings()];
  if (context.tls == nullptr) {
    tls::ClientSettings settings = *upstream.settings().tls;
    switch (upstream.settings().health_check->kind) {
      case ActiveHealthCheck::Kind::kHttp: {
        const Protocol protocol = upstream.settings().protocol;
        const bool http2 = protocol == Protocol::kHttp2 || protocol == Protocol::kGrpc;
        settings.protocol.alpn = {http2 ? "h2" : "http/1.1"};
        break;
      }
      case ActiveHealthCheck::Kind::kGrpc: settings.protocol.alpn = {"h2"}; break;
      case ActiveHealthCheck::Kind::kTcp: break;
    }
    std::string problem;
    context = {upstream.shared_settings(), tls::ClientContext::make(settings, problem)};
  }
  return context.tls;
}

std::string write_health_request(std::string_view service) {
  if (service.empty()) return {};
  std::string message(1, '\x0a');  // field 1, length-delimited
  for (size_t size = service.size();; size >>= 7) {
    const bool last = size < 0x80;
    message += static_cast<char>((size & 0x7f) | (last ? 0 : 0x80));
    if (last) break;
  }
  return message.append(service);
}

bool says_serving(std::string_view response) {
  constexpr uint64_t kStatusField = 1;
  constexpr uint64_t kServing = 1;
  const auto varint = [&response](uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 64 && !response.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(response.front());
      response.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  };
  bool serving = false;
  while (!response.empty()) {
    uint64_t tag = 0;
    uint64_t value = 0;
    if (!varint(tag)) return false;
    size_t skip = 0;
    switch (tag & 7) {
      case 0:
        if (!varint(value)) return false;
        if (tag >> 3 == kStatusField) serving = value == kServing;
        break;
      case 1: skip = 8; break;
      case 2:
        if (!varint(value) || value > response.size()) return false;
        skip = static_cast<size_t>(value);
        break;
      case 5: skip = 4; break;
      default: return false;
    }
    if (skip > response.size()) return false;
    response.remove_prefix(skip);
  }
  return serving;
}

}  // namespace headgate::upstream
