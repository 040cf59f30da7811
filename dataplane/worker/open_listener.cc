#include "dataplane/worker/open_listener.h"

#include "dataplane/base/counters.h"
#include "dataplane/base/log.h"
#include "dataplane/net/socket_stream.h"

namespace headgate::worker {

OpenListener::OpenListener(WorkerContext& worker, Overload& overload,
                           std::shared_ptr<const snapshot::Listener> settings, UniqueFd fd, SnapshotRef& pin)
    : worker_(worker),
      settings_(std::move(settings)),
      dispatch_(worker, overload),
      unopened_(std::move(fd)),
      left_over_until_(worker.loop.timers(), event::Timer::call<&OpenListener::close_left_over>, this) {
  dispatch_.use(settings_, pin);
}

OpenListener::~OpenListener() { close_all(); }

Result<void> OpenListener::start() {
  if (settings_->tls != nullptr) HG_TRY(make_tls());
  if (settings_->kind == snapshot::Listener::Kind::kDatagram) {
    datagrams_ = std::make_unique<net::DatagramSocket>(worker_, std::move(unopened_));
    datagram_run_ = settings_->datagram_handler->start(*datagrams_, worker_);
    return datagrams_->start(*datagram_run_);
  }
  acceptor_.reset(new net::Acceptor(worker_.loop, std::move(unopened_), *this));
  return acceptor_->start();
}

Result<void> OpenListener::make_tls() {
  std::string problem;
  auto context = tls::ServerContext::make(settings_->tls->settings, settings_->tls->names, problem);
  if (context == nullptr) {
    HG_LOG(kError, kTls, "listener has no usable TLS settings", {"listener", settings_->name}, {"error", problem});
    return Error{.code = Errc::kTls, .detail = "TLS settings of a listener"};
  }
  if (ticket_keys_ != nullptr) context->set_ticket_keys(ticket_keys_);
  tls_ = std::move(context);
  return {};
}

Result<void> OpenListener::update(std::shared_ptr<const snapshot::Listener> settings, SnapshotRef& pin) {
  const std::shared_ptr<const snapshot::Listener> before = std::exchange(settings_, std::move(settings));
  dispatch_.use(settings_, pin);
  if (settings_->kind == snapshot::Listener::Kind::kDatagram) {
    if (settings_->datagram_handler != before->datagram_handler) {
      datagram_run_ = settings_->datagram_handler->start(*datagrams_, worker_);
      datagrams_->set_run(*datagram_run_);
    }
    return {};
  }
  if (settings_->tls == before->tls) return {};
  if (settings_->tls == nullptr) {
    tls_.reset();
    return {};
  }
  if (tls_ != nullptr && before->tls != nullptr && before->tls->fingerprint == settings_->tls->fingerprint) {
    tls_->set_names(settings_->tls->names);  // a rotated certificate costs no new SSL_CTX
    return {};
  }
  return make_tls();
}

void OpenListener::set_ticket_keys(const std::shared_ptr<const tls::TicketKeys>& keys) {
  ticket_keys_ = keys;
  if (tls_ != nullptr) tls_->set_ticket_keys(keys);
}

void OpenListener::on_accepted(UniqueFd fd, const SocketAddress& remote) {
  worker_.counters.add(Counter::kConnectionsAccepted);
  ConnectionPermit permit;
  const snapshot::Listener& settings = *settings_;
  // Behind a PROXY header the real client is not known yet: only the total counts here.
  const Admission admission = settings.connection_counts->acquire(
      remote.address(),
      {.total = settings.connections.total,
       .per_address = settings.proxy_protocol || !remote.is_ip() ? 0 : settings.connections.per_address},
      permit);
  if (admission != Admission::kAdmitted) {
    worker_.counters.add(admission == Admission::kTotalReached ? Counter::kConnectionsRefusedLimit
                                                               : Counter::kConnectionsRefusedPerIp);
    net::set_reset_on_close(fd.get());
    HG_LOG(kInfo, kNet, "connection refused", {"listener", settings.name}, {"client", remote.to_string()},
           {"limit", admission == Admission::kTotalReached ? "connections" : "connections per address"});
    return;
  }
  ConnectionFacts facts;
  facts.remote = remote;
  facts.peer = remote;
  facts.local = settings.address;
  if (settings.exact_local) {
    if (auto local = net::local_address(fd.get())) facts.local = *local;
  }
  auto stream = net::SocketStream::open(worker_.loop, std::move(fd), std::move(facts));
  if (!stream) {
    worker_.counters.add(Counter::kAcceptErrors);
    return;
  }
  auto* session = new Session(*this, settings_, std::move(permit));
  sessions_.push_back(*session);
  session->start(std::move(*stream));
  if (draining_) session->drain(drain_deadline_);
}

void OpenListener::set_accepting(bool accepting) {
  if (acceptor_ == nullptr) return;
  if (accepting) {
    acceptor_->resume();
  } else {
    acceptor_->pause();
  }
}

void OpenListener::take_over(UniqueFd fd) {
  auto acceptor = std::unique_ptr<net::Acceptor>(new net::Acceptor(worker_.loop, std::move(fd), *this));
  if (!acceptor->start()) return;
  left_over_.push_back(std::move(acceptor));
  left_over_until_.arm(kLeftOver);
}

void OpenListener::close_left_over() {
  for (auto& acceptor : left_over_) acceptor->accept_rest_and_close();
  left_over_.clear();
}

void OpenListener::on_accept_error(const Error& error) {
  worker_.counters.add(Counter::kAcceptErrors);
  HG_LOG(kError, kNet, "accepting paused", {"listener", settings_->name}, {"error", to_string(error)});
}

void OpenListener::on_session_closed(Session& session) {
  session.unlink();
  worker_.loop.defer_delete(std::unique_ptr<event::Disposable>(&session));
}

void OpenListener::drain(MonotonicTime deadline) {
  draining_ = true;
  drain_deadline_ = deadline;
  sessions_.for_each([deadline](Session& session) { session.drain(deadline); });
  if (acceptor_ != nullptr) acceptor_->accept_rest_and_close();
  close_left_over();
  if (datagram_run_ != nullptr) datagram_run_->drain(deadline);
}

void OpenListener::close_all() {
  closed_ = true;
  while (Session* session = sessions_.front()) session->close();
}

}  // namespace headgate::worker
