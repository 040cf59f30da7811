// server.h -- headgate::Server: an HTTP server inside another program, on Headgate's own workers.
//
//   headgate::Server server({.workers = 2});
//   server.on("GET", "/hello", [](const headgate::RequestView&, headgate::Response& response) {
//     response.set_body("hello\n");
//   });
//   auto port = server.listen("127.0.0.1:0");
//   if (!port || !server.start()) { std::cerr << server.problem() << "\n"; return 1; }
//   ...
//   server.stop();
//
// Order: on..., listen... in any order, then start() once, then stop() once. Several Servers in one process work, each
// with threads of its own; they share nothing but the log (dataplane/base/log.h).
// Thread: one at a time; not from a handler. Handlers are called on many threads at once.
// Errors: kInvalid (arguments), kSystem (sockets, files), kTls (certificates); problem() has the sentence.
// Spec: RFC 9110, RFC 9112.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "dataplane/base/result.h"
#include "dataplane/embed/request.h"
#include "dataplane/embed/responder.h"
#include "dataplane/embed/response.h"

namespace headgate {

// Every one is at least 1.
struct ServerLimits {
  size_t header_bytes = 32 * 1024;          // of a request's head: 431
  uint32_t header_fields = 128;             // 431
  size_t target_bytes = 8192;               // 414
  size_t body_bytes = 1024 * 1024;          // of a request's body, which is kept in memory: 413
  uint32_t connections = 10000;             // open at once, over all listeners: beyond it they are reset
  uint32_t connections_per_address = 1000;  // IP clients; exact, too
  std::chrono::milliseconds header_timeout{10'000};  // first byte of a head to its end: 408
  std::chrono::milliseconds body_timeout{30'000};    // between two reads of a body: 408
  std::chrono::milliseconds idle_timeout{60'000};    // between two requests of a connection
  std::chrono::milliseconds send_timeout{60'000};    // without progress of an answer
};

struct ServerOptions {
  uint32_t workers = 1;             // threads with an event loop each; 0: one per CPU
  uint32_t blocking_threads = 8;    // of the pool for on_blocking(); started only when it is used
  uint32_t blocking_queue = 128;    // requests that may wait for one of them: beyond it 503
  ServerLimits limits{};
};

struct ListenOptions {
  // PEM files, both or neither: with them the listener speaks TLS 1.2 and 1.3.
  std::string certificate_file{};  // chain, leaf first
  std::string key_file{};
  // Instead of files: the texts themselves, both or neither; replaced by set_certificate().
  std::string certificate_pem{};
  std::string key_pem{};
  uint32_t unix_mode = 0;  // permissions of a Unix socket; 0: as the umask says
};

// Runs on a worker: it must not block, or every client of that worker waits. The request's body is complete.
using Handler = std::function<void(const RequestView& request, Response& response)>;
// Runs on the thread pool: may block as long as it likes.
using BlockingHandler = std::function<void(const Request& request, Responder& responder)>;

// An answer that the server makes by itself: 404, 405, 408, 413, 500 (a handler threw), 501, 503 ...
struct Failure {
  uint16_t status;
  std::string_view reason;  // of an exception its what(); for logs, not for clients
};
// `response` is filled in with the plain answer and may be changed. Runs on a worker, must not block. Not called for
// bytes that never became a request (400, 414, 431, 505, a Content-Length over the limit): those have no request to show.
using ErrorHook = std::function<void(const Failure& failure, const RequestView& request, Response& response)>;

class Server {
 public:
  explicit Server(ServerOptions options = {});
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  // Stops without waiting for requests in flight.
  ~Server();

  // `pattern`: "/a" that path, "/a/*" it and all below, "/users/{id}" one segment (RequestView::parameter). Exact paths
  // go first, then patterns with names, then the longest "/*"; among equals the first added. "GET" answers HEAD too,
  // unless HEAD has a route of its own. OPTIONS and 405 are answered from what is there. A wrong pattern or method is
  // reported by start().
  void on(std::string_view method, std::string_view pattern, Handler handler);
  void on(std::string_view pattern, Handler handler);  // any method
  void on_blocking(std::string_view method, std::string_view pattern, BlockingHandler handler);
  void on_blocking(std::string_view pattern, BlockingHandler handler);
  void on_error(ErrorHook hook);

  // Binds at once: connections wait in the kernel until start(). "127.0.0.1:8080", "[::1]:0", ":80" (every address),
  // "unix:/run/app.sock", "unix:@abstract". Returns the port (of port 0 the one that was chosen; 0 for Unix).
  // A stale socket file is replaced; the file is removed by stop().
  Result<uint16_t> listen(std::string_view address, const ListenOptions& options = {});

  // Serves from now on. On failure nothing runs.
  Result<void> start();
  // Reads the certificate files again: new handshakes use them, open connections stay. Keeps the old ones on failure.
  // After start().
  Result<void> reload_certificates();
  // The same for listeners whose certificate was given as text: all of them get this one.
  Result<void> set_certificate(std::string_view certificate_pem, std::string_view key_pem);
  // Accepts no more, lets requests in flight finish for up to `grace`, closes the rest and joins all threads. Returns
  // when the handlers that run on the pool have returned: their write() gives false after `grace`.
  void stop(std::chrono::milliseconds grace = std::chrono::seconds(30));

  // The last failure in words.
  [[nodiscard]] const std::string& problem() const;

 private:
  class State;
  std::unique_ptr<State> state_;
};

}  // namespace headgate
