#include "dataplane/net/datagram_link.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "dataplane/net/datagram_batch.h"
#include "dataplane/net/socket.h"

namespace headgate::net {
namespace {

constexpr size_t kLinkTurnDatagrams = 64;
constexpr size_t kLinkBatch = 8;

// A socket without a name cannot be answered. Linux gives it an abstract one; elsewhere it is a file beside the target.
Result<void> bind_unix(int fd, const SocketAddress& target, std::string& made) {
#ifdef __linux__
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  (void)target;
  (void)made;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&name), sizeof(sa_family_t)) != 0) return system_error("bind");
  return {};
#else
  made = target.path() + "." + std::to_string(::getpid()) + "." + std::to_string(fd);
  auto address = SocketAddress::unix_path(made);
  if (!address) return address.error();
  sockaddr_storage storage{};
  const socklen_t length = address->fill(storage);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&storage), length) != 0) return system_error("bind");
  return {};
#endif
}

}  // namespace

DatagramLink::DatagramLink(WorkerContext& worker, DatagramLinkObserver& observer)
    : worker_(worker),
      observer_(observer),
      more_(worker.loop, event::Timer::call<&DatagramLink::on_more>, this),
      failed_(worker.loop, event::Timer::call<&DatagramLink::on_failed>, this) {}

DatagramLink::~DatagramLink() { close(); }

Result<void> DatagramLink::open(const SocketAddress& target, uint8_t hops) {
  fd_.reset(::socket(target.domain(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_.valid()) return system_error("socket");
  if (target.is_unix()) HG_TRY(bind_unix(fd_.get(), target, unix_name_));
  sockaddr_storage storage{};
  const socklen_t length = target.fill(storage);
  if (::connect(fd_.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0) {
    const Error error = system_error("connect");
    close();
    return error;
  }
  if (auto local = net::local_address(fd_.get())) local_ = *local;
  if (target.is_ip()) {
    const int on = 1;
    ::setsockopt(fd_.get(), SOL_UDP, UDP_GRO, &on, sizeof(on));
    segments_ = true;
    if (hops > 0) {
      const int limit = hops;
      const bool v6 = target.domain() == AF_INET6;
      ::setsockopt(fd_.get(), v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_UNICAST_HOPS : IP_TTL, &limit, sizeof(limit));
    }
  }
  return watch_.start(worker_.loop, fd_.get(), *this);
}

void DatagramLink::close() {
  more_.cancel();
  failed_.cancel();
  watch_.stop_before_close();
  fd_.reset();
  if (!unix_name_.empty()) ::unlink(unix_name_.c_str());
  unix_name_.clear();
}

void DatagramLink::on_fd_ready(uint8_t ready) {
  if ((ready & (event::kReadable | event::kFailed)) != 0) receive();
}

void DatagramLink::on_failed() {
  const Error error = error_;
  close();
  observer_.on_link_failed(error);
}

bool DatagramLink::note_send_error() {
  switch (errno) {
    case EINTR: return true;
    case ECONNREFUSED:  // of an earlier datagram; also a Unix socket that nobody reads any more
    case ENOTCONN:
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
      error_ = system_error("send").from(Origin::kUpstream);
      failed_.schedule();
      return false;
    default: return false;
  }
}

bool DatagramLink::send(std::string_view payload) {
  if (!fd_.valid()) return false;
  for (;;) {
    if (::send(fd_.get(), payload.data(), payload.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
    if (!note_send_error()) return false;
  }
}

size_t DatagramLink::send_run(std::span<const std::span<char>> payloads) {
  size_t sent = 0;
  for (size_t at = 0; at < payloads.size() && fd_.valid();) {
    size_t count = 1;
    size_t bytes = payloads[at].size();
    if (segments_ && bytes > 0 && bytes <= kMaxSegmentSize) {
      while (at + count < payloads.size() && count < kMaxSegments) {
        const size_t next = payloads[at + count].size();
        if (next == 0 || next > payloads[at].size() || bytes + next > kMaxSegmentedBytes) break;
        bytes += next;
        ++count;
        if (next < payloads[at].size()) break;
      }
    }
    if (count > 1 && segment(payloads.subspan(at, count))) {
      sent += count;
      at += count;
      continue;
    }
    if (send({payloads[at].data(), payloads[at].size()})) ++sent;
    ++at;
  }
  return sent;
}

bool DatagramLink::segment(std::span<const std::span<char>> payloads) {
  std::array<iovec, kMaxSegments> pieces;
  for (size_t i = 0; i < payloads.size(); ++i) pieces[i] = {payloads[i].data(), payloads[i].size()};
  DatagramControl control;
  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = payloads.size();
  message.msg_control = control.bytes.data();
  message.msg_controllen = add_control(control, 0, SOL_UDP, UDP_SEGMENT, static_cast<uint16_t>(payloads[0].size()));
  for (;;) {
    if (::sendmsg(fd_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) return true;
    if (errno == EINVAL || errno == EIO || errno == EMSGSIZE || errno == ENOPROTOOPT) segments_ = false;
    if (errno != EINTR) return false;  // one by one: that tells what is wrong
  }
}

void DatagramLink::receive() {
  ReceiveBatch& batch = receive_scratch();
  for (size_t taken = 0; taken < kLinkTurnDatagrams && fd_.valid(); taken += kLinkBatch) {
    batch.prepare(kLinkBatch, false, local_.is_ip());
    int received = 0;
    do {
      received = ::recvmmsg(fd_.get(), batch.messages.data(), kLinkBatch, MSG_DONTWAIT, nullptr);
    } while (received < 0 && errno == EINTR);
    if (received <= 0) {
      if (received == 0 || errno == EAGAIN) return;
      error_ = system_error("receive").from(Origin::kUpstream);
      on_failed();
      return;
    }
    for (size_t i = 0; i < static_cast<size_t>(received) && fd_.valid(); ++i) {
      msghdr& message = batch.messages[i].msg_hdr;
      const size_t size = batch.messages[i].msg_len;
      size_t segment = size;
      for (cmsghdr* part = message.msg_controllen > 0 ? CMSG_FIRSTHDR(&message) : nullptr; part != nullptr;
           part = CMSG_NXTHDR(&message, part)) {
        int value = 0;
        if (part->cmsg_level != SOL_UDP || part->cmsg_type != UDP_GRO) continue;
        std::memcpy(&value, CMSG_DATA(part), sizeof(value));
        if (value > 0) segment = std::min(size, static_cast<size_t>(value));
      }
      char* const bytes = static_cast<char*>(batch.pieces[i].iov_base);
      size_t at = 0;
      do {
        const size_t length = std::min(segment, size - at);
        observer_.on_link_datagram({bytes + at, length});
        at += length;
      } while (at < size && fd_.valid());
    }
    if (static_cast<size_t>(received) < kLinkBatch) return;
  }
  if (fd_.valid()) more_.schedule();
}

}  // namespace headgate::net
