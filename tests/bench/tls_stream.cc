// tls_stream.cc -- processor time of the server side of TLS: handshakes full and resumed, and 100 KiB answers.
// links: headgate_tls headgate_test_support
//
// The server is a TlsStream on a loop of its own thread, whose processor time is read (accept and close of the
// connection included); the client is plain OpenSSL on another thread.
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <sys/socket.h>

#include <cstdio>
#include <ctime>
#include <malloc.h>
#include <thread>
#include <vector>

#include "dataplane/base/buffer.h"
#include "dataplane/net/socket_stream.h"
#include "dataplane/tls/tls_stream.h"
#include "tests/support/test_certificates.h"

namespace {

using namespace headgate;  // NOLINT: a program

constexpr size_t kAnswer = 100 * 1024;
std::atomic<uint64_t> writes{0};
std::atomic<uint64_t> reads{0};

class CountingStream final : public net::ByteStream {
 public:
  explicit CountingStream(std::unique_ptr<net::ByteStream> below) : below_(std::move(below)) {}
  Result<net::IoResult> read(std::span<char> into) override {
    if (below_->readable_hint()) reads.fetch_add(1, std::memory_order_relaxed);
    return below_->read(into);
  }
  Result<net::IoResult> write(std::span<const iovec> from) override {
    writes.fetch_add(1, std::memory_order_relaxed);
    return below_->write(from);
  }
  void shutdown_write() override { below_->shutdown_write(); }
  void watch(net::Interest interest, net::StreamObserver& observer) override { below_->watch(interest, observer); }
  void unwatch() override { below_->unwatch(); }
  [[nodiscard]] bool readable_hint() const override { return below_->readable_hint(); }
  [[nodiscard]] const ConnectionFacts& facts() const override { return below_->facts(); }
  void set_ends(const SocketAddress& remote, const SocketAddress& local) override { below_->set_ends(remote, local); }

 private:
  std::unique_ptr<net::ByteStream> below_;
};

// Each byte asks for one answer: 's' a byte, 'L' 100 KiB.
class Answerer final : public event::Disposable, private net::StreamObserver, private tls::HandshakeObserver {
 public:
  Answerer(event::Loop& loop, std::unique_ptr<net::ByteStream> below, std::shared_ptr<tls::ServerContext> context)
      : loop_(loop), stream_(tls::TlsStream::server(loop, std::move(below), std::move(context))) {
    stream_->start(*this);
  }

 private:
  void on_handshake_done() override { stream_->watch(net::Interest::kBoth, *this); }
  void on_handshake_failed(const Error&) override { end(); }
  void on_stream_ready(bool, bool) override {
    if (!send()) return;
    char text[64];
    auto result = stream_->read(text);
    if (!result || result->state == net::IoState::kEof) return end();
    if (result->bytes == 0) return;
    static const std::string body(kAnswer, 'b');
    left_ = std::string_view(body).substr(0, text[0] == 'L' ? kAnswer : 1);
    send();
  }
  bool send() {
    while (!left_.empty()) {
      const iovec piece = net::as_iovec(left_);
      auto result = stream_->write({&piece, 1});
      if (!result || result->state != net::IoState::kOk) return false;
      left_.remove_prefix(result->bytes);
    }
    return true;
  }
  void end() {
    stream_->unwatch();
    loop_.defer_delete(std::unique_ptr<Disposable>(this));
  }

  event::Loop& loop_;
  std::unique_ptr<tls::TlsStream> stream_;
  std::string_view left_;
};

UniqueFd listen_on_loopback(int flags, uint16_t& port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | flags, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  HG_CHECK(::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0 && ::listen(fd.get(), 128) == 0);
  ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  int one = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));  // accepted connections inherit it
  return fd;
}

class Listener final : private event::FdObserver {
 public:
  Listener(event::Loop& loop, std::shared_ptr<tls::ServerContext> context) : loop_(loop), context_(std::move(context)) {
    fd_ = listen_on_loopback(SOCK_NONBLOCK, port);
    HG_CHECK(watch_.start(loop, fd_.get(), *this).has_value());
  }
  uint16_t port = 0;

 private:
  void on_fd_ready(uint8_t) override {
    for (;;) {
      UniqueFd fd(::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK));
      if (!fd.valid()) return;
      auto stream = net::SocketStream::open(loop_, std::move(fd), {});
      HG_CHECK(stream.has_value());
      new Answerer(loop_, std::make_unique<CountingStream>(std::move(*stream)), context_);
    }
  }
  event::Loop& loop_;
  std::shared_ptr<tls::ServerContext> context_;
  UniqueFd fd_;
  event::FdWatch watch_;
};

// The yardstick: OpenSSL by itself on blocking sockets, with the same choices.
void run_floor(int listener, SSL_CTX* ctx) {
  std::vector<char> answer(kAnswer, 'b');
  for (;;) {
    const UniqueFd fd(::accept(listener, nullptr, nullptr));
    if (!fd.valid()) return;
    SSL* ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd.get());
    SSL_set_accept_state(ssl);
    std::array<char, 64> text{};
    int size = 0;
    while ((size = SSL_read(ssl, text.data(), text.size())) > 0) {
      SSL_write(ssl, answer.data(), text[0] == 'L' ? static_cast<int>(kAnswer) : 1);
    }
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl);
  }
}

SSL_CTX* floor_context(const tls::Certificate& certificate) {
  SSL_CTX* ctx = SSL_CTX_new(TLS_server_method());
  SSL_CTX_use_cert_and_key(ctx, certificate.leaf(), certificate.key(), nullptr, 1);
  SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256");
  SSL_CTX_set1_groups_list(ctx, "X25519:P-256");
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(ctx, 1);
  SSL_CTX_set_num_tickets(ctx, 1);
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
  return ctx;
}

double cpu_us(pthread_t thread) {
  clockid_t clock{};
  timespec time{};
  pthread_getcpuclockid(thread, &clock);
  clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

SSL_SESSION* ticket = nullptr;
int not_resumed = 0;
int keep_ticket(SSL*, SSL_SESSION* session) {
  SSL_SESSION_free(ticket);
  ticket = session;
  return 1;
}

UniqueFd dial(uint16_t port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  HG_CHECK(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  int one = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  return fd;
}

SSL* connect_tls(SSL_CTX* ctx, int fd, bool resume) {
  SSL* ssl = SSL_new(ctx);
  SSL_set_fd(ssl, fd);
  SSL_set_tlsext_host_name(ssl, "bench.example");
  if (resume && ticket != nullptr) SSL_set_session(ssl, ticket);
  const bool offered = resume && ticket != nullptr;
  HG_CHECK(SSL_connect(ssl) == 1);
  if (offered && SSL_session_reused(ssl) != 1) ++not_resumed;
  return ssl;
}

void ask(SSL* ssl, char kind) {
  static std::vector<char> into(64 * 1024);
  HG_CHECK(SSL_write(ssl, &kind, 1) == 1);
  for (size_t got = 0; got < (kind == 'L' ? kAnswer : 1);) {
    const int size = SSL_read(ssl, into.data(), static_cast<int>(into.size()));
    HG_CHECK(size > 0);
    got += static_cast<size_t>(size);
  }
}

void finish(SSL* ssl) {
  SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(ssl);
}

void handshakes(const char* name, SSL_CTX* ctx, uint16_t port, pthread_t server, bool resume, int count) {
  SSL_SESSION_free(ticket);
  ticket = nullptr;
  double begin = 0;
  for (int i = -200; i < count; ++i) {
    if (i == 0) {
      begin = cpu_us(server);
      writes = reads = 0;
    }
    const UniqueFd fd = dial(port);
    SSL* ssl = connect_tls(ctx, fd.get(), resume);
    ask(ssl, 's');
    finish(ssl);
  }
  std::printf("%-28s %8.1f us   %.2f writes, %.2f reads, %d not resumed\n", name, (cpu_us(server) - begin) / count,
              static_cast<double>(writes) / count, static_cast<double>(reads) / count, not_resumed);
  std::fflush(stdout);
}

// Both in turns, so that what else the machine does weighs on both alike.
void compare(const char* name, SSL_CTX* ctx, uint16_t ours, pthread_t our_thread, uint16_t floor,
             pthread_t floor_thread, bool resume) {
  std::printf("%s\n", name);
  for (int round = 0; round < 3; ++round) {
    handshakes("  TlsStream", ctx, ours, our_thread, resume, 1000);
    handshakes("  OpenSSL alone", ctx, floor, floor_thread, resume, 1000);
  }
}

void answers(const char* name, SSL_CTX* ctx, uint16_t port, pthread_t server, char kind) {
  const UniqueFd fd = dial(port);
  SSL* ssl = connect_tls(ctx, fd.get(), false);
  for (int i = 0; i < 500; ++i) ask(ssl, kind);
  const double begin = cpu_us(server);
  writes = reads = 0;
  constexpr int kCount = 5'000;
  for (int i = 0; i < kCount; ++i) ask(ssl, kind);
  std::printf("%-28s %8.1f us   %.2f writes, %.2f reads\n", name, (cpu_us(server) - begin) / kCount,
              static_cast<double>(writes) / kCount, static_cast<double>(reads) / kCount);
  finish(ssl);
}

// The client frees its own half at once and leaves the socket open, so what grows is the server's.
void idle_memory(SSL_CTX* ctx, uint16_t port) {
  constexpr size_t kIdle = 500;
  std::vector<UniqueFd> idle;
  const size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
  for (size_t i = 0; i < kIdle; ++i) {
    idle.push_back(dial(port));
    SSL* ssl = connect_tls(ctx, idle.back().get(), false);
    ask(ssl, 's');
    finish(ssl);
  }
  const size_t after = mallinfo2().uordblks + mallinfo2().hblkhd;
  std::printf("idle TLS 1.3 connection: %zu bytes (TlsStream %zu, SocketStream %zu)\n", (after - before) / kIdle,
              sizeof(tls::TlsStream), sizeof(net::SocketStream));
}

}  // namespace

int main(int argc, char**) {
  const bool bulk_only = argc > 1;  // any argument: no handshakes, only answers and memory
  testing::CertificateSpec spec;
  spec.alternative_names = {"DNS:bench.example"};
  const auto pair = testing::TestAuthority("Bench Root").issue(spec);
  auto outcome = tls::Certificate::parse(pair.chain, pair.key, {}, system_clock().wall());
  const tls::CertificateBinding binding{outcome.certificate, {}, false};
  std::string problem;
  std::vector<std::string> warnings;
  auto context = tls::ServerContext::make({}, tls::ServerNames::build({&binding, 1}, problem, warnings), problem);
  HG_CHECK(context != nullptr);
  context->set_ticket_keys(tls::TicketKeys::make(system_clock().wall()));

  event::Loop loop;
  Listener listener(loop, context);
  std::thread server([&] { loop.run(); });
  const pthread_t ours = server.native_handle();
  uint16_t floor_port = 0;
  const UniqueFd floor_listener = listen_on_loopback(0, floor_port);
  SSL_CTX* floor_ctx = floor_context(*outcome.certificate);
  std::thread floor_server([&] { run_floor(floor_listener.get(), floor_ctx); });
  const pthread_t floor = floor_server.native_handle();

  SSL_CTX* ctx = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(ctx, keep_ticket);
  if (!bulk_only) compare("TLS 1.3 full, ECDSA P-256", ctx, listener.port, ours, floor_port, floor, false);
  if (!bulk_only) compare("TLS 1.3 resumed", ctx, listener.port, ours, floor_port, floor, true);
  SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
  if (!bulk_only) compare("TLS 1.2 full, ECDSA P-256", ctx, listener.port, ours, floor_port, floor, false);
  SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION);
  for (int round = 0; round < 3; ++round) {
    answers("1 byte, TlsStream", ctx, listener.port, ours, 's');
    answers("1 byte, OpenSSL alone", ctx, floor_port, floor, 's');
    answers("100 KiB, TlsStream", ctx, listener.port, ours, 'L');
    answers("100 KiB, OpenSSL alone", ctx, floor_port, floor, 'L');
  }
  idle_memory(ctx, listener.port);
  loop.stop();
  server.join();
  ::shutdown(floor_listener.get(), SHUT_RDWR);
  floor_server.join();
  SSL_CTX_free(floor_ctx);
  SSL_CTX_free(ctx);
  return 0;
}
