// dns_exchange.h -- one question to the configured DNS servers: UDP with time-outs and other servers, TCP when the
// answer does not fit.
//
// Every try has a socket and an id of its own, both unpredictable, and a connected socket takes answers of that server
// only: what is forged must guess port, id and question. Answers to something else are ignored, not fatal.
//   kUdp -> done | kTcpConnect (TC) -> kTcp -> done; a time-out, an error or a useless answer begins the next try
// Spec: RFC 1035 4.2, RFC 5452, RFC 7766.   Thread: that of the Loop.   Owner: Resolver; destroying it withdraws it.
#pragma once

#include <memory>
#include <vector>

#include "dataplane/dns/message.h"
#include "dataplane/net/connector.h"
#include "dataplane/upstream/resolver_files.h"

namespace headgate::upstream {

class DnsExchangeObserver {
 public:
  // Exactly one of the two, never from inside start(). May not destroy the DnsExchange.
  // An answer with rcode NOERROR or NXDOMAIN.
  virtual void on_dns_answer(const dns::Message& answer) = 0;
  virtual void on_dns_failure(const Error& error) = 0;

 protected:
  ~DnsExchangeObserver() = default;
};

class DnsExchange final : private event::FdObserver, public net::ConnectObserver, private net::StreamObserver {
 public:
  // `conf` is copied.
  DnsExchange(event::Loop& loop, const ResolvConf& conf, dns::Question question, DnsExchangeObserver& observer);
  ~DnsExchange();
  DnsExchange(const DnsExchange&) = delete;
  DnsExchange& operator=(const DnsExchange&) = delete;
  void start() { step_.schedule(); }

 private:
  enum class State : uint8_t { kIdle, kUdp, kTcpConnect, kTcp, kDone };

  void on_fd_ready(uint8_t ready) override;
  void on_connected(std::unique_ptr<net::ByteStream> stream) override;
  void on_connect_failed(const Error& error) override;
  void on_stream_ready(bool readable, bool writable) override;
  void on_timeout();

  void try_next();   // the deferred step: opens the next try, or gives up
  void fail_try(const Error& error);
  bool open_udp();
  void open_tcp();
  void write_tcp();
  void read_tcp();
  void take_answer(Bytes bytes, bool over_tcp);
  void close_try();
  void done();
  [[nodiscard]] const SocketAddress& server() const { return conf_.servers[(tries_ - 1) % conf_.servers.size()]; }

  event::Loop& loop_;
  const ResolvConf conf_;
  const dns::Question question_;
  DnsExchangeObserver& observer_;
  State state_ = State::kIdle;
  uint32_t tries_ = 0;
  uint16_t id_ = 0;
  bool edns_ = true;  // off after a server did not understand it
  Error last_error_{.code = Errc::kTimeout, .detail = "DNS"};
  event::DeferredCall step_;
  event::Timer timeout_;
  std::vector<uint8_t> query_;
  UniqueFd socket_;
  event::FdWatch watch_;
  std::unique_ptr<net::Connector> connector_;
  std::unique_ptr<net::ByteStream> stream_;
  std::vector<uint8_t> received_;  // over TCP, the two length bytes included
  size_t written_ = 0;
};

}  // namespace headgate::upstream
