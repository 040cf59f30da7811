// open_listener.h -- one listener on one worker: its socket, its Sessions, and what they share.
//
// Survives Snapshot swaps: update() names the new settings; connections that are open keep the settings they began with,
// their next requests take the new routes.
// Thread: worker.   Owner: Worker.
#pragma once

#include <memory>

#include "dataplane/event/worker_context.h"
#include "dataplane/net/acceptor.h"
#include "dataplane/net/datagram_socket.h"
#include "dataplane/snapshot/snapshot.h"
#include "dataplane/tls/context.h"
#include "dataplane/worker/dispatch.h"
#include "dataplane/worker/session.h"

namespace headgate::worker {

class OpenListener final : public event::Disposable, private net::AcceptObserver {
 public:
  OpenListener(WorkerContext& worker, std::shared_ptr<const snapshot::Listener> settings, UniqueFd fd, SnapshotRef& pin);
  ~OpenListener() override;

  // Begins to accept. Errors: kTls when the TLS settings do not work, kSystem.
  Result<void> start();
  Result<void> update(std::shared_ptr<const snapshot::Listener> settings, SnapshotRef& pin);
  void set_ticket_keys(const std::shared_ptr<const tls::TicketKeys>& keys);

  // Takes what the kernel has queued, closes the socket, and lets Sessions finish until `deadline`.
  void drain(MonotonicTime deadline);
  // The deadline has come.
  void close_all();
  [[nodiscard]] bool empty() const { return sessions_.empty(); }
  [[nodiscard]] const snapshot::Listener& settings() const { return *settings_; }

  // -- for Sessions
  [[nodiscard]] WorkerContext& worker() const { return worker_; }
  [[nodiscard]] Dispatch& dispatch() { return dispatch_; }
  [[nodiscard]] tls::ServerContext* tls() const { return tls_.get(); }
  [[nodiscard]] const std::shared_ptr<tls::ServerContext>& shared_tls() const { return tls_; }
  void on_session_closed(Session& session);

 private:
  void on_accepted(UniqueFd fd, const SocketAddress& remote) override;
  void on_accept_error(const Error& error) override;
  Result<void> make_tls();

  WorkerContext& worker_;
  std::shared_ptr<const snapshot::Listener> settings_;
  Dispatch dispatch_;
  std::shared_ptr<tls::ServerContext> tls_;
  std::shared_ptr<const tls::TicketKeys> ticket_keys_;
  UniqueFd unopened_;  // until start()
  std::unique_ptr<net::Acceptor> acceptor_;
  std::unique_ptr<net::DatagramSocket> datagrams_;
  std::unique_ptr<net::DatagramRun> datagram_run_;
  IntrusiveList<Session> sessions_;
  MonotonicTime drain_deadline_{};
  bool draining_ = false;
};

}  // namespace headgate::worker
