#include "dataplane/http/uri.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "dataplane/base/host_name.h"

namespace headgate::http {
namespace {

std::string normalized(std::string_view path) {
  Arena arena;
  const auto result = normalize_path(path, arena);
  return result ? std::string(*result) : "error";
}

TEST(NormalizePath, Table) {
  const std::pair<const char*, const char*> rows[] = {
      {"/", "/"},
      {"/a/b", "/a/b"},
      {"/a/./b", "/a/b"},
      {"/a/../b", "/b"},
      {"/a/b/..", "/a/"},
      {"/a/b/.", "/a/b/"},
      {"/.", "/"},
      {"/a/..", "/"},
      {"/./././", "/"},
      {"/a/b/c/../../d", "/a/d"},
      {"//", "//"},
      {"//a//b//", "//a//b//"},
      {"/a//../b", "/a/b"},
      {"/..", "error"},
      {"/../", "error"},
      {"/a/../..", "error"},
      {"/a/../../b", "error"},
      {"/...", "/..."},
      {"/a/...b/..c", "/a/...b/..c"},
      {"/.a/..b/c.", "/.a/..b/c."},
      {"/.well-known/x", "/.well-known/x"},
      {"/%41", "/A"},
      {"/%2d%2D%5f%7E", "/--_~"},
      {"/a%2fb%2F", "/a%2fb%2F"},
      {"/a%5cb\\c", "/a%5cb\\c"},
      {"/%2e", "error"},
      {"/%2e/x", "error"},
      {"/a/%2E%2e", "error"},
      {"/a/.%2e/", "error"},
      {"/a/%2e./b", "error"},
      {"/%2e%2e%2e", "/..."},
      {"/a%2eb", "/a.b"},
      {"/%252e%252e/", "/%252e%252e/"},
      {"/..;/a", "error"},
      {"/a/..;x=1", "error"},
      {"/a;x=1/b", "/a;x=1/b"},
      {"/%00", "error"},
      {"/a%0", "error"},
      {"/a%", "error"},
      {"/a%g1", "error"},
      {"/%c0%ae%c0%ae", "/%c0%ae%c0%ae"},
      {"/caf%C3%A9", "/caf%C3%A9"},
      {"", "error"},
      {"a", "error"},
      {"/a?b", "error"},
  };
  for (const auto& [path, expected] : rows) EXPECT_EQ(normalized(path), expected) << path;
  // Past one vector register, at every offset.
  for (size_t pad = 0; pad < 40; ++pad) {
    const std::string front = "/" + std::string(pad, 'x');
    EXPECT_EQ(normalized(front + "/./y"), front + "/y");
    EXPECT_EQ(normalized(front + "%41"), front + "A");
    EXPECT_EQ(normalized(front + "/../y"), "/y");
    EXPECT_EQ(normalized(front + "%00" + front), "error");
  }
}

TEST(NormalizePath, OnceIsEnough) {
  std::mt19937 random(3);
  const std::string alphabet = "/..%2eE5fa;A";
  for (int i = 0; i < 50000; ++i) {
    std::string path = "/";
    for (size_t n = random() % 24; n > 0; --n) path += alphabet[random() % alphabet.size()];
    const std::string once = normalized(path);
    if (once == "error") continue;
    EXPECT_EQ(normalized(once), once) << path;
    EXPECT_EQ(once.find("/../"), std::string::npos) << path;
    EXPECT_EQ(once.find("/./"), std::string::npos) << path;
    EXPECT_FALSE(once.ends_with("/..") || once.ends_with("/.")) << path;
    EXPECT_EQ(once.front(), '/') << path;
    EXPECT_LE(once.size(), path.size()) << path;
  }
}

TEST(ParseTarget, OriginFormSharesTheTarget) {
  Arena arena;
  RequestHead head(arena);
  head.method = Method::kGet;
  const std::string target = "/plain/path/that/is/clean.html?a=b%00";
  ASSERT_TRUE(parse_target(target, head));
  EXPECT_EQ(head.path.data(), target.data());
  EXPECT_EQ(head.query, "a=b%00");
  EXPECT_EQ(forward_target(head, arena).data(), target.data());
}

TEST(ParseTarget, ForwardsWhatItMatched) {
  Arena arena;
  const std::pair<const char*, const char*> rows[] = {
      {"/a/../b?q", "/b?q"}, {"/a/../b", "/b"}, {"/a/../b?", "/b?"}, {"/%41?%41", "/A?%41"}, {"/a?x/../y", "/a?x/../y"}};
  for (const auto& [target, forwarded] : rows) {
    RequestHead head(arena);
    head.method = Method::kGet;
    ASSERT_TRUE(parse_target(target, head)) << target;
    EXPECT_EQ(forward_target(head, arena), forwarded);
  }
}

TEST(ParseHost, Table) {
  Arena arena;
  const auto host = [&](std::string_view authority) {
    const auto result = parse_host(authority, arena);
    return result ? std::string(*result) : "error";
  };
  EXPECT_EQ(host("example.com"), "example.com");
  EXPECT_EQ(host("Example.COM:8080"), "example.com");
  EXPECT_EQ(host("example.com."), "example.com");
  EXPECT_EQ(host("example.com.:80"), "example.com");
  EXPECT_EQ(host("example.com:"), "example.com");
  EXPECT_EQ(host("192.0.2.1:80"), "192.0.2.1");
  EXPECT_EQ(host("[2001:DB8::1]:443"), "[2001:db8::1]");
  for (const char* bad : {"", ":80", "a:0", "a:x", "a:65536", "a:-1", "a b", "a,b", "a@b", "[::1", "[::1]x", "[fe80::1%eth0]",
                          "a..b", ".", "b\xc3\xbc", "a%41", "a/b", "a?b", "[1.2.3.4]", "a:80:80"}) {
    EXPECT_EQ(host(bad), "error") << bad;
  }
  EXPECT_EQ(host(std::string(256, 'a')), "error");
  EXPECT_EQ(port_of_authority("a:8080"), 8080);
  EXPECT_EQ(port_of_authority("[::1]:81"), 81);
  EXPECT_EQ(port_of_authority("[::1]"), 0);
  EXPECT_EQ(port_of_authority("a"), 0);
}

// The fast way for plain hosts must agree with the way for all of them.
TEST(ParseHost, FastWayAgreesWithTheRules) {
  std::mt19937 random(5);
  const std::string alphabet = "aab0-..:_A8[]";
  Arena arena;
  for (int i = 0; i < 100000; ++i) {
    std::string authority;
    for (size_t n = random() % 40; n > 0; --n) authority += alphabet[random() % alphabet.size()];
    const auto host = parse_host(authority, arena);
    const auto expected = host_of_authority(authority);
    const size_t colon = authority.rfind(':');
    const bool zero_port = expected && colon != std::string::npos && expected->size() + 1 < authority.size() &&
                           authority.find_first_not_of('0', colon + 1) == std::string::npos;
    ASSERT_EQ(host.has_value(), expected.has_value() && !zero_port) << authority;
    if (host) {
      ASSERT_EQ(*host, normalize_host(*expected)) << authority;
    }
  }
}

TEST(DecodePath, Table) {
  Arena arena;
  const auto decoded = [&](std::string_view path) {
    const auto result = decode_path(path, arena);
    return result ? std::string(*result) : "error";
  };
  EXPECT_EQ(decoded("/a b"), "/a b");
  EXPECT_EQ(decoded("/a%20b%C3%A9"), "/a b\xc3\xa9");
  EXPECT_EQ(decoded("/%252f"), "/%2f") << "once";
  EXPECT_EQ(decoded("/%2f"), "error");
  EXPECT_EQ(decoded("/%00"), "error");
  EXPECT_EQ(decoded("/%"), "error");
  EXPECT_EQ(decoded("/%1"), "error");
  EXPECT_EQ(encode_path("/a b\r\n\"\xc3", "/", arena), "/a%20b%0D%0A%22%C3");
  EXPECT_EQ(encode_path("/a", "/", arena), "/a");
}

}  // namespace
}  // namespace headgate::http
