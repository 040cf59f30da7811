// h1_parser.cc -- cost of reading and writing HTTP/1 heads: nanoseconds, and instructions where the kernel counts them.
// Usage: bench_h1_parser [rounds]; without counters, divide what callgrind counts for 100000 rounds.
// links: headgate_http1
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

#include "dataplane/base/number.h"
#include "dataplane/http1/parser.h"
#include "dataplane/http1/serializer.h"

using namespace headgate;         // NOLINT
using namespace headgate::http1;  // NOLINT

namespace {

uint32_t rounds = 1'000'000;

class InstructionCounter {
 public:
  InstructionCounter() {
    perf_event_attr attributes{};
    attributes.size = sizeof(attributes);
    attributes.type = PERF_TYPE_HARDWARE;
    attributes.config = PERF_COUNT_HW_INSTRUCTIONS;
    attributes.exclude_kernel = 1;
    attributes.exclude_hv = 1;
    fd_ = static_cast<int>(::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0));
  }
  ~InstructionCounter() {
    if (fd_ >= 0) ::close(fd_);
  }
  // 0 where the kernel does not let us count.
  [[nodiscard]] uint64_t read() const {
    uint64_t count = 0;
    if (fd_ < 0 || ::read(fd_, &count, sizeof(count)) != sizeof(count)) return 0;
    return count;
  }

 private:
  int fd_ = -1;
};

template <typename Work>
void measure(const char* name, size_t bytes, Work&& work) {
  const InstructionCounter counter;
  for (uint32_t i = 0; i < rounds / 10; ++i) work();
  const uint64_t instructions = counter.read();
  const auto begin = std::chrono::steady_clock::now();
  for (uint32_t i = 0; i < rounds; ++i) work();
  const std::chrono::duration<double, std::nano> elapsed = std::chrono::steady_clock::now() - begin;
  const uint64_t used = counter.read() - instructions;
  std::printf("%-34s %5zu bytes %8.1f ns %8.1f instructions\n", name, bytes, elapsed.count() / rounds,
              static_cast<double>(used) / rounds);
}

std::string browser_request() {
  std::string text =
      "GET /wp-content/uploads/2010/03/hello-kitty-darth-vader-pink.jpg HTTP/1.1\r\n"
      "Host: www.kittyhell.example\r\n"
      "User-Agent: Mozilla/5.0 (Macintosh; U; Intel Mac OS X 10.6; en-GB; rv:1.9.2.3) Gecko/20100401 Firefox/3.6.3 "
      "Pathtraq/0.9\r\n"
      "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
      "Accept-Language: en-gb,en;q=0.7,en-us;q=0.3\r\n"
      "Accept-Encoding: gzip,deflate\r\n"
      "Accept-Charset: ISO-8859-1,utf-8;q=0.7,*;q=0.7\r\n"
      "Keep-Alive: 115\r\n"
      "Connection: keep-alive\r\n"
      "Cookie: wp_ozh_wsa_visits=2; wp_ozh_wsa_visit_lasttime=xxxxxxxxxx; __utma=xxxxxxxxx.xxxxxxxxxx.xxxxxxxxxx."
      "xxxxxxxxxx.xxxxxxxxxx.x; __utmz=xxxxxxxxx.xxxxxxxxxx.x.x.utmccn=(referral)|utmcsr=reader.example|utmcct=/reader/|"
      "utmcmd=referral";
  text.append(703 - 4 - text.size(), 'p');
  return text + "\r\n\r\n";
}

void measure_parse(const char* name, const std::string& bytes) {
  const http::HttpLimits limits;
  Arena arena;
  RequestParser parser;
  measure(name, bytes.size(), [&] {
    // As a connection does: one head per exchange, its memory reused.
    arena.clear();
    http::RequestHead head(arena);
    parser.reset();
    if (parser.parse(bytes, limits, head) != Outcome::kDone) std::puts("refused");
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) rounds = parse_decimal<uint32_t>(argv[1]).value_or(rounds);
  const std::string browser = browser_request();
  const std::string small = "GET /tiny HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";
  const std::string wrk = "GET /hello.txt HTTP/1.1\r\nHost: localhost\r\nUser-Agent: load/1\r\nAccept: */*\r\n\r\n";
  measure_parse("parse browser request", browser);
  measure_parse("parse small request", small);
  measure_parse("parse load request", wrk);
  measure("arena and head alone", 0, [arena = std::make_unique<Arena>()] {
    arena->clear();
    http::RequestHead head(*arena);
    head.headers.add("a", "b");
    asm volatile("" : : "r"(&head) : "memory");
  });

  Arena arena;
  http::RequestHead head(arena);
  RequestParser parser;
  if (parser.parse(browser, {}, head) != Outcome::kDone) return 1;
  char room[2048];
  measure("write browser request", browser.size(), [&] {
    char* const end = write_request_head(room, head, head.headers, head.target, {});
    asm volatile("" : : "r"(end) : "memory");
  });
  const std::string response =
      "HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain\r\n"
      "Content-Length: 12\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nETag: \"5f3c-12\"\r\n"
      "Accept-Ranges: bytes\r\n\r\n";
  Arena response_arena;
  ResponseParser response_parser;
  measure("parse response", response.size(), [&] {
    response_arena.clear();
    http::ResponseHead answer(response_arena);
    response_parser.reset(http::Method::kGet);
    if (response_parser.parse(response, {}, answer) != Outcome::kDone) std::puts("refused");
  });
  http::ResponseHead answer(arena);
  response_parser.reset(http::Method::kGet);
  (void)response_parser.parse(response, {}, answer);
  measure("write response", response.size(), [&] {
    char* const end = write_response_head(room, answer, {.framing = response_parser.framing()});
    asm volatile("" : : "r"(end) : "memory");
  });
  return 0;
}
