// handshake.cc -- TLS 1.3 handshakes one after the other, full or resumed, as fast as one thread can; prints how many.
//   perf_handshake PORT SECONDS full|resume
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "e2e/perf/sockets.h"

namespace headgate::perf {
namespace {

SSL_SESSION* g_session = nullptr;
int keep_session(SSL*, SSL_SESSION* session) {
  SSL_SESSION_free(g_session);
  g_session = session;
  return 1;
}

// One handshake, one request of which the first bytes of the answer are read (they follow the tickets).
bool once(SSL_CTX* context, uint16_t port, bool resume, bool& reused) {
  const int fd = connect_to(port);
  fcntl(fd, F_SETFL, 0);
  SSL* ssl = SSL_new(context);
  SSL_set_fd(ssl, fd);
  SSL_set_tlsext_host_name(ssl, "bench.local");
  if (resume && g_session != nullptr) SSL_set_session(ssl, g_session);
  static constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: bench.local\r\nConnection: close\r\n\r\n";
  char buffer[4096];
  const bool good = SSL_connect(ssl) == 1 && SSL_write(ssl, kRequest.data(), static_cast<int>(kRequest.size())) > 0 &&
                    SSL_read(ssl, buffer, sizeof buffer) > 0;
  reused = SSL_session_reused(ssl) == 1;
  SSL_free(ssl);
  close(fd);
  ERR_clear_error();
  return good;
}

int run(uint16_t port, double seconds, bool resume) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, keep_session);
  const uint64_t start = now_ns();
  size_t done = 0, resumed = 0, failed = 0;
  while (now_ns() - start < static_cast<uint64_t>(seconds * 1e9)) {
    bool reused = false;
    if (once(context, port, resume, reused)) {
      ++done;
      if (reused) ++resumed;
    } else {
      ++failed;
    }
  }
  std::printf("handshakes=%zu resumed=%zu failed=%zu\n", done, resumed, failed);
  return failed > done ? 1 : 0;
}

}  // namespace
}  // namespace headgate::perf

int main(int argc, char** argv) {
  using namespace headgate::perf;
  prepare();
  if (argc != 4) {
    std::fputs("perf_handshake PORT SECONDS full|resume\n", stderr);
    return 2;
  }
  return run(port_of(argv[1]), number(argv[2]), std::string_view(argv[3]) == "resume");
}
