#include "dataplane/upstream/probe_transport.h"

#include <gtest/gtest.h>

namespace headgate::upstream {
namespace {

using namespace std::string_view_literals;

TEST(GrpcHealth, Request) {
  EXPECT_EQ(write_health_request(""), "");
  EXPECT_EQ(write_health_request("shop.Cart"), "\x0a\x09shop.Cart");
  const std::string longer(200, 's');
  EXPECT_EQ(write_health_request(longer), "\x0a\xc8\x01" + longer);
}

TEST(GrpcHealth, Answer) {
  EXPECT_TRUE(says_serving("\x08\x01"));
  EXPECT_FALSE(says_serving(""));              // UNKNOWN
  EXPECT_FALSE(says_serving("\x08\x02"));      // NOT_SERVING
  EXPECT_FALSE(says_serving("\x08\x81\x01"));  // 129
  EXPECT_TRUE(says_serving("\x12\x03xyz\x1d____\x21________\x08\x01"));  // fields of a later version
  EXPECT_FALSE(says_serving("\x08\x01\x08\x02"));                        // the last one counts
  for (const std::string_view bad : {"\x08"sv, "\x08\x80"sv, "\x12\x05xyz"sv, "\x1d___"sv, "\x0b\x08\x01"sv,
                                     "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"sv}) {
    EXPECT_FALSE(says_serving(bad));
  }
}

}  // namespace
}  // namespace headgate::upstream
