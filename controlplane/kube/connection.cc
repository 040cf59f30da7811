#include "controlplane/kube/connection.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace headgate::kube {
namespace {

constexpr int kKeepAliveSeconds = 30;  // idle, then between probes; three of them

void set_option(int socket, int level, int name, int value) {
  ::setsockopt(socket, level, name, &value, sizeof(value));
}

}  // namespace

Connection::Connection(std::unique_ptr<httplib::ClientImpl> client, MonotonicTime made)
    : client_(std::move(client)), made_(made) {
  client_->set_keep_alive(true);
  client_->set_tcp_nodelay(true);
  client_->set_follow_location(false);
  client_->set_url_encode(false);
  client_->set_decompress(false);
  client_->set_connection_timeout(5);
  client_->set_write_timeout(30);
  client_->set_socket_options([this](int socket) { on_socket(socket); });
}

// Called before the connect, for each address that is tried.
void Connection::on_socket(int socket) {
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveSeconds);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveSeconds);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, 3);
  const std::lock_guard lock(mutex_);
  socket_.reset(::fcntl(socket, F_DUPFD_CLOEXEC, 0));
  // Shut down before the connect, nothing can be read or written after it.
  if (aborted_) ::shutdown(socket, SHUT_RDWR);
}

void Connection::abort() {
  const std::lock_guard lock(mutex_);
  aborted_ = true;
  if (socket_.valid()) ::shutdown(socket_.get(), SHUT_RDWR);
}

void Connection::expire() {
  timed_out_ = true;
  abort();
}

}  // namespace headgate::kube
