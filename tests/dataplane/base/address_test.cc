#include "dataplane/base/address.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace headgate {
namespace {

std::string normal(std::string_view text) {
  const auto parsed = IpAddress::parse(text);
  return parsed ? parsed->to_string() : "-";
}

TEST(IpAddress, ParseAndPrint) {
  EXPECT_EQ(normal("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(normal("255.255.255.255"), "255.255.255.255");
  EXPECT_EQ(normal("2001:DB8:0:0:0:0:0:1"), "2001:db8::1");
  EXPECT_EQ(normal("::"), "::");
  EXPECT_EQ(normal("::ffff:192.0.2.1"), "192.0.2.1");  // one form for one address
  EXPECT_EQ(normal("1:2:3:4:5:6:7:8"), "1:2:3:4:5:6:7:8");
  for (const char* bad : {"", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.4/8", "0x7f.1",
                          ":::", "1::2::3", "g::", "12345::", "1:2:3:4:5:6:7:8:9", "[::1]", "fe80::1%eth0", "localhost"}) {
    EXPECT_EQ(normal(bad), "-") << bad;
  }
  EXPECT_EQ(normal(std::string_view("1.2.3.4\0", 8)), "-");
  EXPECT_EQ(normal(std::string(100, '1')), "-");
}

TEST(IpAddress, Kinds) {
  EXPECT_TRUE(IpAddress::parse("127.9.9.9")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("::1")->is_loopback());
  EXPECT_FALSE(IpAddress::parse("128.0.0.1")->is_loopback());
  EXPECT_FALSE(IpAddress::parse("1::1")->is_loopback());
  EXPECT_TRUE(IpAddress::parse("0.0.0.0")->is_any());
  EXPECT_TRUE(IpAddress().is_any());
  EXPECT_FALSE(IpAddress().is_v4());
  EXPECT_EQ(IpAddress::v4(0x01020304).to_string(), "1.2.3.4");
  EXPECT_EQ(IpAddress::parse("1.2.3.4")->v4_host_order(), 0x01020304U);
}

TEST(IpAddress, RandomRoundTrip) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 2000; ++i) {
    std::array<uint8_t, 16> bytes{};
    for (uint8_t& byte : bytes) byte = random() % 3 == 0 ? 0 : static_cast<uint8_t>(random());
    const IpAddress address = i % 2 == 0 ? IpAddress::v6(bytes) : IpAddress::v4(static_cast<uint32_t>(random()));
    EXPECT_EQ(*IpAddress::parse(address.to_string()), address) << address.to_string();
    std::array<char, 46> text{};
    EXPECT_EQ(std::string(text.data(), address.write(text.data())), address.to_string());
  }
}

TEST(SocketAddress, ParseAndPrint) {
  for (const char* text : {"192.0.2.1:80", "[2001:db8::1]:443", ":80", ":0", "127.0.0.1:0", "unix:/tmp/a b.sock", "unix:@name"}) {
    const auto address = SocketAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->to_string(), text);
  }
  EXPECT_EQ(SocketAddress::parse("unix:///tmp/x")->to_string(), "unix:/tmp/x");
  for (const char* bad : {"", "80", "1.2.3.4", "1.2.3.4:", "1.2.3.4:65536", "1.2.3.4:x", "2001:db8::1:80", "[::1]", "[::1]80",
                          "[::1", "name:80", "unix:", "1.2.3.4:-1", "1.2.3.4:80:90"}) {
    EXPECT_FALSE(SocketAddress::parse(bad)) << bad;
  }
  EXPECT_TRUE(SocketAddress::unix_path(std::string(107, 'x')));
  EXPECT_FALSE(SocketAddress::unix_path(std::string(108, 'x')));
  EXPECT_FALSE(SocketAddress::unix_path(std::string_view("a\0b", 3)));
  EXPECT_EQ(SocketAddress().to_string(), "-");
}

TEST(SocketAddress, KernelFormRoundTrip) {
  for (const char* text : {"192.0.2.1:80", "[2001:db8::1]:443", ":80", "unix:/tmp/x", "unix:@name"}) {
    const SocketAddress address = *SocketAddress::parse(text);
    sockaddr_storage storage{};
    const socklen_t length = address.fill(storage);
    EXPECT_EQ(storage.ss_family, address.domain());
    EXPECT_EQ(SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length), address) << text;
  }
  const SocketAddress scoped = SocketAddress::ip(*IpAddress::parse("fe80::1"), 1, 3);
  sockaddr_storage storage{};
  const socklen_t length = scoped.fill(storage);
  EXPECT_EQ(SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), length), scoped);
  EXPECT_EQ(SocketAddress::parse("1.2.3.4:5")->domain(), AF_INET);
  EXPECT_EQ(SocketAddress::parse(":5")->domain(), AF_INET6);
  // A family we do not know, and one cut short, are no address.
  storage.ss_family = AF_INET;
  EXPECT_EQ(SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), 2).family(), SocketAddress::Family::kNone);
}

TEST(Cidr, ContainsByBits) {
  const auto contains = [](const char* range, const char* address) {
    return Cidr::parse(range)->contains(*IpAddress::parse(address));
  };
  EXPECT_TRUE(contains("10.0.0.0/8", "10.255.0.1"));
  EXPECT_FALSE(contains("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(contains("192.0.2.128/25", "192.0.2.255"));
  EXPECT_FALSE(contains("192.0.2.128/25", "192.0.2.127"));
  EXPECT_TRUE(contains("192.0.2.7", "192.0.2.7"));
  EXPECT_FALSE(contains("192.0.2.7", "192.0.2.6"));
  EXPECT_TRUE(contains("0.0.0.0/0", "1.2.3.4"));
  EXPECT_FALSE(contains("0.0.0.0/0", "::1"));
  EXPECT_TRUE(contains("::/0", "2001:db8::"));
  EXPECT_TRUE(contains("2001:db8::/33", "2001:db8:7fff::"));
  EXPECT_FALSE(contains("2001:db8::/33", "2001:db8:8000::"));
  EXPECT_EQ(Cidr::parse("10.1.2.3/8")->to_string(), "10.0.0.0/8");
  EXPECT_EQ(Cidr::parse("2001:db8::1")->to_string(), "2001:db8::1/128");
  for (const char* bad : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/-1", "10.0.0.0/8/8", "x/8"}) {
    EXPECT_FALSE(Cidr::parse(bad)) << bad;
  }
}

TEST(Cidr, EqualsComparingBits) {
  std::mt19937_64 random(9);
  for (int i = 0; i < 20'000; ++i) {
    const auto base = static_cast<uint32_t>(random());
    const auto bits = static_cast<uint32_t>(random() % 33);
    // Often near the edge: flip one bit around the prefix length.
    const uint32_t other = random() % 2 == 0 ? base ^ (1U << (random() % 32)) : static_cast<uint32_t>(random());
    const uint32_t mask = bits == 0 ? 0 : ~uint32_t{0} << (32 - bits);
    const auto cidr = Cidr::parse(IpAddress::v4(base).to_string() + "/" + std::to_string(bits));
    ASSERT_EQ(cidr->contains(IpAddress::v4(other)), (base & mask) == (other & mask));
  }
}

TEST(CidrSet, AnyRange) {
  CidrSet set;
  EXPECT_TRUE(set.empty());
  EXPECT_FALSE(set.contains(IpAddress()));
  set.add(*Cidr::parse("10.0.0.0/8"));
  set.add(*Cidr::parse("2001:db8::/32"));
  EXPECT_TRUE(set.contains(*IpAddress::parse("2001:db8::5")));
  EXPECT_TRUE(set.contains(*IpAddress::parse("::ffff:10.0.0.1")));
  EXPECT_FALSE(set.contains(*IpAddress::parse("192.0.2.1")));
}

TEST(HostPort, Parts) {
  const auto parts = [](std::string_view text) {
    const auto parsed = parse_host_port(text, 80);
    return parsed ? std::string(parsed->host) + "|" + std::to_string(parsed->port) : "-";
  };
  EXPECT_EQ(parts("example.com"), "example.com|80");
  EXPECT_EQ(parts("example.com:8080"), "example.com|8080");
  EXPECT_EQ(parts("[::1]:443"), "::1|443");
  EXPECT_EQ(parts("[::1]"), "::1|80");
  EXPECT_EQ(parts(":1"), "|1");
  for (const char* bad : {"a:", "a:b", "a:65536", "::1", "[::1", "[::1]x", "a:1:2"}) EXPECT_EQ(parts(bad), "-") << bad;
}

}  // namespace
}  // namespace headgate
