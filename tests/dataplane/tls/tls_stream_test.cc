#include "dataplane/tls/tls_stream.h"

#include <gtest/gtest.h>

#include "dataplane/base/buffer.h"
#include "tests/dataplane/tls/tls_party.h"

namespace headgate::tls {
namespace {

using net::Interest;
using net::IoState;

class TlsStreamTest : public TlsTest {
 protected:
  ServerSettings settings() const {
    ServerSettings made;
    made.listener = "web";
    return made;
  }
  const std::shared_ptr<const Certificate> site_ = issue({"DNS:a.example.com"});
  const std::shared_ptr<ServerContext> context_ = server_context(settings(), table({site_}));
  const ClientTarget target_{"127.0.0.1:443", "a.example.com"};
};

TEST_F(TlsStreamTest, BothVersionsWithPlainOpenssl) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Party server;
    server.to_send = "hello from the server";
    std::string got;
    const PlainClient wanted{.server_name = "A.example.com", .alpn = {}, .max_version = version};
    const auto result = run_plain(server, context_, wanted, [&](SSL* ssl) {
                                    char text[100];
                                    const int size = SSL_read(ssl, text, sizeof(text));
                                    if (size > 0) got.assign(text, static_cast<size_t>(size));
                                    SSL_write(ssl, "hello from the client", 21);
                                  });
    EXPECT_TRUE(result.connected) << result.error;
    EXPECT_EQ(got, "hello from the server");
    EXPECT_EQ(server.received, "hello from the client");
    EXPECT_TRUE(server.eof);
    EXPECT_FALSE(server.facts().truncated);
    EXPECT_EQ(server.facts().server_name, "a.example.com");
    EXPECT_EQ(server.facts().version, version == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2");
    EXPECT_EQ(server.facts().cipher,
              version == TLS1_3_VERSION ? "TLS_AES_128_GCM_SHA256" : "ECDHE-ECDSA-AES128-GCM-SHA256");
    EXPECT_FALSE(server.facts().client_certificate);
  }
}

TEST_F(TlsStreamTest, OldVersionsAndCiphersAreRefused) {
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION}) {
    Party server;
    const auto result =
        run_plain(server, context_, {.server_name = {}, .alpn = {}, .min_version = version, .max_version = version});
    EXPECT_FALSE(result.connected);
    EXPECT_TRUE(server.failed);
    EXPECT_EQ(server.error.code, Errc::kTls);
    EXPECT_EQ(server.error.origin, Origin::kDownstream);
  }
  for (const char* cipher : {"ECDHE-ECDSA-AES128-SHA", "AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-SHA384"}) {
    Party server;
    PlainClient client;
    client.max_version = TLS1_2_VERSION;
    client.ciphers = cipher;
    EXPECT_FALSE(run_plain(server, context_, client).connected) << cipher;
    EXPECT_TRUE(server.failed);
    EXPECT_STREQ(server.error.detail, "no shared cipher");
  }
}

TEST_F(TlsStreamTest, MinimumVersion) {
  auto made = settings();
  made.protocol.min_version = TlsVersion::kTls13;
  const auto strict = server_context(made, table({site_}));
  Party server;
  EXPECT_FALSE(run_plain(server, strict, {.server_name = {}, .alpn = {}, .max_version = TLS1_2_VERSION}).connected);
  Party again;
  EXPECT_TRUE(run_plain(again, strict, {}).connected);
}

TEST_F(TlsStreamTest, ApplicationProtocol) {
  auto made = settings();
  made.protocol.alpn = {"h2", "http/1.1"};
  const auto web = server_context(made, table({site_}));
  const auto chosen = [&](std::vector<std::string> offered) {
    Party server;
    PlainClient client;
    client.alpn = std::move(offered);
    const auto result = run_plain(server, web, client);
    EXPECT_EQ(result.connected, server.done);
    EXPECT_EQ(result.alpn, server.done ? server.facts().alpn : "");
    return result.connected ? result.alpn : result.error;
  };
  EXPECT_EQ(chosen({"http/1.1", "h2"}), "h2");  // our preference
  EXPECT_EQ(chosen({"http/1.1"}), "http/1.1");
  EXPECT_EQ(chosen({}), "");
  EXPECT_NE(chosen({"spdy/1"}).find("no application protocol"), std::string::npos);
}

TEST_F(TlsStreamTest, CertificateByName) {
  const auto other = issue({"DNS:*.example.org"});
  const auto rsa = issue({"DNS:rsa.example.net"}, true);
  const auto sites = server_context(settings(), table({site_, other, rsa}));
  const auto subject = [&](const std::string& name) {
    Party server;
    PlainClient client;
    client.server_name = name;
    const auto result = run_plain(server, sites, client);
    EXPECT_TRUE(result.connected) << result.error;
    return result.peer_names;
  };
  EXPECT_EQ(subject("a.example.com"), "DNS:a.example.com");
  EXPECT_EQ(subject("x.example.org"), "DNS:*.example.org");
  EXPECT_EQ(subject("rsa.example.net"), "DNS:rsa.example.net");
  EXPECT_EQ(subject("unknown.test"), "DNS:a.example.com");
  EXPECT_EQ(subject("192.0.2.1"), "DNS:a.example.com");
  EXPECT_EQ(subject(""), "DNS:a.example.com");
}

TEST_F(TlsStreamTest, BothKindsOfKeyForOneName) {
  const auto rsa = issue({"DNS:a.example.com"}, true);
  const auto both = server_context(settings(), table({rsa, site_}));
  Party server;
  PlainClient client;
  client.server_name = "a.example.com";
  client.max_version = TLS1_2_VERSION;
  EXPECT_EQ(run_plain(server, both, client).cipher, "ECDHE-ECDSA-AES128-GCM-SHA256");
  client.ciphers = "ECDHE-RSA-AES128-GCM-SHA256";
  Party again;
  EXPECT_EQ(run_plain(again, both, client).cipher, "ECDHE-RSA-AES128-GCM-SHA256");
}

TEST_F(TlsStreamTest, UnknownNameCanBeRefused) {
  auto made = settings();
  made.require_known_name = true;
  const auto strict = server_context(made, table({site_}));
  PlainClient client;
  for (const char* name : {"unknown.test", ""}) {
    client.server_name = name;
    Party server;
    const auto result = run_plain(server, strict, client);
    EXPECT_FALSE(result.connected);
    EXPECT_NE(result.error.find("unrecognized name"), std::string::npos) << result.error;
  }
  client.server_name = "a.example.com";
  Party server;
  EXPECT_TRUE(run_plain(server, strict, client).connected);
}

TEST_F(TlsStreamTest, TableSwappedBetweenHandshakes) {
  const auto live = server_context(settings(), table({site_}));
  const auto subject = [&] {
    Party server;
    PlainClient client;
    client.server_name = "a.example.com";
    const auto result = run_plain(server, live, client);
    EXPECT_TRUE(result.connected) << result.error;
    return result.peer_names + " " + server.facts().cipher;
  };
  EXPECT_EQ(subject(), "DNS:a.example.com TLS_AES_128_GCM_SHA256");
  live->set_names(table({issue({"DNS:new.example.com", "DNS:a.example.com"})}));
  EXPECT_EQ(subject(), "DNS:new.example.com TLS_AES_128_GCM_SHA256");
  // Another kind of key, and back: what the SSL_CTX held must not shine through.
  live->set_names(table({issue({"DNS:rsa.example.com", "DNS:a.example.com"}, true)}));
  EXPECT_EQ(subject(), "DNS:rsa.example.com TLS_AES_128_GCM_SHA256");
  live->set_names(table({issue({"DNS:last.example.com", "DNS:a.example.com"})}));
  EXPECT_EQ(subject(), "DNS:last.example.com TLS_AES_128_GCM_SHA256");
}

TEST_F(TlsStreamTest, TableSwappedWhileConnectionsLive) {
  const auto live = server_context(settings(), table({site_}));
  const auto clients = client_context();
  Party server;
  Party client;
  connect(server, client, live, clients, target_);
  live->set_names(table({issue({"DNS:a.example.com"})}));
  client.send("still here");
  run_until([&] { return server.received == "still here"; });
}

TEST_F(TlsStreamTest, BulkBothWaysAtOnce) {
  const std::string up = pattern(5'000'000);
  const std::string down = pattern(7'000'001);
  Party server;
  Party client;
  server.to_send = down;
  client.to_send = up;
  server.close_when_sent = client.close_when_sent = true;
  connect(server, client, context_, client_context(), target_);
  run_until([&] { return server.eof && client.eof; });
  EXPECT_TRUE(server.received == up);
  EXPECT_TRUE(client.received == down);
  EXPECT_FALSE(server.facts().truncated || client.facts().truncated);
  EXPECT_EQ(server.stream->unsent(), 0U);
}

TEST_F(TlsStreamTest, OneByteReads) {
  const std::string text = pattern(70'000);
  auto [a, b] = tcp_pair();
  Party server;
  Party client;
  server.read_size = 1;
  client.read_size = 1;
  auto slow = std::make_unique<CountingStream>(socket_stream(loop, std::move(a)));
  slow->read_limit = 1;
  server.begin(TlsStream::server(loop, std::move(slow), context_));
  client.begin(TlsStream::client(loop, socket_stream(loop, std::move(b)), client_context(), target_));
  server.to_send = client.to_send = text;
  server.close_when_sent = client.close_when_sent = true;
  run_until([&] { return server.eof && client.eof; });
  EXPECT_TRUE(server.received == text && client.received == text);
}

TEST_F(TlsStreamTest, HundredKilobytesAreOneWrite) {
  auto [a, b] = tcp_pair();
  auto counting = std::make_unique<CountingStream>(socket_stream(loop, std::move(a)));
  CountingStream& counts = *counting;
  Party server;
  Party client;
  server.begin(TlsStream::server(loop, std::move(counting), context_));
  client.begin(TlsStream::client(loop, socket_stream(loop, std::move(b)), client_context(), target_));
  run_until([&] { return server.done && client.done; });
  for (int i = 0; i < 3; ++i) loop.run_once(std::chrono::milliseconds(1));
  counts.writes = 0;
  const std::string head(200, 'h');
  const std::string body = pattern(100 * 1024);
  const std::array<iovec, 3> pieces = {net::as_iovec(head), net::as_iovec(""), net::as_iovec(body)};
  const auto result = server.stream->write(pieces);
  ASSERT_TRUE(result.has_value());
  EXPECT_EQ(result->bytes, head.size() + body.size());
  EXPECT_EQ(counts.writes, 1U);
  run_until([&] { return client.received.size() == head.size() + body.size(); });
  EXPECT_TRUE(client.received == head + body);
}

TEST_F(TlsStreamTest, WriteMoreWaitsForTheEndOfTheTurn) {
  auto [a, b] = tcp_pair();
  auto counting = std::make_unique<CountingStream>(socket_stream(loop, std::move(a)));
  CountingStream& counts = *counting;
  Party server;
  Party client;
  server.begin(TlsStream::server(loop, std::move(counting), context_));
  client.begin(TlsStream::client(loop, socket_stream(loop, std::move(b)), client_context(), target_));
  run_until([&] { return server.done && client.done; });
  for (int i = 0; i < 3; ++i) loop.run_once(std::chrono::milliseconds(1));
  counts.writes = 0;
  const iovec piece = net::as_iovec("one ");
  ASSERT_TRUE(server.stream->write_more({&piece, 1}).has_value());
  EXPECT_GT(server.stream->unsent(), 0U);
  EXPECT_EQ(counts.writes, 0U);
  const iovec second = net::as_iovec("two ");
  ASSERT_TRUE(server.stream->write({&second, 1}).has_value());
  EXPECT_EQ(counts.writes, 1U);
  ASSERT_TRUE(server.stream->write_more({&piece, 1}).has_value());
  run_until([&] { return client.received == "one two one "; });
  EXPECT_EQ(counts.writes, 2U);
}

TEST_F(TlsStreamTest, TicketSharesTheFirstWriteOrComesByItself) {
  const auto clients = client_context();
  {
    auto [a, b] = tcp_pair();
    auto counting = std::make_unique<CountingStream>(socket_stream(loop, std::move(a)));
    CountingStream& counts = *counting;
    Party server;
    Party client;
    server.to_send = "answer";
    server.begin(TlsStream::server(loop, std::move(counting), context_));
    client.begin(TlsStream::client(loop, socket_stream(loop, std::move(b)), clients, target_));
    run_until([&] { return client.received == "answer"; });
    EXPECT_EQ(counts.writes, 2U);  // the handshake's flight, then ticket and answer
    EXPECT_NE(clients->take_session(ClientContext::session_key(target_)), nullptr);
  }
  Party server;
  Party client;
  connect(server, client, context_, clients, target_);
  OpensslPtr<ssl_session_st> ticket;
  run_until([&] {
    if (ticket == nullptr) ticket = clients->take_session(ClientContext::session_key(target_));
    return ticket != nullptr;
  });
  EXPECT_EQ(server.stream->unsent(), 0U);
}

TEST_F(TlsStreamTest, IdleStreamsHoldNoBlock) {
  BlockPool::trim();
  const size_t before = BlockPool::bytes_in_use();
  Party server;
  Party client;
  connect(server, client, context_, client_context(), target_);
  server.send(pattern(300'000));
  run_until([&] { return client.received.size() == 300'000; });
  EXPECT_EQ(server.stream->unsent(), 0U);
  EXPECT_EQ(BlockPool::bytes_in_use(), before);
}

TEST_F(TlsStreamTest, BackPressureIsBounded) {
  Party server;
  Party client;
  connect(server, client, context_, client_context(), target_);
  client.reading = false;
  server.send(pattern(50'000'000));
  for (int i = 0; i < 20; ++i) loop.run_once(std::chrono::milliseconds(1));
  EXPECT_GT(server.to_send.size(), 30'000'000U);
  EXPECT_GT(server.stream->unsent(), 0U);
  EXPECT_LE(server.stream->unsent(), 160U * 1024);
  const iovec piece = net::as_iovec("more");
  EXPECT_EQ(server.stream->write({&piece, 1})->state, IoState::kWouldBlock);
  client.reading = true;
  client.stream->watch(Interest::kBoth, client);
  run_until([&] { return client.received.size() == 50'000'000; });
  EXPECT_TRUE(client.received == pattern(50'000'000));
}

TEST_F(TlsStreamTest, HalfCloseLeavesTheOtherDirectionOpen) {
  Party server;
  Party client;
  connect(server, client, context_, client_context(), target_);
  client.send("the question");
  client.stream->shutdown_write();
  run_until([&] { return server.eof; });
  EXPECT_EQ(server.received, "the question");
  server.send(pattern(200'000));
  run_until([&] { return client.received.size() == 200'000; });
  const iovec piece = net::as_iovec("x");
  EXPECT_EQ(client.stream->write({&piece, 1}).error().code, Errc::kClosed);
}

TEST_F(TlsStreamTest, EndOfFileWithoutCloseNotifyIsMarked) {
  Party server;
  run_plain(server, context_, {}, [](SSL* ssl) {
    SSL_write(ssl, "cut", 3);
    ::shutdown(SSL_get_fd(ssl), SHUT_WR);
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN);
  });
  EXPECT_EQ(server.received, "cut");
  EXPECT_TRUE(server.eof);
  EXPECT_TRUE(server.facts().truncated);
  // A client that only closes its half of TCP still gets its answer.
  Party polite;
  polite.stays_open = true;
  std::string answer;
  run_plain(polite, context_, {}, [&](SSL* ssl) {
    ::shutdown(SSL_get_fd(ssl), SHUT_WR);
    loop.mailbox().post_fn([&] { polite.send("answer"); });
    char text[100];
    const int size = SSL_read(ssl, text, sizeof(text));
    if (size > 0) answer.assign(text, static_cast<size_t>(size));
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN);
  });
  EXPECT_EQ(answer, "answer");
}

TEST_F(TlsStreamTest, GoodbyeSendsCloseNotify) {
  Party server;
  int why = 0;
  run_plain(server, context_, {}, [&](SSL* ssl) {
    loop.mailbox().post_fn([&] {
      server.stream->say_goodbye();
      server.stream.reset();
    });
    char text[10];
    const int size = SSL_read(ssl, text, sizeof(text));
    why = SSL_get_error(ssl, size);
  });
  EXPECT_EQ(why, SSL_ERROR_ZERO_RETURN);
}

TEST_F(TlsStreamTest, ClosedDuringTheHandshake) {
  auto [a, b] = tcp_pair();
  Party server;
  server.begin(TlsStream::server(loop, socket_stream(loop, std::move(a)), context_));
  b.reset();
  run_until([&] { return server.failed; });
  EXPECT_EQ(server.error.code, Errc::kClosed);
}

TEST_F(TlsStreamTest, PlainTextAndGarbageAreRefused) {
  for (const std::string& text : {std::string("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), pattern(500),
                                  std::string("\x16\x03\x01\xff\xff", 5) + std::string(100, 'x')}) {
    auto [a, b] = tcp_pair();
    Party server;
    server.begin(TlsStream::server(loop, socket_stream(loop, std::move(a)), context_));
    ASSERT_EQ(::send(b.get(), text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
    run_until([&] { return server.failed; });
    EXPECT_EQ(server.error.code, Errc::kTls);
    EXPECT_FALSE(server.stream->failure().empty());
  }
}

TEST_F(TlsStreamTest, NothingIsReadableOrWritableBeforeTheHandshake) {
  auto [a, b] = tcp_pair();
  Party server;
  server.begin(TlsStream::server(loop, socket_stream(loop, std::move(a)), context_));
  char byte = 0;
  EXPECT_EQ(server.stream->read({&byte, 1})->state, IoState::kWouldBlock);
  const iovec piece = net::as_iovec("x");
  EXPECT_EQ(server.stream->write({&piece, 1})->state, IoState::kWouldBlock);
  EXPECT_FALSE(server.stream->readable_hint());
}

TEST_F(TlsStreamTest, RequestInTheSamePacketAsFinishedIsAnnounced) {
  // The handshake ends with the request already decrypted: there is no edge from the socket any more.
  auto [a, b] = tcp_pair();
  Party server;
  Party client;
  client.to_send = "early request";
  auto held = std::make_unique<CountingStream>(socket_stream(loop, std::move(a)));
  server.begin(TlsStream::server(loop, std::move(held), context_));
  client.begin(TlsStream::client(loop, socket_stream(loop, std::move(b)), client_context(), target_));
  run_until([&] { return server.received == "early request"; }, 50);
}

TEST_F(TlsStreamTest, PartialReadIsAnnouncedAgainByWatch) {
  Party server;
  Party client;
  connect(server, client, context_, client_context(), target_);
  server.reading = false;
  client.send(pattern(40'000));
  run_until([&] { return server.stream->readable_hint(); });
  char few[10];
  ASSERT_EQ(server.stream->read(few)->bytes, 10U);
  const size_t before = server.wakeups;
  server.reading = true;
  server.received.assign(few, 10);
  server.stream->watch(Interest::kRead, server);
  run_until([&] { return server.received.size() == 40'000; }, 200);
  EXPECT_GT(server.wakeups, before);
  EXPECT_TRUE(server.received == pattern(40'000));
  server.stream->unwatch();
  client.send("unseen");
  for (int i = 0; i < 5; ++i) loop.run_once(std::chrono::milliseconds(1));
  EXPECT_EQ(server.received.size(), 40'000U);
}

TEST_F(TlsStreamTest, KeyUpdateFloodEndsTheConnection) {
  Party server;
  run_plain(server, context_, {.server_name = {}, .alpn = {}, .min_version = TLS1_3_VERSION}, [](SSL* ssl) {
    for (int i = 0; i < 10; ++i) {
      SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
      SSL_write(ssl, "a", 1);
    }
  });
  EXPECT_EQ(server.received, std::string(10, 'a'));  // a few are fine
  EXPECT_FALSE(server.broken);
  Party flooded;
  run_plain(flooded, context_, {.server_name = {}, .alpn = {}, .min_version = TLS1_3_VERSION}, [](SSL* ssl) {
    for (int i = 0; i < 500; ++i) {
      SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
      if (SSL_write(ssl, "a", 1) <= 0) break;
    }
  });
  EXPECT_TRUE(flooded.broken);
  EXPECT_STREQ(flooded.error.detail, "too many control messages");
  EXPECT_LT(flooded.received.size(), 100U);
}

TEST_F(TlsStreamTest, RenegotiationIsRefused) {
  Party server;
  bool renegotiated = true;
  run_plain(server, context_, {.server_name = {}, .alpn = {}, .max_version = TLS1_2_VERSION}, [&](SSL* ssl) {
    SSL_renegotiate(ssl);
    renegotiated = SSL_do_handshake(ssl) == 1 && SSL_renegotiate_pending(ssl) == 0;
  });
  EXPECT_FALSE(renegotiated);
}

TEST_F(TlsStreamTest, HandshakesArePacedPerTurn) {
  EXPECT_TRUE(context_->may_step(7'000'000));
  for (int i = 1; i < 16; ++i) EXPECT_TRUE(context_->may_step(7'000'000));
  EXPECT_FALSE(context_->may_step(7'000'000));
  EXPECT_TRUE(context_->may_step(7'000'001));
  // More than that at once still all succeed.
  std::vector<std::unique_ptr<Party>> parties;
  const auto clients = client_context();
  for (int i = 0; i < 40; ++i) {
    auto [a, b] = tcp_pair();
    parties.push_back(std::make_unique<Party>());
    parties.back()->begin(TlsStream::server(loop, socket_stream(loop, std::move(a)), context_));
    parties.push_back(std::make_unique<Party>());
    parties.back()->begin(TlsStream::client(loop, socket_stream(loop, std::move(b)), clients, target_));
  }
  run_until([&] { return std::all_of(parties.begin(), parties.end(), [](const auto& party) { return party->done; }); });
}

TEST_F(TlsStreamTest, SettingsThatCannotBe) {
  const auto problem = [&](const std::function<void(ServerSettings&)>& change) {
    auto made = settings();
    change(made);
    std::string text;
    EXPECT_EQ(ServerContext::make(made, table({site_}), text), nullptr);
    return text;
  };
  EXPECT_NE(problem([](auto& s) { s.protocol.ciphers = "NONSENSE"; }).find("NONSENSE"), std::string::npos);
  EXPECT_NE(problem([](auto& s) { s.protocol.groups = "P-1"; }).find("P-1"), std::string::npos);
  EXPECT_NE(problem([](auto& s) { s.protocol.alpn = {""}; }).find("ALPN"), std::string::npos);
  EXPECT_FALSE(problem([](auto& s) { s.client_certificate = ClientCertificate::kRequired; }).empty());
  EXPECT_FALSE(problem([](auto& s) {
                 s.protocol.min_version = TlsVersion::kTls13;
                 s.protocol.max_version = TlsVersion::kTls12;
               }).empty());
}

}  // namespace
}  // namespace headgate::tls
