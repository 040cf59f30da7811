#include "dataplane/tls/client_hello.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>

#include "dataplane/tls/openssl_ptr.h"

namespace headgate::tls {
namespace {

// What OpenSSL's client sends first.
std::string openssl_hello(const char* name, const std::string& alpn, int max_version = TLS1_3_VERSION) {
  const OpensslPtr<ssl_ctx_st> ctx(SSL_CTX_new(TLS_client_method()));
  SSL_CTX_set_max_proto_version(ctx.get(), max_version);
  const OpensslPtr<ssl_st> ssl(SSL_new(ctx.get()));
  if (name != nullptr) SSL_set_tlsext_host_name(ssl.get(), name);
  if (!alpn.empty()) SSL_set_alpn_protos(ssl.get(), as_bytes(alpn).data(), static_cast<unsigned int>(alpn.size()));
  BIO* in = BIO_new(BIO_s_mem());
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), in, out);
  SSL_connect(ssl.get());
  char* text = nullptr;
  const long size = BIO_get_mem_data(out, &text);
  return {text, static_cast<size_t>(size)};
}

std::string u16(size_t value) { return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)}; }
std::string record(const std::string& payload) { return "\x16\x03\x01" + u16(payload.size()) + payload; }
std::string message(const std::string& body, char type = 1) {
  return std::string(1, type) + '\0' + u16(body.size()) + body;
}
std::string extension(size_t type, const std::string& body) { return u16(type) + u16(body.size()) + body; }
std::string name_list(const std::string& name) {
  return u16(name.size() + 3) + '\0' + u16(name.size()) + name;
}
std::string hello_body(const std::string& extensions) {
  return "\x03\x03" + std::string(32, 'r') + '\0' + u16(2) + "\x13\x01" + std::string("\x01\x00", 2) +
         u16(extensions.size()) + extensions;
}

struct Outcome {
  ClientHelloState state;
  ClientHello hello;
};
// Whole, split at every byte, and byte by byte: always the same.
Outcome parse(const std::string& bytes) {
  ClientHelloParser whole;
  const auto state = whole.advance(as_bytes(bytes));
  for (size_t split = 0; split <= bytes.size(); ++split) {
    ClientHelloParser parser;
    auto reached = parser.advance(as_bytes(bytes).first(split));
    if (reached == ClientHelloState::kNeedMore) reached = parser.advance(as_bytes(bytes));
    EXPECT_EQ(reached, state) << split;
    EXPECT_EQ(parser.hello().server_name, whole.hello().server_name);
  }
  ClientHelloParser slow;
  auto reached = ClientHelloState::kNeedMore;
  for (size_t size = 0; size <= bytes.size() && reached == ClientHelloState::kNeedMore; ++size) {
    reached = slow.advance(as_bytes(bytes).first(size));
  }
  EXPECT_EQ(reached, state);
  return {state, whole.hello()};
}
ClientHelloState state_of(const std::string& bytes) { return parse(bytes).state; }

TEST(ClientHello, FromOpenssl) {
  const auto outcome = parse(openssl_hello("Shop.Example.COM", "\x02h2\x08http/1.1"));
  ASSERT_EQ(outcome.state, ClientHelloState::kParsed);
  EXPECT_EQ(outcome.hello.server_name, "shop.example.com");
  EXPECT_EQ(outcome.hello.protocols, (std::vector<std::string>{"h2", "http/1.1"}));
  EXPECT_EQ(outcome.hello.max_version, 0x0304);
  const auto old = parse(openssl_hello(nullptr, "", TLS1_2_VERSION));
  ASSERT_EQ(old.state, ClientHelloState::kParsed);
  EXPECT_EQ(old.hello.server_name, "");
  EXPECT_TRUE(old.hello.protocols.empty());
  EXPECT_EQ(old.hello.max_version, 0x0303);
}

TEST(ClientHello, FragmentedOverRecords) {
  const std::string hello = openssl_hello("a.example.com", "\x02h2").substr(5);
  for (const size_t piece : {1, 2, 3, 5, 100}) {
    std::string bytes;
    for (size_t at = 0; at < hello.size(); at += piece) bytes += record(hello.substr(at, piece));
    const auto outcome = parse(bytes);
    ASSERT_EQ(outcome.state, ClientHelloState::kParsed) << piece;
    EXPECT_EQ(outcome.hello.server_name, "a.example.com");
  }
}

TEST(ClientHello, WhatFollowsDoesNotMatter) {
  EXPECT_EQ(state_of(openssl_hello("a.example.com", "") + "anything"), ClientHelloState::kParsed);
  EXPECT_EQ(state_of(record(message(hello_body("")) + "more")), ClientHelloState::kParsed);
}

TEST(ClientHello, NamesThatAreNone) {
  const auto name_of = [](const std::string& name) {
    const auto outcome = parse(record(message(hello_body(extension(0, name_list(name))))));
    return outcome.state == ClientHelloState::kParsed ? outcome.hello.server_name : "malformed";
  };
  EXPECT_EQ(name_of("a.example.com"), "a.example.com");
  EXPECT_EQ(name_of("a.example.com."), "a.example.com");
  EXPECT_EQ(name_of("192.0.2.1"), "");
  EXPECT_EQ(name_of("::1"), "");
  EXPECT_EQ(name_of("a b"), "");
  EXPECT_EQ(name_of(std::string("a.example.com\0.evil.test", 24)), "malformed");
  EXPECT_EQ(name_of(""), "malformed");
}

TEST(ClientHello, Malformed) {
  const std::string good = name_list("a.example.com");
  const auto with = [](const std::string& extensions) { return state_of(record(message(hello_body(extensions)))); };
  EXPECT_EQ(with(extension(0, good)), ClientHelloState::kParsed);
  EXPECT_EQ(with(extension(0, good) + extension(0, good)), ClientHelloState::kMalformed);  // two of one type
  const std::string two = u16(8) + '\0' + u16(1) + "a" + '\0' + u16(1) + "b";
  EXPECT_EQ(with(extension(0, two)), ClientHelloState::kMalformed);
  EXPECT_EQ(with(extension(0, good + "x")), ClientHelloState::kMalformed);
  EXPECT_EQ(with(extension(0, good.substr(0, 6))), ClientHelloState::kMalformed);
  EXPECT_EQ(with(extension(0, "")), ClientHelloState::kMalformed);
  EXPECT_EQ(with(extension(16, "")), ClientHelloState::kMalformed);
  EXPECT_EQ(with(extension(16, u16(1) + '\0')), ClientHelloState::kMalformed);
  EXPECT_EQ(with(extension(16, u16(3) + "\x05h2")), ClientHelloState::kMalformed);
  EXPECT_EQ(with(extension(43, "\x03\x03\x04\x03")), ClientHelloState::kMalformed);
  EXPECT_EQ(with(extension(1, "abc").substr(0, 5)), ClientHelloState::kMalformed);
  EXPECT_EQ(with(extension(0x0a0a, "")), ClientHelloState::kParsed);  // RFC 8701
  EXPECT_EQ(state_of(record(message(hello_body(""), 2))), ClientHelloState::kMalformed);
  EXPECT_EQ(state_of(record("")), ClientHelloState::kMalformed);
  EXPECT_EQ(state_of(record("a") ), ClientHelloState::kMalformed);
  EXPECT_EQ(state_of(std::string("\x16\x03\x01\x40\x01", 5)), ClientHelloState::kMalformed);
  // An alert in the middle of the message.
  const std::string whole = message(hello_body(""));
  EXPECT_EQ(state_of(record(whole.substr(0, 10)) + std::string("\x15\x03\x01\x00\x02\x01\x00", 7)),
            ClientHelloState::kMalformed);
}

TEST(ClientHello, NotTls) {
  for (const std::string& bytes : {std::string("GET / HTTP/1.1\r\n"), std::string("SSH-2.0-x\r\n"),
                                   std::string("\0\0", 2),
                                   std::string("\x16\x02\x00\x00\x05", 5), std::string("\x80\x2e\x01\x03\x01", 5)}) {
    EXPECT_EQ(state_of(bytes), ClientHelloState::kNotTls) << bytes;
  }
  EXPECT_EQ(state_of("G"), ClientHelloState::kNotTls);  // told by the first byte
  EXPECT_EQ(state_of(""), ClientHelloState::kNeedMore);
  EXPECT_EQ(state_of("\x16"), ClientHelloState::kNeedMore);
}

TEST(ClientHello, LimitIsSixteenKilobytes) {
  const std::string padding = extension(21, std::string(15'000, '\0'));
  const std::string large = message(hello_body(padding + extension(0, name_list("a.b"))));
  EXPECT_EQ(parse(record(large)).hello.server_name, "a.b");
  ClientHelloParser parser;
  const std::string promise = std::string("\x01\x00\x40\x01", 4);  // 16,385 bytes to come
  EXPECT_EQ(parser.advance(as_bytes(record(promise))), ClientHelloState::kMalformed);
  // Tiny records: the headers count too.
  std::string endless;
  const std::string body = message(hello_body(extension(21, std::string(15'000, '\0'))));
  for (const char c : body) endless += record(std::string(1, c));
  ClientHelloParser bounded;
  EXPECT_EQ(bounded.advance(as_bytes(endless)), ClientHelloState::kMalformed);
}

}  // namespace
}  // namespace headgate::tls
