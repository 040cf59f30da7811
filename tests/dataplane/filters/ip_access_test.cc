#include "dataplane/filters/ip_access.h"

#include <gtest/gtest.h>

#include "tests/support/exchange_harness.h"

namespace headgate::filters {
namespace {

using test::ExchangeHarness;
using test::kHello;

TEST(IpAccess, Table) {
  struct Row {
    std::vector<const char*> allow;
    std::vector<const char*> deny;
    const char* client;
    uint16_t status;
  };
  const Row rows[] = {
      {{}, {}, "192.0.2.1:1", 200},
      {{"192.0.2.0/24"}, {}, "192.0.2.1:1", 200},
      {{"192.0.2.0/24"}, {}, "192.0.3.1:1", 403},
      {{"192.0.2.0/24"}, {"192.0.2.1"}, "192.0.2.1:1", 403},
      {{"192.0.2.0/24"}, {"192.0.2.1"}, "192.0.2.2:1", 200},
      {{}, {"192.0.2.0/25"}, "192.0.2.127:1", 403},
      {{}, {"192.0.2.0/25"}, "192.0.2.128:1", 200},
      {{"2001:db8::/32"}, {}, "[2001:db8::1]:1", 200},
      {{"2001:db8::/32"}, {}, "192.0.2.1:1", 403},
  };
  for (const Row& row : rows) {
    IpAccessOptions options;
    for (const char* text : row.allow) options.allow.add(*Cidr::parse(text));
    for (const char* text : row.deny) options.deny.add(*Cidr::parse(text));
    const AccessFilter filter(AccessFilter::Need::kAll, {std::make_shared<const IpAccess>(std::move(options))});
    ExchangeHarness harness;
    EXPECT_EQ(harness.run({.remote = row.client}, {&filter}, kHello).status, row.status) << row.client;
  }
}

}  // namespace
}  // namespace headgate::filters
