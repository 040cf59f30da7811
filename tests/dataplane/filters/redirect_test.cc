#include "dataplane/filters/redirect.h"

#include <gtest/gtest.h>

#include "tests/support/exchange_harness.h"

namespace headgate::filters {
namespace {

using test::Answer;
using test::ExchangeHarness;
using test::kHello;
using test::RequestText;
using Kind = PathRewriteOptions::Kind;

Answer run(RedirectFilterOptions options, const RequestText& request) {
  std::string why;
  const auto filter = RedirectFilter::create(std::move(options), &why);
  EXPECT_TRUE(filter.has_value()) << why;
  ExchangeHarness harness;
  return harness.run(request, {filter->get()}, kHello);
}

TEST(RedirectFilter, ByParts) {
  struct Row {
    RedirectFilterOptions options;
    const char* host;
    const char* target;
    const char* location;
  };
  const Row rows[] = {
      {{.host = "example.org"}, "example.com", "/a?b=c", "http://example.org/a?b=c"},
      {{.scheme = "https"}, "example.com", "/a", "https://example.com/a"},
      {{.scheme = "https"}, "example.com:8080", "/a", "https://example.com/a"},
      {{.scheme = "https", .port = 8443}, "example.com", "/a", "https://example.com:8443/a"},
      {{.scheme = "https", .port = 443}, "example.com", "/a", "https://example.com/a"},
      {{.scheme = "http", .port = 80}, "example.com", "/a", "http://example.com/a"},
      {{.host = "example.org"}, "example.com:8080", "/a", "http://example.org:8080/a"},
      {{.port = 9000}, "[2001:db8::1]", "/", "http://[2001:db8::1]:9000/"},
      {{.path = {.kind = Kind::kPrefix, .text = "/replacement", .matched_prefix = "/original"}},
       "example.com",
       "/original/lemon?x",
       "http://example.com/replacement/lemon?x"},
      {{.path = {.kind = Kind::kFull, .text = "/full"}}, "example.com", "/a/b", "http://example.com/full"},
      {{.scheme = "https"}, "example.com", "/a%0d%0ab?q=\"x\"", "https://example.com/a%0d%0ab?q=%22x%22"},
      {{.scheme = "https"}, "example.com", "//evil.example/", "https://example.com//evil.example/"},
  };
  for (const Row& row : rows) {
    RedirectFilterOptions options = row.options;
    options.status = 301;
    const Answer answer = run(std::move(options), {.target = row.target, .headers = {{"Host", row.host}}});
    EXPECT_EQ(answer.status, 301);
    EXPECT_EQ(answer.header("Location"), row.location);
  }
}

TEST(RedirectFilter, ByTemplate) {
  const auto location = [](std::string text, std::string target) {
    return std::string(run({.location = std::move(text)}, {.target = std::move(target)}).header("Location"));
  };
  EXPECT_EQ(location("https://$host$request_uri", "/a?b=1"), "https://example.com/a?b=1");
  EXPECT_EQ(location("/login?back=$uri", "/a"), "/login?back=/a");
  EXPECT_EQ(location("$uri", "//evil.example/x"), "/evil.example/x");
  EXPECT_EQ(location("//cdn.example$uri", "/x"), "//cdn.example/x");
  EXPECT_EQ(location("$uri/", "/a%0d%0aSet-Cookie:%20x"), "/a%0d%0aSet-Cookie:%20x/");
}

TEST(RedirectFilter, OnlyPath) {
  EXPECT_EQ(run({.location = "/app", .only_path = "/"}, {.target = "/?x"}).status, 302);
  EXPECT_EQ(run({.location = "/app", .only_path = "/"}, {.target = "/a"}).status, 200);
}

TEST(RedirectFilter, RefusedOptions) {
  const RedirectFilterOptions refused[] = {
      {.status = 200, .location = "/"},      {.status = 304, .location = "/"}, {.location = "/", .scheme = "https"},
      {.location = "/$nothing"},             {.scheme = "ftp"},                {.host = "a b"},
      {.host = "example.com:80"},            {.location = "/a\r\nb"},
  };
  for (const RedirectFilterOptions& options : refused) {
    std::string why;
    RedirectFilterOptions copy = options;
    EXPECT_FALSE(RedirectFilter::create(std::move(copy), &why).has_value());
    EXPECT_FALSE(why.empty());
  }
}

TEST(TlsRedirect, SendsPlainRequestsToHttps) {
  const auto run_tls = [](TlsRedirectOptions options, RequestText request, bool over_tls = false) {
    const TlsRedirect filter(options);
    ExchangeHarness harness;
    static const TlsFacts facts;
    harness.facts_of_connection().tls = over_tls ? &facts : nullptr;
    return harness.run(request, {&filter}, kHello);
  };
  Answer answer = run_tls({}, {.target = "/a%20b?c=d", .headers = {{"Host", "Example.com:8080"}}});
  EXPECT_EQ(answer.status, 308);
  EXPECT_EQ(answer.header("Location"), "https://example.com/a%20b?c=d");
  EXPECT_EQ(run_tls({.status = 301, .port = 8443}, {}).header("Location"), "https://example.com:8443/");
  EXPECT_EQ(run_tls({}, {}, true).status, 200);
  const RequestText called_https{.scheme = http::Scheme::kHttps};
  EXPECT_EQ(run_tls({}, called_https).status, 308);
  EXPECT_EQ(run_tls({.trust_forwarded = true}, called_https).status, 200);
  EXPECT_EQ(run_tls({.trust_forwarded = true}, {}).status, 308);
}

}  // namespace
}  // namespace headgate::filters
