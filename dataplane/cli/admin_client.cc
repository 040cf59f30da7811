#include "dataplane/cli/admin_client.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/base/unique_fd.h"

namespace headgate::cli {
namespace {

constexpr Error kMalformed{.code = Errc::kMalformed, .detail = "answer of the admin listener"};

class Deadline {
 public:
  explicit Deadline(Duration limit) : until_(system_clock().now() + limit) {}
  // Waits until the descriptor is ready. kTimeout when the time is over.
  Result<void> wait(int fd, short events) const {
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(until_ - system_clock().now()).count();
      if (left <= 0) return Error{.code = Errc::kTimeout, .detail = "admin listener"};
      pollfd entry{.fd = fd, .events = events, .revents = 0};
      const int ready = ::poll(&entry, 1, static_cast<int>(std::min<int64_t>(left, 60'000)));
      if (ready > 0) return {};
      if (ready < 0 && errno != EINTR) return system_error("poll");
    }
  }

 private:
  MonotonicTime until_;
};

Result<void> connect_within(int fd, const SocketAddress& address, const Deadline& deadline) {
  sockaddr_storage storage{};
  const socklen_t length = address.fill(storage);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&storage), length) == 0) return {};
  if (errno != EINPROGRESS) return system_error("connect");
  HG_TRY(deadline.wait(fd, POLLOUT));
  int error = 0;
  socklen_t size = sizeof(error);
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return system_error(error, "connect");
  return {};
}

Result<void> send_all(int fd, std::string_view text, const Deadline& deadline) {
  while (!text.empty()) {
    const ssize_t count = ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (count >= 0) {
      text.remove_prefix(static_cast<size_t>(count));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      HG_TRY(deadline.wait(fd, POLLOUT));
    } else if (errno != EINTR) {
      return system_error("send");
    }
  }
  return {};
}

Result<std::string> receive_all(int fd, const Deadline& deadline) {
  std::string bytes;
  std::array<char, 16384> piece;
  for (;;) {
    const ssize_t count = ::recv(fd, piece.data(), piece.size(), 0);
    if (count > 0) {
      bytes.append(piece.data(), static_cast<size_t>(count));
      if (bytes.size() > kMaxAdminBody) return Error{.code = Errc::kTooLarge, .detail = "answer of the admin listener"};
    } else if (count == 0) {
      return bytes;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      if (auto ready = deadline.wait(fd, POLLIN); !ready) return ready.error();
    } else if (errno != EINTR) {
      return system_error("receive");
    }
  }
}

}  // namespace

Result<AdminResponse> parse_admin_response(std::string_view bytes) {
  const size_t head_end = bytes.find("\r\n\r\n");
  if (head_end == std::string_view::npos) return kMalformed;
  std::string_view head = bytes.substr(0, head_end);
  AdminResponse response;
  response.body = std::string(bytes.substr(head_end + 4));
  // "HTTP/1.1 200 OK"
  const size_t line_end = std::min(head.find("\r\n"), head.size());
  const std::string_view line = head.substr(0, line_end);
  if (!line.starts_with("HTTP/1.") || line.size() < 12 || line[8] != ' ') return kMalformed;
  const auto status = parse_decimal<uint16_t>(line.substr(9, 3));
  if (!status || *status < 100) return kMalformed;
  response.status = *status;
  head.remove_prefix(line_end);
  for (std::string_view field : split(head, '\n')) {
    if (field.ends_with('\r')) field.remove_suffix(1);
    const size_t colon = field.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = field.substr(0, colon);
    if (equals_ignore_case(name, "transfer-encoding")) return kMalformed;
    if (!equals_ignore_case(name, "content-length")) continue;
    const auto length = parse_decimal(trim(field.substr(colon + 1)));
    // Less than announced: the process died while it answered.
    if (!length || *length > response.body.size()) return Error{.code = Errc::kClosed, .detail = "admin listener"};
    response.body.resize(*length);
  }
  return response;
}

Result<AdminResponse> ask_admin(const SocketAddress& address, std::string_view method, std::string_view path,
                                Duration limit) {
  const Deadline deadline(limit);
  const UniqueFd fd(::socket(address.domain(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return system_error("socket");
  if (auto connected = connect_within(fd.get(), address, deadline); !connected) return connected.error();
  std::string request(method);
  request.append(" ").append(path).append(" HTTP/1.0\r\nHost: localhost\r\n");
  if (method != "GET") request.append("Content-Length: 0\r\n");
  request.append("\r\n");
  if (auto sent = send_all(fd.get(), request, deadline); !sent) return sent.error();
  const auto bytes = receive_all(fd.get(), deadline);
  if (!bytes) return bytes.error();
  return parse_admin_response(*bytes);
}

}  // namespace headgate::cli
