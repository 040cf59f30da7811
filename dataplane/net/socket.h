// socket.h -- non-blocking sockets: create, options, bind, listen, connect.
// Thread: any.   Errors: kSystem and its refinements (address.h says what an address is).
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/base/address.h"
#include "dataplane/base/result.h"
#include "dataplane/base/unique_fd.h"

namespace headgate::net {

enum class Transport : uint8_t { kStream, kDatagram };

struct BindOptions {
  Transport transport = Transport::kStream;
  int backlog = 4096;
  bool reuse_port = true;        // one socket per worker; ignored for Unix sockets
  uint32_t unix_mode = 0;        // permissions of a new Unix socket; 0: as the umask says
  int receive_buffer = 0;        // bytes; 0: the system's default
};

// Bound and, for streams, listening. A stale Unix socket file (nobody answers) is replaced, a live one is kExists:
// binding goes to a temporary name that is renamed into place, so that there is never a moment without a socket.
// Accepted connections inherit TCP_NODELAY from here.
Result<UniqueFd> bind_socket(const SocketAddress& address, const BindOptions& options);

// Starts to connect. Non-blocking: completion shows as writability, the outcome in connect_result().
Result<UniqueFd> start_connect(const SocketAddress& address, const SocketAddress* bind_to = nullptr);
Result<void> connect_result(int fd);

// The address that the socket is bound to (tells the port after binding port 0).
Result<SocketAddress> local_address(int fd);
Result<SocketAddress> peer_address(int fd);

void set_no_delay(int fd);
void set_keepalive(int fd);  // 60 s idle, 10 s apart, 6 probes
// close(2) sends RST.
void set_reset_on_close(int fd);

}  // namespace headgate::net
