// tls_party.h -- both ends of a TLS connection for tests: TlsStreams on one loop, and plain OpenSSL on a thread.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dataplane/net/socket_stream.h"
#include "dataplane/tls/tls_stream.h"
#include "tests/support/test_certificates.h"

namespace headgate::tls {

using headgate::testing::CertificateSpec;
using headgate::testing::PemPair;
using headgate::testing::TestAuthority;

inline const TestAuthority& test_authority() {
  static const TestAuthority made("Test Root");
  return made;
}

inline std::shared_ptr<const Certificate> issue(std::vector<std::string> names, bool rsa = false,
                                                const TestAuthority& by = test_authority()) {
  CertificateSpec spec;
  spec.common_name = names.empty() ? "client" : names.front();
  spec.alternative_names = std::move(names);
  spec.rsa = rsa;
  const PemPair pair = by.issue(spec);
  auto outcome = Certificate::parse(pair.chain, pair.key, {}, system_clock().wall());
  EXPECT_NE(outcome.certificate, nullptr) << outcome.problem;
  return outcome.certificate;
}

inline std::shared_ptr<const ServerNames> table(const std::vector<std::shared_ptr<const Certificate>>& certificates) {
  std::vector<CertificateBinding> bindings;
  for (const auto& certificate : certificates) bindings.push_back({certificate, {}, false});
  std::string problem;
  std::vector<std::string> warnings;
  auto names = ServerNames::build(bindings, problem, warnings);
  EXPECT_NE(names, nullptr) << problem;
  return names;
}

// A connected TCP pair on loopback; both ends block.
inline std::pair<UniqueFd, UniqueFd> tcp_pair() {
  UniqueFd listener(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(::listen(listener.get(), 1), 0);
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size);
  UniqueFd client(::socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  UniqueFd server(::accept(listener.get(), nullptr, nullptr));
  timeval limit{.tv_sec = 10, .tv_usec = 0};  // a failing test must end
  ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  return {std::move(server), std::move(client)};
}

inline std::unique_ptr<net::SocketStream> socket_stream(event::Loop& loop, UniqueFd fd) {
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
  auto stream = net::SocketStream::open(loop, std::move(fd), {});
  EXPECT_TRUE(stream.has_value());
  return std::move(*stream);
}

// Passes everything on and counts; hands out at most `read_limit` bytes at a time.
class CountingStream final : public net::ByteStream {
 public:
  explicit CountingStream(std::unique_ptr<net::ByteStream> below) : below_(std::move(below)) {}
  Result<net::IoResult> read(std::span<char> into) override {
    ++reads;
    return below_->read(into.first(std::min(into.size(), read_limit)));
  }
  Result<net::IoResult> write(std::span<const iovec> from) override {
    ++writes;
    return below_->write(from);
  }
  void shutdown_write() override { below_->shutdown_write(); }
  void watch(net::Interest interest, net::StreamObserver& observer) override { below_->watch(interest, observer); }
  void unwatch() override { below_->unwatch(); }
  [[nodiscard]] bool readable_hint() const override { return below_->readable_hint(); }
  [[nodiscard]] const ConnectionFacts& facts() const override { return below_->facts(); }
  void set_ends(const SocketAddress& remote, const SocketAddress& local) override { below_->set_ends(remote, local); }

  size_t reads = 0;
  size_t writes = 0;
  size_t read_limit = SIZE_MAX;

 private:
  std::unique_ptr<net::ByteStream> below_;
};

// One TlsStream with what a user of it does: read all, write what is queued.
class Party final : public net::StreamObserver, public HandshakeObserver {
 public:
  void begin(std::unique_ptr<TlsStream> made) {
    ASSERT_NE(made, nullptr);
    stream = std::move(made);
    stream->start(*this);
  }
  void on_handshake_done() override {
    done = true;
    stream->watch(net::Interest::kBoth, *this);
  }
  void on_handshake_failed(const Error& why) override {
    failed = true;
    error = why;
  }
  void on_stream_ready(bool readable, bool writable) override {
    ++wakeups;
    if (readable && reading) pump_read();
    if (writable) pump_write();
    // What has ended stays readable for ever, and who goes on asking is called in each turn.
    if (broken || eof) stream->watch(broken || to_send.empty() ? net::Interest::kNone : net::Interest::kWrite, *this);
  }
  void send(std::string text) {
    to_send += text;
    if (done) pump_write();
  }
  void pump_read() {
    std::vector<char> into(read_size);
    while (true) {
      auto result = stream->read(into);
      if (!result) {
        broken = true;
        error = result.error();
        if (close_on_eof) stream->shutdown_write();
        return;
      }
      if (result->state == net::IoState::kEof) {
        eof = true;
        if (close_on_eof) stream->shutdown_write();
        return;
      }
      if (result->state == net::IoState::kWouldBlock) return;
      received.append(into.data(), result->bytes);
    }
  }
  void pump_write() {
    while (!to_send.empty()) {
      const iovec piece = net::as_iovec(to_send);
      auto result = stream->write({&piece, 1});
      if (!result) {
        broken = true;
        error = result.error();
        return;
      }
      if (result->state == net::IoState::kWouldBlock) return;
      to_send.erase(0, result->bytes);
    }
    if (close_when_sent) {
      close_when_sent = false;
      stream->shutdown_write();
    }
  }
  [[nodiscard]] const TlsFacts& facts() const { return *stream->facts().tls; }

  std::unique_ptr<TlsStream> stream;
  std::string received;
  std::string to_send;
  Error error;
  size_t read_size = 64 * 1024;
  size_t wakeups = 0;
  bool done = false;
  bool failed = false;
  bool eof = false;
  bool broken = false;
  bool reading = true;
  bool close_when_sent = false;
  bool close_on_eof = false;
  bool stays_open = false;  // although a plain client has closed its half
};

// What a plain OpenSSL client asks for.
struct PlainClient {
  std::string server_name;
  std::vector<std::string> alpn;
  int min_version = TLS1_2_VERSION;
  int max_version = TLS1_3_VERSION;
  std::shared_ptr<const Certificate> certificate;
  SSL_SESSION* session = nullptr;  // offered; not owned
  std::string ciphers;
};
struct PlainResult {
  bool connected = false;
  std::string error;
  std::string peer_names;   // subject of the server's certificate
  std::string alpn;
  std::string version;
  std::string cipher;
  bool resumed = false;
  OpensslPtr<ssl_session_st> session;  // the latest ticket
};

class TlsTest : public ::testing::Test {
 protected:
  std::shared_ptr<ServerContext> server_context(ServerSettings settings, std::shared_ptr<const ServerNames> names,
                                                const Clock& clock = system_clock()) {
    std::string problem;
    auto context = ServerContext::make(settings, std::move(names), problem, clock);
    EXPECT_NE(context, nullptr) << problem;
    context->set_ticket_keys(keys);
    return context;
  }
  std::shared_ptr<ClientContext> client_context(ClientSettings settings = {}) {
    if (settings.authorities == nullptr) settings.authorities = TrustStore::parse(test_authority().pem()).store;
    std::string problem;
    auto context = ClientContext::make(settings, problem);
    EXPECT_NE(context, nullptr) << problem;
    return context;
  }
  void run_until(const std::function<bool()>& reached, int turns = 20'000) {
    while (!reached() && turns-- > 0) loop.run_once(std::chrono::milliseconds(2));
    EXPECT_TRUE(reached());
  }

  // Both ends on the loop; runs until both know how the handshake went.
  void connect(Party& server, Party& client, std::shared_ptr<ServerContext> server_side,
               std::shared_ptr<ClientContext> client_side, const ClientTarget& target) {
    auto [a, b] = tcp_pair();
    server.begin(TlsStream::server(loop, socket_stream(loop, std::move(a)), std::move(server_side)));
    client.begin(TlsStream::client(loop, socket_stream(loop, std::move(b)), std::move(client_side), target));
    run_until([&] { return (server.done || server.failed || server.broken) && (client.done || client.failed); });
  }

  // The server on the loop, plain OpenSSL on a thread: connects, lets `talk` do what it likes, closes.
  PlainResult run_plain(Party& server, std::shared_ptr<ServerContext> context, const PlainClient& wanted,
                        const std::function<void(SSL*)>& talk = {}) {
    auto [a, b] = tcp_pair();
    server.close_on_eof = !server.stays_open;
    server.begin(TlsStream::server(loop, socket_stream(loop, std::move(a)), std::move(context)));
    PlainResult result;
    std::atomic<bool> over{false};
    std::thread thread([&, fd = std::move(b)]() mutable {
      plain_client(fd.get(), wanted, talk, result);
      fd.reset();
      over = true;
    });
    run_until([&] { return over.load(); });
    thread.join();
    for (int i = 0; i < 3; ++i) loop.run_once(std::chrono::milliseconds(1));
    return result;
  }

  event::Loop loop;
  std::shared_ptr<const TicketKeys> keys = TicketKeys::make(system_clock().wall());

 private:
  static int keep_ticket(SSL* ssl, SSL_SESSION* session) {
    static_cast<PlainResult*>(SSL_get_app_data(ssl))->session.reset(session);
    return 1;
  }
  static void plain_client(int fd, const PlainClient& wanted, const std::function<void(SSL*)>& talk,
                           PlainResult& result) {
    const OpensslPtr<ssl_ctx_st> ctx(SSL_CTX_new(TLS_client_method()));
    SSL_CTX_set_min_proto_version(ctx.get(), wanted.min_version);
    SSL_CTX_set_max_proto_version(ctx.get(), wanted.max_version);
    if (wanted.max_version < TLS1_2_VERSION) SSL_CTX_set_security_level(ctx.get(), 0);
    SSL_CTX_set_session_cache_mode(ctx.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx.get(), keep_ticket);
    if (!wanted.ciphers.empty()) SSL_CTX_set_cipher_list(ctx.get(), wanted.ciphers.c_str());
    if (wanted.certificate != nullptr) {
      SSL_CTX_use_cert_and_key(ctx.get(), wanted.certificate->leaf(), wanted.certificate->key(), nullptr, 1);
    }
    const OpensslPtr<ssl_st> ssl(SSL_new(ctx.get()));
    SSL_set_app_data(ssl.get(), &result);
    SSL_set_fd(ssl.get(), fd);
    if (!wanted.server_name.empty()) SSL_set_tlsext_host_name(ssl.get(), wanted.server_name.c_str());
    std::string alpn;
    for (const std::string& name : wanted.alpn) alpn += static_cast<char>(name.size()) + name;
    if (!alpn.empty()) {
      SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                          static_cast<unsigned int>(alpn.size()));
    }
    if (wanted.session != nullptr) SSL_set_session(ssl.get(), wanted.session);
    ERR_clear_error();
    if (SSL_connect(ssl.get()) == 1) {
      result.connected = true;
      result.version = SSL_get_version(ssl.get());
      result.cipher = SSL_get_cipher_name(ssl.get());
      result.resumed = SSL_session_reused(ssl.get()) == 1;
      if (X509* peer = SSL_get0_peer_certificate(ssl.get()); peer != nullptr) {
        char text[256] = {};
        X509_NAME_get_text_by_NID(X509_get_subject_name(peer), NID_commonName, text, sizeof(text));
        result.peer_names = text;
      }
      const unsigned char* chosen = nullptr;
      unsigned int size = 0;
      SSL_get0_alpn_selected(ssl.get(), &chosen, &size);
      result.alpn.assign(reinterpret_cast<const char*>(chosen), size);
      if (talk) talk(ssl.get());
      if (SSL_get_shutdown(ssl.get()) == 0) {
        SSL_shutdown(ssl.get());
        // TLS 1.3 sends tickets, and refusals of client certificates, after the client's handshake.
        char byte = 0;
        while (SSL_read(ssl.get(), &byte, 1) > 0) {
        }
        result.error = take_error_text("");
      }
      SSL_set_shutdown(ssl.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    } else {
      result.error = take_error_text("refused");
    }
    ERR_clear_error();
  }
};

inline std::string pattern(size_t size) {
  std::string text(size, '\0');
  uint32_t state = 12345;
  for (char& c : text) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
  return text;
}

}  // namespace headgate::tls
