// datagram_batch.h -- what the datagram sockets of one thread share: room for a batch, control parts.
// Thread: each has its own; what is in it is used up before the next receive.   Only for the .cc files of net/.
#pragma once

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <memory>

#include "dataplane/net/datagram_socket.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace headgate::net {

// What the kernel takes in one segmented send.
inline constexpr size_t kMaxSegments = 64;
inline constexpr size_t kMaxSegmentedBytes = 65000;
// Larger datagrams would be fragmented, and the kernel refuses to segment into those.
inline constexpr size_t kMaxSegmentSize = 1400;

struct alignas(cmsghdr) DatagramControl {
  static constexpr size_t kBytes = CMSG_SPACE(sizeof(in6_pktinfo)) + 2 * CMSG_SPACE(sizeof(int));
  std::array<char, kBytes> bytes;
};

// Writes one control part and returns the bytes used so far.
template <typename T>
size_t add_control(DatagramControl& control, size_t used, int level, int type, const T& value) {
  cmsghdr header{};
  header.cmsg_level = level;
  header.cmsg_type = type;
  header.cmsg_len = CMSG_LEN(sizeof(T));
  std::memcpy(control.bytes.data() + used, &header, sizeof(header));
  std::memcpy(control.bytes.data() + used + CMSG_LEN(0), &value, sizeof(T));
  return used + CMSG_SPACE(sizeof(T));
}

// Room for one recvmmsg(2). Untouched pages cost nothing. The stride keeps the starts of the slots apart in the caches.
struct ReceiveBatch {
  static constexpr size_t kStride = 65536 + 192;
  static constexpr size_t kDatagrams = 256;

  ReceiveBatch();
  // Readies the first `count` slots; without `peers` the sender is not asked for.
  void prepare(size_t count, bool peers, bool controls);

  std::unique_ptr<char[]> bytes;
  std::array<mmsghdr, DatagramSocket::kBatch> messages{};
  std::array<iovec, DatagramSocket::kBatch> pieces{};
  std::array<DatagramAddress, DatagramSocket::kBatch> peers;
  std::array<DatagramControl, DatagramSocket::kBatch> controls{};
  std::array<Datagram, kDatagrams> datagrams;
};

ReceiveBatch& receive_scratch();

// Does this socket send runs of equal datagrams in one piece?
bool probe_segments(int fd);

}  // namespace headgate::net
