#include "dataplane/filters/rewrite.h"

#include <gtest/gtest.h>

#include "dataplane/http/uri.h"
#include "tests/support/exchange_harness.h"

namespace headgate::filters {
namespace {

using test::Answer;
using test::ExchangeHarness;
using test::HandlerFunction;
using Kind = PathRewriteOptions::Kind;

// Shows what a proxy would send, and checks that the views agree.
const HandlerFunction kShow([](http::Exchange& exchange) {
  const http::RequestHead& request = exchange.request();
  EXPECT_EQ(request.target, std::string(request.path) + (request.has_query ? "?" : "") + std::string(request.query));
  EXPECT_EQ(http::forward_target(request, exchange.arena()), request.target);
  exchange.response().headers.add("Saw-Authority", request.authority);
  exchange.response().headers.add("Saw-Host", request.headers.get(http::FieldId::kHost));
  exchange.respond_text(200, "text/plain", request.target);
});

Answer run(RewriteOptions options, std::string target, const Regex* matched = nullptr) {
  std::string why;
  const auto filter = Rewrite::create(std::move(options), &why);
  EXPECT_TRUE(filter.has_value()) << why;
  // What the router does with the groups of the regex that matched.
  class SetCaptures final : public http::Filter {
   public:
    explicit SetCaptures(const Regex* regex) : regex_(regex) {}
    http::FilterRun* start(http::Exchange& exchange, WorkerContext&) const override {
      Captures captures;
      if (regex_ != nullptr && regex_->search(exchange.request().path, captures)) exchange.set_captures(captures);
      return nullptr;
    }
    const Regex* regex_;
  };
  const SetCaptures captures(matched);
  ExchangeHarness harness;
  return harness.run({.target = std::move(target)}, {&captures, filter->get()}, kShow);
}

TEST(Rewrite, Prefix) {
  struct Row {
    const char* matched;
    const char* text;
    const char* target;
    const char* expected;
  };
  const Row rows[] = {
      {"/prefix", "/", "/prefix/one/two", "/one/two"},
      {"/prefix", "", "/prefix/one/two", "/one/two"},
      {"/prefix/", "/", "/prefix/one", "/one"},
      {"/prefix", "/", "/prefix", "/"},
      {"/prefix", "", "/prefix", "/"},
      {"/prefix", "/", "/prefix/", "/"},
      {"/prefix", "/new", "/prefix", "/new"},
      {"/prefix", "/new/", "/prefix/a?x=1", "/new/a?x=1"},
      {"/prefix", "/new", "/prefixed/a", "/prefixed/a"},
      {"/", "/v2", "/a", "/v2/a"},
      {"", "/v2", "/", "/v2/"},
      {"/prefix", "/new", "/prefix/a%2fb%20c?", "/new/a%2fb%20c?"},
  };
  for (const Row& row : rows) {
    const Answer answer =
        run({.path = {.kind = Kind::kPrefix, .text = row.text, .matched_prefix = row.matched}}, row.target);
    EXPECT_EQ(answer.body, row.expected) << row.matched << " -> " << row.text << ": " << row.target;
  }
}

TEST(Rewrite, Full) {
  const auto full = [](std::string text, std::string target) {
    return std::string(run({.path = {.kind = Kind::kFull, .text = std::move(text)}}, std::move(target)).body);
  };
  EXPECT_EQ(full("/one", "/x/y?q=1"), "/one?q=1");
  EXPECT_EQ(full("/one?r=2", "/x?q=1"), "/one?r=2");
  EXPECT_EQ(full("/one?r=2&$args", "/x?q=1"), "/one?r=2&q=1");
  EXPECT_EQ(full("/v1$uri", "/x%20y"), "/v1/x%20y");
  EXPECT_EQ(full("one", "/x"), "/one");
  EXPECT_EQ(full("/a b", "/x"), "/a%20b");
  EXPECT_EQ(full("/$arg_to", "/x?to=1/../2"), "/2?to=1/../2");
}

TEST(Rewrite, FullWithTheGroupsOfTheRoute) {
  const Regex regex = *Regex::compile("^/something(/|$)(.*)");
  EXPECT_EQ(run({.path = {.kind = Kind::kFull, .text = "/$2"}}, "/something/new?x=1", &regex).body, "/new?x=1");
  EXPECT_EQ(run({.path = {.kind = Kind::kFull, .text = "/$2"}}, "/something", &regex).body, "/");
}

TEST(Rewrite, ByRegex) {
  const auto regex = [](std::string pattern, std::string text, std::string target) {
    return std::string(
        run({.path = {.kind = Kind::kRegex, .text = std::move(text), .pattern = std::move(pattern)}}, std::move(target))
            .body);
  };
  EXPECT_EQ(regex("^/old/(.*)", "/new/$1", "/old/a/b?q"), "/new/a/b?q");
  EXPECT_EQ(regex("^/old/(.*)", "/new/$1", "/other"), "/other");
  EXPECT_EQ(regex("b+", "X", "/abba/bb"), "/aXa/bb");
  EXPECT_EQ(regex("^/u/([0-9]+)$", "/users?id=$1", "/u/7"), "/users?id=7");
  EXPECT_EQ(regex("^", "/pre", "/a"), "/pre/a");
}

TEST(Rewrite, APathThatLeavesTheRootIsRefused) {
  const Answer answer = run({.path = {.kind = Kind::kFull, .text = "/$arg_to"}}, "/x?to=../../etc");
  EXPECT_EQ(answer.status, 400);
}

TEST(Rewrite, Host) {
  const Answer answer = run({.host = "api.internal:8080"}, "/a?b");
  EXPECT_EQ(answer.body, "/a?b");
  EXPECT_EQ(answer.header("Saw-Authority"), "api.internal:8080");
  EXPECT_EQ(answer.header("Saw-Host"), "api.internal:8080");
}

TEST(Rewrite, RefusedOptions) {
  const RewriteOptions refused[] = {
      {.path = {.kind = Kind::kRegex, .text = "/", .pattern = "("}},
      {.path = {.kind = Kind::kRegex, .text = "/$2", .pattern = "(a)"}},
      {.path = {.kind = Kind::kFull, .text = "/$nothing"}},
      {.path = {.kind = Kind::kPrefix, .text = "no-slash"}},
      {.path = {.kind = Kind::kFull, .text = "/a\r\nb"}},
      {.host = "a b"},
  };
  for (const RewriteOptions& options : refused) {
    std::string why;
    RewriteOptions copy = options;
    EXPECT_FALSE(Rewrite::create(std::move(copy), &why).has_value());
    EXPECT_FALSE(why.empty());
  }
}

}  // namespace
}  // namespace headgate::filters
