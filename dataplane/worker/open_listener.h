// open_listener.h -- one listener on one worker: its socket, its Sessions, and what they share.
//
// Survives Snapshot swaps: update() names the new settings; connections that are open keep the settings they began with,
// their next requests take the new routes.
// Thread: worker.   Owner: Worker.
#pragma once

#include <memory>
#include <vector>

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
  static constexpr Duration kLeftOver = std::chrono::seconds(1);

  OpenListener(WorkerContext& worker, Overload& overload, std::shared_ptr<const snapshot::Listener> settings,
               UniqueFd fd, SnapshotRef& pin);
  ~OpenListener() override;

  // Begins to accept. Errors: kTls when the TLS settings do not work, kSystem.
  Result<void> start();
  Result<void> update(std::shared_ptr<const snapshot::Listener> settings, SnapshotRef& pin);
  void set_ticket_keys(const std::shared_ptr<const tls::TicketKeys>& keys);

  // False: connections stay in the kernel's queue. Datagrams are taken all the same.
  void set_accepting(bool accepting);
  // One more socket of this listener, to which no new connections are sent: what is queued there is accepted, and what
  // still comes within kLeftOver; then it is closed.
  void take_over(UniqueFd fd);
  // Takes what the kernel has queued, closes the socket, and lets Sessions finish until `deadline`.
  void drain(MonotonicTime deadline);
  // The deadline has come.
  void close_all();
  // Neither Sessions nor flows of datagrams are left, or their time is over.
  [[nodiscard]] bool empty() const {
    return sessions_.empty() && (closed_ || datagram_run_ == nullptr || datagram_run_->empty());
  }
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
  void close_left_over();
  Result<void> make_tls();

  WorkerContext& worker_;
  std::shared_ptr<const snapshot::Listener> settings_;
  Dispatch dispatch_;
  std::shared_ptr<tls::ServerContext> tls_;
  std::shared_ptr<const tls::TicketKeys> ticket_keys_;
  UniqueFd unopened_;  // until start()
  std::unique_ptr<net::Acceptor> acceptor_;
  std::vector<std::unique_ptr<net::Acceptor>> left_over_;
  event::Timer left_over_until_;
  std::unique_ptr<net::DatagramSocket> datagrams_;
  std::unique_ptr<net::DatagramRun> datagram_run_;
  IntrusiveList<Session> sessions_;
  MonotonicTime drain_deadline_{};
  bool draining_ = false;
  bool closed_ = false;
};

}  // namespace headgate::worker
