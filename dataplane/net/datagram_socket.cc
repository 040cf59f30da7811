#include "dataplane/net/datagram_socket.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "dataplane/base/counters.h"
#include "dataplane/net/datagram_batch.h"
#include "dataplane/net/socket.h"

namespace headgate::net {
namespace {

struct SendBatch {
  std::array<mmsghdr, DatagramSocket::kBatch> messages{};
  std::array<iovec, DatagramSocket::kBatch> pieces{};
  std::array<DatagramControl, DatagramSocket::kBatch> controls{};
  std::array<uint16_t, DatagramSocket::kBatch> segments{};
};

SendBatch& send_scratch() {
  thread_local const std::unique_ptr<SendBatch> batch = std::make_unique<SendBatch>();
  return *batch;
}

// Reads where the datagram came to, its hops and, when it is a run of several, the size of each.
void read_control(msghdr& message, DatagramLocal& local, uint8_t& hops, size_t& segment) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_PKTINFO) {
      in_pktinfo where{};
      std::memcpy(&where, CMSG_DATA(part), sizeof(where));
      local.address = IpAddress::v4(ntohl(where.ipi_addr.s_addr));
    } else if (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo where{};
      std::memcpy(&where, CMSG_DATA(part), sizeof(where));
      std::array<uint8_t, 16> bytes{};
      std::memcpy(bytes.data(), &where.ipi6_addr, bytes.size());
      local.address = IpAddress::v6(bytes);
      if (IN6_IS_ADDR_LINKLOCAL(&where.ipi6_addr)) local.interface = where.ipi6_ifindex;
    } else if (part->cmsg_level == SOL_UDP && part->cmsg_type == UDP_GRO) {
      int size = 0;
      std::memcpy(&size, CMSG_DATA(part), sizeof(size));
      if (size > 0) segment = static_cast<size_t>(size);
    } else if ((part->cmsg_level == IPPROTO_IP && part->cmsg_type == IP_TTL) ||
               (part->cmsg_level == IPPROTO_IPV6 && part->cmsg_type == IPV6_HOPLIMIT)) {
      int left = 0;
      std::memcpy(&left, CMSG_DATA(part), sizeof(left));
      hops = static_cast<uint8_t>(left);
    }
  }
}

size_t write_local(DatagramControl& bytes, const DatagramLocal& local, const DatagramAddress& peer) {
  if (peer.raw()->sa_family == AF_INET) {
    in_pktinfo from{};
    from.ipi_spec_dst.s_addr = htonl(local.address.v4_host_order());
    return add_control(bytes, 0, IPPROTO_IP, IP_PKTINFO, from);
  }
  in6_pktinfo from{};
  std::memcpy(&from.ipi6_addr, local.address.bytes().data(), 16);
  from.ipi6_ifindex = local.interface;
  return add_control(bytes, 0, IPPROTO_IPV6, IPV6_PKTINFO, from);
}

}  // namespace

DatagramAddress::DatagramAddress(const SocketAddress& address) {
  sockaddr_storage storage{};
  length_ = std::min<socklen_t>(address.fill(storage), kCapacity);
  std::memcpy(&address_, &storage, length_);
}

uint16_t DatagramAddress::port() const {
  if (address_.any.sa_family == AF_INET) return ntohs(address_.v4.sin_port);
  return address_.any.sa_family == AF_INET6 ? ntohs(address_.v6.sin6_port) : uint16_t{0};
}

IpAddress DatagramAddress::ip() const {
  if (address_.any.sa_family == AF_INET) return IpAddress::v4(ntohl(address_.v4.sin_addr.s_addr));
  if (address_.any.sa_family != AF_INET6) return {};
  std::array<uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &address_.v6.sin6_addr, bytes.size());
  return IpAddress::v6(bytes);
}

DatagramSocket::DatagramSocket(WorkerContext& worker, UniqueFd fd)
    : worker_(worker),
      fd_(std::move(fd)),
      flush_later_(worker.loop, event::Timer::call<&DatagramSocket::on_flush>, this),
      more_(worker.loop, event::Timer::call<&DatagramSocket::on_more>, this) {
  if (auto local = net::local_address(fd_.get())) local_ = *local;
  queue_.reserve(kQueueMessages);
}

DatagramSocket::~DatagramSocket() { watch_.stop_before_close(); }

Result<void> DatagramSocket::start(DatagramRun& run) {
  run_ = &run;
  if (local_.is_ip()) {
    if (local_.address().is_any()) {
      wants_local_ = true;
      const int on = 1;
      const bool v6 = local_.domain() == AF_INET6;
      if (::setsockopt(fd_.get(), v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_RECVPKTINFO : IP_PKTINFO, &on,
                       sizeof(on)) != 0) {
        return system_error("asking for the destination address of datagrams");
      }
    }
    segments_ = probe_segments(fd_.get());
  }
  return watch_.start(worker_.loop, fd_.get(), *this);
}

void DatagramSocket::stop_receiving() {
  receiving_ = false;
  more_.cancel();
}

void DatagramSocket::enable_receive_offload() {
  const int on = 1;
  if (local_.is_ip()) ::setsockopt(fd_.get(), SOL_UDP, UDP_GRO, &on, sizeof(on));
}

void DatagramSocket::report_hops() {
  const int on = 1;
  if (!local_.is_ip()) return;
  ::setsockopt(fd_.get(), IPPROTO_IP, IP_RECVTTL, &on, sizeof(on));
  if (local_.domain() == AF_INET6) ::setsockopt(fd_.get(), IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof(on));
}

void DatagramSocket::on_fd_ready(uint8_t ready) {
  if ((ready & event::kWritable) != 0 && !writable_) {
    writable_ = true;
    if (queued() > 0) flush_later_.schedule();
  }
  if ((ready & (event::kReadable | event::kFailed)) != 0) receive();
}

void DatagramSocket::receive() {
  for (size_t taken = 0; receiving_ && taken < kTurnBudget;) {
    const size_t count = receive_batch();
    if (count == 0) return;
    taken += count;
    if (count < kBatch) return;  // drained: the next one makes an edge
  }
  if (receiving_) more_.schedule();
}

size_t DatagramSocket::receive_batch() {
  ReceiveBatch& batch = receive_scratch();
  batch.prepare(kBatch, true, local_.is_ip());
  int received = 0;
  do {
    received = ::recvmmsg(fd_.get(), batch.messages.data(), kBatch, MSG_DONTWAIT, nullptr);
  } while (received < 0 && errno == EINTR);
  if (received <= 0) {
    // The answer to something that we sent (ICMP): reading it clears it, and nothing else is wrong.
    const bool again = received < 0 && (errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH);
    return again ? kBatch : 0;
  }

  size_t count = 0;
  const auto deliver = [&] {
    run_->on_datagrams({batch.datagrams.data(), count});
    count = 0;
  };
  for (size_t i = 0; i < static_cast<size_t>(received); ++i) {
    msghdr& message = batch.messages[i].msg_hdr;
    if ((message.msg_flags & MSG_TRUNC) != 0) {  // cannot be: a slot holds the largest
      worker_.counters.add(Counter::kDatagramsDropped);
      continue;
    }
    batch.peers[i].set_length(message.msg_namelen);
    DatagramLocal local;
    const size_t size = batch.messages[i].msg_len;
    size_t segment = 0;
    uint8_t hops = 0;
    if (message.msg_controllen > 0) read_control(message, local, hops, segment);
    if (segment == 0 || segment > size) segment = size;
    char* const bytes = static_cast<char*>(batch.pieces[i].iov_base);
    size_t at = 0;
    do {
      if (count == batch.datagrams.size()) deliver();
      const size_t part = std::min(segment, size - at);
      batch.datagrams[count++] = {.payload = {bytes + at, part}, .peer = batch.peers[i], .local = local, .hops = hops};
      at += part;
    } while (at < size);
  }
  if (count > 0) deliver();
  return static_cast<size_t>(received);
}

std::span<char> DatagramSocket::reserve(size_t size) {
  if (queue_.size() == kQueueMessages || queue_used_ + size > kQueueBytes) {
    flush();
    if (queue_.size() == kQueueMessages || queue_used_ + size > kQueueBytes) {
      drop(1);
      return {};
    }
  }
  if (!queue_bytes_) queue_bytes_ = BlockRef(Block::allocate(kQueueBytes));
  return {queue_bytes_->data() + queue_used_, size};
}

bool DatagramSocket::commit(const DatagramAddress& peer, const DatagramLocal& local, size_t size) {
  if (!peer.can_be_answered()) {
    drop(1);
    return false;
  }
  queue_.push_back({.peer = peer,
                    .local = local,
                    .offset = static_cast<uint32_t>(queue_used_),
                    .size = static_cast<uint32_t>(size)});
  queue_used_ += size;
  if (writable_ && !flush_later_.scheduled()) flush_later_.schedule();
  return true;
}

bool DatagramSocket::send(const DatagramAddress& peer, const DatagramLocal& local, std::string_view payload) {
  if (payload.size() > kMaxPayload) {
    drop(1);
    return false;
  }
  const std::span<char> into = reserve(payload.size());
  if (into.size() < payload.size() || into.data() == nullptr) return false;
  if (!payload.empty()) std::memcpy(into.data(), payload.data(), payload.size());
  return commit(peer, local, payload.size());
}

void DatagramSocket::flush() {
  flush_later_.cancel();
  while (writable_ && queued() > 0) {
    const size_t sent = send_batch();
    queue_head_ += sent;
    if (sent == 0) break;
  }
  if (queued() == 0) clear_queue();
}

void DatagramSocket::clear_queue() {
  queue_.clear();
  queue_head_ = 0;
  queue_used_ = 0;
  queue_bytes_.reset();
}

void DatagramSocket::drop(size_t count) { worker_.counters.add(Counter::kDatagramsDropped, count); }

// How many queued datagrams from `index` on may leave as one segmented send: same ends, same size, the last one shorter
// at most.
size_t DatagramSocket::segments_at(size_t index) const {
  const Queued& first = queue_[index];
  if (!segments_ || first.size == 0 || first.size > kMaxSegmentSize) return 1;
  size_t bytes = first.size;
  size_t count = 1;
  while (index + count < queue_.size() && count < kMaxSegments) {
    const Queued& next = queue_[index + count];
    if (next.size == 0 || next.size > first.size || bytes + next.size > kMaxSegmentedBytes || next.peer != first.peer ||
        next.local != first.local || next.offset != first.offset + bytes) {
      break;
    }
    bytes += next.size;
    ++count;
    if (next.size < first.size) break;
  }
  return count;
}

// Sends what fits one call and returns how many datagrams are done with, dropped ones included; 0: the socket is full.
size_t DatagramSocket::send_batch() {
  SendBatch& batch = send_scratch();
  size_t messages = 0;
  for (size_t at = queue_head_; at < queue_.size() && messages < kBatch; ++messages) {
    Queued& first = queue_[at];
    const size_t segments = segments_at(at);
    size_t bytes = 0;
    for (size_t i = 0; i < segments; ++i) bytes += queue_[at + i].size;
    batch.pieces[messages] = {queue_bytes_->data() + first.offset, bytes};
    msghdr& message = batch.messages[messages].msg_hdr;
    message = {};
    message.msg_name = first.peer.raw();
    message.msg_namelen = first.peer.length();
    message.msg_iov = &batch.pieces[messages];
    message.msg_iovlen = 1;
    DatagramControl& control = batch.controls[messages];
    size_t used = 0;
    if (wants_local_ && !first.local.address.is_any()) used = write_local(control, first.local, first.peer);
    if (segments > 1) used = add_control(control, used, SOL_UDP, UDP_SEGMENT, static_cast<uint16_t>(first.size));
    message.msg_control = used > 0 ? control.bytes.data() : nullptr;
    message.msg_controllen = used;
    batch.segments[messages] = static_cast<uint16_t>(segments);
    at += segments;
  }
  int sent = 0;
  do {
    sent = messages == 1 ? static_cast<int>(::sendmsg(fd_.get(), &batch.messages[0].msg_hdr, MSG_DONTWAIT | MSG_NOSIGNAL))
                         : ::sendmmsg(fd_.get(), batch.messages.data(), static_cast<unsigned>(messages),
                                      MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) {
    size_t done = 0;
    for (size_t i = 0; i < (messages == 1 ? 1 : static_cast<size_t>(sent)); ++i) done += batch.segments[i];
    return done;
  }
  // A full queue of a Unix peer is not ours to wait for: nothing tells when it has room, and others wait behind it.
  if ((errno == EAGAIN || errno == ENOBUFS) && !local_.is_unix()) {
    writable_ = false;
    return 0;
  }
  if (batch.segments[0] > 1 && (errno == EINVAL || errno == EIO || errno == EMSGSIZE)) {
    segments_ = false;  // this route cannot: one by one from now on
    return send_batch();
  }
  // The first one cannot be sent (no route, peer gone, too large); those behind it may.
  drop(1);
  return 1;
}

}  // namespace headgate::net
