// fuzz_h2_server.cc -- bytes of a client after the preface: whatever they are, every exchange that began ends, memory
// stays bounded, and the outcome of a connection is a close, never a crash.
// links: headgate_http2
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "dataplane/base/counters.h"
#include "dataplane/base/random.h"
#include "dataplane/http/date.h"
#include "dataplane/http2/server_connection.h"
#include "dataplane/net/socket_stream.h"

using namespace headgate;  // NOLINT

namespace {

class Sink final : public http::ExchangeSink, public http2::ServerConnectionOwner {
 public:
  explicit Sink(event::Loop& loop) : loop_(loop) {}
  void on_exchange(http::Exchange& exchange) override {
    ++begun;
    exchange.dispatched = true;
    // Answers by echo, by a text, or not at all, as the path asks.
    const std::string_view path = exchange.request().path;
    if (exchange.request_body() != nullptr && path.size() % 3 != 2) {
      exchange.respond(exchange.request_body());
    } else if (path.size() % 3 == 1) {
      exchange.respond_text(200, "text/plain", "hello");
    }
  }
  void on_exchange_end(http::Exchange& exchange) override { ended += exchange.dispatched ? 1 : 0; }
  void on_refused(uint16_t, const Error&) override {}
  void on_http2_closed() override { loop_.defer_delete(std::move(connection)); }

  std::unique_ptr<http2::ServerConnection> connection;
  int begun = 0;
  int ended = 0;

 private:
  event::Loop& loop_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 60000) return 0;
  static event::Loop loop;
  static Counters counters;
  static Random random(1);
  static http::DateCache date;
  static WorkerContext worker{.loop = loop, .counters = counters, .random = random, .date = &date};
  static const http::HttpLimits limits{.header_bytes = 4096, .header_fields = 20, .target_bytes = 512};
  loop.run_once(Duration::zero());
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0) std::abort();
  auto stream = net::SocketStream::open(loop, UniqueFd(ends[0]), ConnectionFacts{});
  if (!stream) std::abort();
  Sink sink(loop);
  sink.connection.reset(
      new http2::ServerConnection(worker, std::move(*stream), limits, sink, sink, http::Scheme::kHttp));
  const std::string bytes = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + std::string(reinterpret_cast<const char*>(data), size);
  const size_t cut = 24 + (size == 0 ? 0 : data[size / 2] % size);
  sink.connection->start(Buffer::copy(std::string_view(bytes).substr(0, cut)));
  const std::string rest = bytes.substr(cut);
  if (!rest.empty() && ::send(ends[1], rest.data(), rest.size(), MSG_NOSIGNAL) < 0) std::abort();
  for (int i = 0; i < 4; ++i) loop.run_once(Duration::zero());
  ::close(ends[1]);
  for (int i = 0; i < 3 && sink.connection != nullptr; ++i) loop.run_once(Duration::zero());
  if (sink.connection != nullptr) sink.connection->close_now();
  loop.run_once(Duration::zero());
  if (sink.begun != sink.ended) std::abort();
  return 0;
}
