#include "dataplane/control/parent_channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace headgate::control {
namespace {

constexpr size_t kHeaderSize = 8;

#ifndef MSG_CMSG_CLOEXEC
#define MSG_CMSG_CLOEXEC 0
#endif

int remaining_ms(MonotonicTime until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - system_clock().now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
}

// Takes the descriptors out of a received message; more than one is closed.
UniqueFd take_descriptor(msghdr& header) {
  UniqueFd first;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int raw = -1;
      std::memcpy(&raw, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
      UniqueFd fd(raw);
      if (!first.valid()) first = std::move(fd);
    }
  }
  if (first.valid()) ::fcntl(first.get(), F_SETFD, FD_CLOEXEC);
  return first;
}

}  // namespace

Result<std::pair<UniqueFd, UniqueFd>> ParentChannel::make_pair() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) return system_error("socketpair");
  return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

Result<void> ParentChannel::send(MessageType type, uint32_t id, std::string_view payload, int fd) {
  if (!fd_.valid()) return Error{.code = Errc::kClosed, .detail = "channel"};
  if (payload.size() > kMaxMessage - kHeaderSize) return Error{.code = Errc::kTooLarge, .detail = "message"};
  std::array<uint8_t, kHeaderSize> head{};
  ByteWriter writer(head);
  writer.u8(kChannelVersion);
  writer.u8(static_cast<uint8_t>(type));
  writer.u16(0);
  writer.u32(id);
  std::array<iovec, 2> parts{};
  parts[0] = {head.data(), head.size()};
  parts[1] = {const_cast<char*>(payload.data()), payload.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = parts.data();
  header.msg_iovlen = parts.size();
  if (fd >= 0) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(part), &fd, sizeof(int));
  }
  for (;;) {
    if (::sendmsg(fd_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return {};
    if (errno == EINTR) continue;
    Error error = system_error("send to the other process");
    if (errno == EAGAIN || errno == EWOULDBLOCK) error.code = Errc::kOverloaded;
    return error;
  }
}

Result<void> ParentChannel::send_waiting(MessageType type, uint32_t id, std::string_view payload, int fd,
                                         Duration limit) {
  const MonotonicTime until = system_clock().now() + limit;
  for (;;) {
    auto sent = send(type, id, payload, fd);
    if (sent || sent.error().code != Errc::kOverloaded) return sent;
    pollfd entry{.fd = fd_.get(), .events = POLLOUT, .revents = 0};
    if (::poll(&entry, 1, remaining_ms(until)) == 0) return Error{.code = Errc::kTimeout, .detail = "channel"};
  }
}

ReceiveOutcome ParentChannel::receive(Message& into, Duration limit) {
  const MonotonicTime until = system_clock().now() + limit;
  std::array<char, kMaxMessage> bytes;
  for (;;) {
    if (!fd_.valid()) return ReceiveOutcome::kClosed;
    iovec part{bytes.data(), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(4 * sizeof(int))> control{};
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t count = ::recvmsg(fd_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (limit <= Duration(0)) return ReceiveOutcome::kNothing;
      pollfd entry{.fd = fd_.get(), .events = POLLIN, .revents = 0};
      const int wait = remaining_ms(until);
      if (::poll(&entry, 1, wait) == 0 || wait == 0) return ReceiveOutcome::kNothing;
      continue;
    }
    if (count <= 0) return ReceiveOutcome::kClosed;
    into.fd = take_descriptor(header);
    ByteReader reader(as_bytes({bytes.data(), static_cast<size_t>(count)}));
    const uint8_t version = reader.u8();
    into.type = static_cast<MessageType>(reader.u8());
    reader.u16();
    into.id = reader.u32();
    if (!reader.ok() || version != kChannelVersion || (header.msg_flags & MSG_TRUNC) != 0) {
      return ReceiveOutcome::kClosed;
    }
    into.payload = std::string(bytes.data() + kHeaderSize, static_cast<size_t>(count) - kHeaderSize);
    return ReceiveOutcome::kMessage;
  }
}

PayloadWriter& PayloadWriter::u8(uint8_t value) {
  bytes_ += static_cast<char>(value);
  return *this;
}
PayloadWriter& PayloadWriter::u16(uint16_t value) { return u8(static_cast<uint8_t>(value >> 8)).u8(value & 0xff); }
PayloadWriter& PayloadWriter::u32(uint32_t value) {
  return u16(static_cast<uint16_t>(value >> 16)).u16(value & 0xffff);
}
PayloadWriter& PayloadWriter::u64(uint64_t value) {
  return u32(static_cast<uint32_t>(value >> 32)).u32(static_cast<uint32_t>(value));
}
PayloadWriter& PayloadWriter::text(std::string_view value) {
  value = value.substr(0, 0xffff);
  u16(static_cast<uint16_t>(value.size()));
  bytes_.append(value);
  return *this;
}
PayloadWriter& PayloadWriter::address(const SocketAddress& value) {
  sockaddr_storage storage{};
  const socklen_t length = value.fill(storage);
  return text({reinterpret_cast<const char*>(&storage), length});
}
PayloadWriter& PayloadWriter::key(const SocketKey& value) {
  text(value.listener).u8(static_cast<uint8_t>(value.transport)).u16(static_cast<uint16_t>(value.worker));
  return address(value.address);
}
PayloadWriter& PayloadWriter::options(const ListenOptions& value) {
  u32(static_cast<uint32_t>(value.bind.backlog)).u8(value.bind.reuse_port ? 1 : 0).u32(value.bind.unix_mode);
  return u32(static_cast<uint32_t>(value.bind.receive_buffer)).u8(value.make_directory ? 1 : 0);
}

uint64_t PayloadReader::u64() {
  const uint64_t high = u32();
  return (high << 32) | u32();
}
std::string PayloadReader::text() {
  const Bytes bytes = reader_.take(reader_.u16());
  return std::string(as_text(bytes));
}
SocketAddress PayloadReader::address() {
  const std::string bytes = text();
  sockaddr_storage storage{};
  if (bytes.size() < sizeof(sa_family_t) || bytes.size() > sizeof(storage)) {
    reader_.fail();
    return {};
  }
  std::memcpy(&storage, bytes.data(), bytes.size());
  SocketAddress value =
      SocketAddress::from_sockaddr(reinterpret_cast<sockaddr*>(&storage), static_cast<socklen_t>(bytes.size()));
  // A path longer than the kernel's structure would not fit where it is used.
  const bool known = value.is_ip() || (value.is_unix() && !value.path().empty() &&
                                       value.path().size() < sizeof(sockaddr_un::sun_path));
  if (!known) reader_.fail();
  return value;
}
SocketKey PayloadReader::key() {
  SocketKey value;
  value.listener = text();
  const uint8_t transport = u8();
  value.worker = u16();
  value.address = address();
  if (value.listener.size() > 255 || transport > 1 || value.worker > 1023) reader_.fail();
  value.transport = transport == 0 ? net::Transport::kStream : net::Transport::kDatagram;
  return value;
}
ListenOptions PayloadReader::options() {
  ListenOptions value;
  const uint32_t backlog = u32();
  value.bind.reuse_port = u8() != 0;
  value.bind.unix_mode = u32();
  const uint32_t receive_buffer = u32();
  value.make_directory = u8() != 0;
  if (backlog == 0 || backlog > 1'000'000 || value.bind.unix_mode > 0777 || receive_buffer > (1U << 30)) {
    reader_.fail();
  }
  value.bind.backlog = static_cast<int>(backlog);
  value.bind.receive_buffer = static_cast<int>(receive_buffer);
  return value;
}

}  // namespace headgate::control
