#include "dataplane/handlers/session_affinity.h"

#include <gtest/gtest.h>

#include "tests/support/exchange_harness.h"

namespace headgate::handlers {
namespace {

using test::Answer;
using test::ExchangeHarness;
using test::HandlerFunction;

TEST(SessionAffinity, WhoMisreadsSameSiteNone) {
  const std::pair<const char*, bool> rows[] = {
      {"", false},
      {"curl/7.88", false},
      {"Mozilla/5.0 (iPhone; CPU iPhone OS 12_4 like Mac OS X) Version/12.1 Mobile/15E148 Safari/604.1", true},
      {"Mozilla/5.0 (iPad; CPU OS 12_0 like Mac OS X) CriOS/79.0 Mobile/15E148 Safari/605.1", true},
      {"Mozilla/5.0 (iPhone; CPU iPhone OS 13_0 like Mac OS X) Version/13.0 Safari/604.1", false},
      {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_6) AppleWebKit/605.1.15 Version/12.1 Safari/605.1.15", true},
      {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_6) AppleWebKit/537.36 Chrome/80.0 Safari/537.36", false},
      {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/50.0 Safari/537.36", false},
      {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/51.0 Safari/537.36", true},
      {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chromium/66.0 Safari/537.36", true},
      {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/67.0 Safari/537.36", false},
      {"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/99999999999999999999 Safari/537.36", false},
      {"Mozilla/5.0 (Linux; U; Android 8) Chrome/57.0 UCBrowser/12.13.1.1 Mobile", true},
      {"Mozilla/5.0 (Linux; U; Android 8) Chrome/57.0 UCBrowser/12.13.2.1 Mobile", false},
      {"UCBrowser/", true},
  };
  for (const auto& [agent, misreads] : rows) EXPECT_EQ(misreads_same_site_none(agent), misreads) << agent;
}

TEST(SessionAffinity, ReadsAndWritesTheCookie) {
  AffinityOptions options;
  options.cookie = "route";
  options.max_age_s = 5;
  options.path = "/shop";
  const SessionAffinity affinity(options);
  ExchangeHarness harness;
  const HandlerFunction handler([&](http::Exchange& exchange) {
    const SessionAffinity::Mark mark = affinity.mark_of(exchange.request());
    affinity.give(exchange, mark.key.empty() ? "new" : mark.key, mark.tag);
    exchange.respond_text(200, "text/plain", "ok");
  });
  const std::pair<std::string, std::string> rows[] = {
      {"route=key|tag", "route=key|tag"},     {"a=b; route=k|e|y|tag; route=other|x", "route=k|e|y|tag"},
      {"route=keytag", "route=new|"},         {"route=|tag", "route=new|"},
      {"Route=key|tag", "route=new|"},        {"route=" + std::string(129, 'k') + "|tag", "route=new|"},
      {"route=" + std::string(128, 'k') + "|t", "route=" + std::string(128, 'k') + "|t"},
  };
  for (const auto& [sent, given] : rows) {
    const Answer answer = harness.run({.headers = {{"Cookie", sent}}}, {}, handler);
    EXPECT_EQ(answer.header("Set-Cookie"), given + "; Max-Age=5; Path=/shop; HttpOnly") << sent;
  }
}

}  // namespace
}  // namespace headgate::handlers
