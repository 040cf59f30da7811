// fuzz_h2_client.cc -- bytes of an endpoint: whatever they are, every request that was sent gets exactly one outcome, its
// body an end, memory stays bounded, and the outcome of a connection is a close, never a crash.
// links: headgate_http2
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "dataplane/base/counters.h"
#include "dataplane/base/random.h"
#include "dataplane/http2/client_connection.h"
#include "dataplane/net/socket_stream.h"

using namespace headgate;  // NOLINT

namespace {

// One request, and what became of it. Reads its body to the end, or drops it half way.
class Caller final : public http::ClientObserver, public http::BodySink {
 public:
  Caller(int number, bool tunnel) : head(arena), answer(arena), number_(number) {
    head.method = number % 3 == 1 ? http::Method::kHead : http::Method::kPost;
    head.method_text = number % 3 == 1 ? "HEAD" : "POST";
    head.target = "/";
    head.authority = "a";
    if (tunnel) head.protocol = "websocket";
    head.headers.add("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
  }
  void send(http::ClientStream& stream) {
    stream_ = &stream;
    stream.send(head, number_ % 3 == 2 ? &body_ : nullptr, answer, {}, *this);
  }
  void on_informational(const http::ResponseHead&) override {
    if (outcomes != 0) std::abort();
  }
  void on_response_head(http::BodySource* body, BlockRef) override {
    ++outcomes;
    if (body != nullptr) read(*body);
  }
  void on_tunnel(http::BodySource& from_upstream, BlockRef) override {
    ++outcomes;
    stream_->start_tunnel(body_);
    read(from_upstream);
  }
  void on_failed(const Error&) override { ++outcomes; }
  void on_chunk(Buffer chunk) override {
    if (chunk.empty() || ended) std::abort();
    if (number_ % 4 == 3) {
      ended = true;
      source_->cancel();
    } else {
      source_->pull(*this);
    }
  }
  void on_end(const http::Trailers*) override { end(); }
  void on_error(const Error&) override { end(); }

  Arena arena;
  http::RequestHead head;
  http::ResponseHead answer;
  int outcomes = 0;
  bool reading = false;
  bool ended = false;

 private:
  void read(http::BodySource& source) {
    source_ = &source;
    reading = true;
    source.pull(*this);
  }
  void end() {
    if (ended) std::abort();
    ended = true;
  }

  int number_;
  http::ClientStream* stream_ = nullptr;
  http::BodySource* source_ = nullptr;
  http::BufferBody body_{Buffer::borrow("some bytes of a request")};
};

class Owner final : public http2::ClientConnectionOwner {
 public:
  explicit Owner(event::Loop& loop) : loop_(loop) {}
  void on_room(http2::ClientConnection&) override {}
  void on_connection_closed(http2::ClientConnection&) override { loop_.defer_delete(std::move(connection)); }
  std::unique_ptr<http2::ClientConnection> connection;

 private:
  event::Loop& loop_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 60000) return 0;
  static event::Loop loop;
  static Counters counters;
  static Random random(1);
  static WorkerContext worker{.loop = loop, .counters = counters, .random = random};
  static const http::HttpLimits limits{.header_bytes = 4096, .header_fields = 20};
  loop.run_once(Duration::zero());
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0) std::abort();
  auto stream = net::SocketStream::open(loop, UniqueFd(ends[0]), ConnectionFacts{});
  if (!stream) std::abort();
  Owner owner(loop);
  owner.connection.reset(new http2::ClientConnection(worker, std::move(*stream), limits, {}, owner));
  owner.connection->start();
  std::array<std::unique_ptr<Caller>, 5> callers;
  // As many as there is room for: one before SETTINGS, the others after.
  const auto call = [&] {
    for (int i = 0; i < 5; ++i) {
      http::ClientStream* const opened =
          callers[i] == nullptr && owner.connection != nullptr ? owner.connection->open() : nullptr;
      if (opened == nullptr) continue;
      callers[i] = std::make_unique<Caller>(i, i == 4);
      callers[i]->send(*opened);
    }
    loop.run_once(Duration::zero());
  };
  call();
  const size_t cut = size == 0 ? 0 : data[size / 2] % size;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const std::string_view part : {bytes.substr(0, cut), bytes.substr(cut)}) {
    if (!part.empty() && ::send(ends[1], part.data(), part.size(), MSG_NOSIGNAL) < 0 && errno != EPIPE) std::abort();
    for (int i = 0; i < 3; ++i) loop.run_once(Duration::zero());
    call();
  }
  ::close(ends[1]);
  for (int i = 0; i < 3 && owner.connection != nullptr; ++i) loop.run_once(Duration::zero());
  if (owner.connection != nullptr) owner.connection->close_now();
  for (const auto& caller : callers) {
    if (caller != nullptr && (caller->outcomes != 1 || (caller->reading && !caller->ended))) std::abort();
  }
  for (auto& caller : callers) caller.reset();
  loop.run_once(Duration::zero());
  return 0;
}
