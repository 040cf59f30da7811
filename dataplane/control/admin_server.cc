#include "dataplane/control/admin_server.h"

#include "dataplane/base/log.h"
#include "dataplane/net/socket_stream.h"

namespace headgate::control {

class AdminServer::Connection final : public event::Disposable,
                                      public ListNode<>,
                                      private http1::ServerConnectionOwner {
 public:
  Connection(AdminServer& server, std::unique_ptr<net::ByteStream> stream)
      : server_(server),
        http_(new http1::ServerConnection(server.context_, std::move(stream), server.limits_, server, *this,
                                          http::Scheme::kHttp)) {}
  void start() { http_->start(); }
  void close() { http_->close_now(); }

 private:
  void on_connection_closed() override {
    unlink();
    server_.loop_.defer_delete(std::unique_ptr<event::Disposable>(this));
  }
  AdminServer& server_;
  std::unique_ptr<http1::ServerConnection> http_;
};

// An answer may come after the client has left: the run is the one who knows.
class AdminServer::AnswerRun final : public http::Run {
 public:
  explicit AnswerRun(http::Exchange& exchange) : slot_(std::make_shared<http::Exchange*>(&exchange)) {}
  ~AnswerRun() override { *slot_ = nullptr; }

  AdminDone done() {
    return [slot = slot_](const AdminAnswer& answer) {
      http::Exchange* exchange = *slot;
      if (exchange == nullptr || exchange->head_sent()) return;
      Arena& arena = exchange->arena();
      if (!answer.allow.empty()) exchange->response().headers.add("Allow", arena.copy(answer.allow));
      exchange->response().headers.add(http::FieldId::kCacheControl, "no-store");
      exchange->respond_text(static_cast<uint16_t>(answer.status), arena.copy(answer.content_type),
                             arena.copy(answer.body));
    };
  }

 private:
  std::shared_ptr<http::Exchange*> slot_;
};

AdminServer::AdminServer(event::Loop& loop, Admin& admin, Pages pages)
    : loop_(loop), admin_(admin), pages_(pages), context_{.loop = loop, .counters = counters_, .random = random_} {
  context_.date = &date_;
  limits_.body_bytes = 64 * 1024;
}

AdminServer::~AdminServer() {
  while (Connection* connection = connections_.front()) connection->close();
}

Result<void> AdminServer::start(UniqueFd fd, const SocketAddress& address) {
  address_ = address;
  acceptor_.reset(new net::Acceptor(loop_, std::move(fd), *this));
  return acceptor_->start();
}

void AdminServer::on_accepted(UniqueFd fd, const SocketAddress& remote) {
  if (connections_.size() >= kMaxConnections) return;
  ConnectionFacts facts;
  facts.remote = remote;
  facts.peer = remote;
  facts.local = address_;
  auto stream = net::SocketStream::open(loop_, std::move(fd), std::move(facts));
  if (!stream) return;
  auto* connection = new Connection(*this, std::move(*stream));
  connections_.push_back(*connection);
  connection->start();
}

void AdminServer::on_accept_error(const Error& error) {
  HG_LOG(kWarn, kAdmin, "accepting paused", {"error", to_string(error)});
}

void AdminServer::on_exchange(http::Exchange& exchange) {
  const http::RequestHead& head = exchange.request();
  AdminRequest request;
  request.method = head.method_text;
  request.path = head.path;
  request.query = head.query;
  request.host = head.authority;
  request.origin = head.headers.get(http::FieldId::kOrigin);
  request.fetch_site = head.headers.get("Sec-Fetch-Site");
  request.over_unix_socket = address_.is_unix();
  request.health_only = pages_ == Pages::kHealth;
  auto* run = exchange.arena().make<AnswerRun>(exchange);
  admin_.handle(request, run->done());
}

}  // namespace headgate::control
