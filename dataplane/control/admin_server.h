// admin_server.h -- the admin listener: our own HTTP server on the control thread's loop, in front of Admin.
//
// Connections, requests and limits are those of any listener, but small: it answers people and scrapers.
// Thread: control.   Owner: Supervisor.
#pragma once

#include <memory>

#include "dataplane/base/counters.h"
#include "dataplane/base/random.h"
#include "dataplane/control/admin.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/http/date.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http1/server_connection.h"
#include "dataplane/net/acceptor.h"

namespace headgate::control {

class AdminServer final : private net::AcceptObserver, private http::ExchangeSink {
 public:
  static constexpr size_t kMaxConnections = 128;

  enum class Pages : uint8_t { kAll, kHealth };
  AdminServer(event::Loop& loop, Admin& admin, Pages pages = Pages::kAll);
  ~AdminServer();
  // `fd` is bound and listening.
  Result<void> start(UniqueFd fd, const SocketAddress& address);

 private:
  class Connection;
  friend class Connection;
  class AnswerRun;

  void on_accepted(UniqueFd fd, const SocketAddress& remote) override;
  void on_accept_error(const Error& error) override;
  void on_exchange(http::Exchange& exchange) override;
  void on_exchange_end(http::Exchange&) override {}
  void on_refused(uint16_t, const Error&) override {}

  event::Loop& loop_;
  Admin& admin_;
  const Pages pages_;
  Counters counters_;
  Random random_;
  http::DateCache date_;
  WorkerContext context_;
  http::HttpLimits limits_;
  SocketAddress address_;
  std::unique_ptr<net::Acceptor> acceptor_;
  IntrusiveList<Connection> connections_;
};

}  // namespace headgate::control
