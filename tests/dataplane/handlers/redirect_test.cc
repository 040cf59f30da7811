#include "dataplane/handlers/redirect.h"

#include <gtest/gtest.h>

#include "tests/support/exchange_harness.h"

namespace headgate::handlers {
namespace {

using test::Answer;
using test::ExchangeHarness;

TEST(Redirect, FillsTheLocation) {
  ExchangeHarness harness;
  const auto handler = *Redirect::create({.status = 301, .location = "https://$host$request_uri"});
  const Answer answer = harness.run({.target = "/a%20b?c=d"}, {}, *handler);
  EXPECT_EQ(answer.status, 301);
  EXPECT_EQ(answer.header("Location"), "https://example.com/a%20b?c=d");
  EXPECT_EQ(answer.body, "Moved Permanently");
}

TEST(Redirect, NothingSentNamesAnotherHostOrEndsALine) {
  ExchangeHarness harness;
  const auto handler = *Redirect::create({.location = "$uri"});
  EXPECT_EQ(harness.run({.target = "//evil.example/%0d%0aX:y"}, {}, *handler).header("Location"),
            "/evil.example/%0d%0aX:y");
  EXPECT_EQ(harness.run({.target = "/\\evil.example"}, {}, *handler).header("Location"), "/%5Cevil.example");
}

TEST(Redirect, RefusedOptions) {
  const RedirectOptions refused[] = {{.status = 200, .location = "/"},
                                     {.status = 304, .location = "/"},
                                     {.status = 309, .location = "/"},
                                     {.location = ""},
                                     {.location = "/$nothing"}};
  for (const RedirectOptions& options : refused) {
    std::string why;
    EXPECT_FALSE(Redirect::create(options, &why).has_value());
    EXPECT_FALSE(why.empty());
  }
}

}  // namespace
}  // namespace headgate::handlers
