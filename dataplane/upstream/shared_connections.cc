#include "dataplane/upstream/shared_connections.h"

#include "dataplane/base/counters.h"

namespace headgate::upstream {

void SharedConnections::close_now() {
  // Each reports to us and unlinks.
  while (http2::ClientConnection* connection = connections_.front()) connection->give_up();
  while (http2::ClientConnection* connection = leaving_.front()) connection->give_up();
}

void SharedConnections::add(std::unique_ptr<net::ByteStream> stream) {
  const http2::ClientConnection::Life life{.idle = settings_.idle,
                                           .max_age = settings_.max_age,
                                           .max_requests = settings_.requests_per_connection,
                                           .send_timeout = settings_.send_timeout};
  auto* const connection = new http2::ClientConnection(worker_, std::move(stream), limits_, life, *this);
  ++open_;
  connections_.push_back(*connection);
  connection->start();
}

http::ClientStream* SharedConnections::open_stream() {
  // open() may close the connection it is asked of, and that one only: then the list is begun again.
  for (http2::ClientConnection* asked = nullptr;;) {
    http2::ClientConnection* next = nullptr;
    connections_.for_each([&](http2::ClientConnection& connection) {
      if (connection.leaving()) {
        leaving_.push_back(connection);
      } else if (next == nullptr && &connection != asked && connection.has_room()) {
        next = &connection;
      }
    });
    if (next == nullptr) return nullptr;
    if (http2::ClientStream* stream = next->open()) return stream;
    asked = next;
  }
}

bool SharedConnections::has_room() {
  bool room = false;
  connections_.for_each([&](http2::ClientConnection& connection) { room = room || connection.has_room(); });
  return room;
}

void SharedConnections::retire() {
  connections_.for_each([this](http2::ClientConnection& connection) {
    leaving_.push_back(connection);
    connection.drain();
  });
}

size_t SharedConnections::usable() {
  size_t count = 0;
  connections_.for_each([&](http2::ClientConnection& connection) { count += connection.leaving() ? 0 : 1; });
  return count;
}

size_t SharedConnections::unsettled() {
  size_t count = 0;
  connections_.for_each([&](http2::ClientConnection& connection) { count += connection.settled() ? 0 : 1; });
  return count;
}

size_t SharedConnections::idle() {
  size_t count = 0;
  connections_.for_each([&](http2::ClientConnection& connection) { count += connection.streams() == 0 ? 1 : 0; });
  return count;
}

bool SharedConnections::close_idle() {
  http2::ClientConnection* idle = nullptr;
  connections_.for_each([&](http2::ClientConnection& connection) {
    if (connection.streams() == 0) idle = &connection;
  });
  if (idle == nullptr) return false;
  idle->close_now();
  return true;
}

void SharedConnections::on_room(http2::ClientConnection&) {
  owner_.on_shared_room();
}

void SharedConnections::on_connection_closed(http2::ClientConnection& connection) {
  connection.unlink();
  --open_;
  worker_.loop.defer_delete(std::unique_ptr<event::Disposable>(&connection));
  owner_.on_shared_closed();
}

}  // namespace headgate::upstream
