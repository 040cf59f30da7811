#include "dataplane/upstream/probe_response.h"

#include <gtest/gtest.h>

namespace headgate::upstream {
namespace {

using Verdict = ProbeResponse::Verdict;

struct ProbeCase {
  const char* response;
  const char* contains;
  Verdict verdict;  // kMore: only the end of the connection decides
  Verdict at_end;   // with kMore
};

const ProbeCase kCases[] = {
    {"HTTP/1.1 200 OK\r\n\r\n", "", Verdict::kHealthy, {}},
    {"HTTP/1.0 204\r\nA: b\r\n\r\n", "", Verdict::kHealthy, {}},
    {"HTTP/1.1 399 X\r\n\r\n", "", Verdict::kHealthy, {}},
    {"HTTP/1.1 400 Bad\r\n\r\n", "", Verdict::kUnhealthy, {}},
    {"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\nok", "ok", Verdict::kUnhealthy, {}},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "", Verdict::kHealthy, {}},
    {"HTTP/1.1 101 Switching\r\n\r\n", "", Verdict::kUnhealthy, {}},
    {"SSH-2.0-OpenSSH\r\n", "", Verdict::kUnhealthy, {}},
    {"HTTP/1.1 2000 OK\r\n\r\n", "", Verdict::kUnhealthy, {}},
    {"HTTP/1.1 099 OK\r\n\r\n", "", Verdict::kUnhealthy, {}},
    {"HTTP/2 200\r\n\r\n", "", Verdict::kUnhealthy, {}},
    {"HTTP/1.1 200 OK\r\n", "", Verdict::kMore, Verdict::kUnhealthy},
    {"", "", Verdict::kMore, Verdict::kUnhealthy},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "ell", Verdict::kHealthy, {}},
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "elo", Verdict::kUnhealthy, {}},
    {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhello", "hello", Verdict::kUnhealthy, {}},
    {"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello", "ell", Verdict::kUnhealthy, {}},
    {"HTTP/1.1 200 OK\r\n\r\nhel", "hello", Verdict::kMore, Verdict::kUnhealthy},
    {"HTTP/1.1 200 OK\r\n\r\nhello", "hello", Verdict::kHealthy, {}},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", "hello", Verdict::kHealthy, {}},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n5\r\nhello\r\n0\r\n", "hello", Verdict::kHealthy, {}},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "world", Verdict::kUnhealthy, {}},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "x", Verdict::kUnhealthy, {}},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", "x", Verdict::kUnhealthy, {}},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", "x", Verdict::kUnhealthy, {}},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "x", Verdict::kUnhealthy, {}},
};

TEST(ProbeResponse, VectorsWholeSplitAndByteByByte) {
  for (const ProbeCase& c : kCases) {
    ActiveHealthCheck check;
    check.body_contains = c.contains;
    const std::string_view text = c.response;
    const auto run = [&](auto&& feed_all) {
      ProbeResponse response(check);
      Verdict verdict = feed_all(response);
      EXPECT_EQ(verdict, c.verdict) << text << " -> " << response.reason();
      if (verdict == Verdict::kMore && c.verdict == Verdict::kMore) {
        EXPECT_EQ(response.finish(), c.at_end) << text;
      }
    };
    const auto feed_parts = [](ProbeResponse& response, std::initializer_list<std::string_view> parts) {
      Verdict verdict = Verdict::kMore;
      for (const auto part : parts) {
        if (verdict == Verdict::kMore && !part.empty()) verdict = response.feed(part);
      }
      return verdict;
    };
    run([&](ProbeResponse& response) { return feed_parts(response, {text}); });
    for (size_t i = 1; i < text.size(); ++i) {
      run([&](ProbeResponse& response) { return feed_parts(response, {text.substr(0, i), text.substr(i)}); });
    }
    run([&](ProbeResponse& response) {
      Verdict verdict = Verdict::kMore;
      for (size_t i = 0; i < text.size() && verdict == Verdict::kMore; ++i) verdict = response.feed(text.substr(i, 1));
      return verdict;
    });
  }
}

TEST(ProbeResponse, IsBounded) {
  ActiveHealthCheck check;
  ProbeResponse head(check);
  Verdict verdict = head.feed("HTTP/1.1 200 OK\r\n");
  size_t fed = 0;
  for (; verdict == Verdict::kMore && fed < 10; ++fed) verdict = head.feed("X: " + std::string(10000, 'x') + "\r\n");
  EXPECT_EQ(verdict, Verdict::kUnhealthy);
  EXPECT_LE(fed, 7U);
  check.body_contains = "needle";
  ProbeResponse body(check);
  verdict = body.feed("HTTP/1.1 200 OK\r\n\r\n");
  for (fed = 0; verdict == Verdict::kMore && fed < 10; ++fed) verdict = body.feed(std::string(10000, 'x'));
  EXPECT_EQ(verdict, Verdict::kUnhealthy);
  EXPECT_LE(fed, 7U);
}

}  // namespace
}  // namespace headgate::upstream
