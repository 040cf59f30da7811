#include "dataplane/net/datagram_batch.h"

namespace headgate::net {

ReceiveBatch::ReceiveBatch() : bytes(new char[kStride * DatagramSocket::kBatch]) {
  for (size_t i = 0; i < DatagramSocket::kBatch; ++i) {
    pieces[i] = {bytes.get() + i * kStride, DatagramSocket::kMaxPayload + 1};
    messages[i].msg_hdr.msg_iov = &pieces[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
}

void ReceiveBatch::prepare(size_t count, bool with_peers, bool with_controls) {
  for (size_t i = 0; i < count; ++i) {
    msghdr& message = messages[i].msg_hdr;
    message.msg_name = with_peers ? peers[i].raw() : nullptr;
    message.msg_namelen = with_peers ? DatagramAddress::kCapacity : 0;
    message.msg_control = with_controls ? controls[i].bytes.data() : nullptr;
    message.msg_controllen = with_controls ? DatagramControl::kBytes : 0;
    message.msg_flags = 0;
  }
}

ReceiveBatch& receive_scratch() {
  thread_local const std::unique_ptr<ReceiveBatch> batch = std::make_unique<ReceiveBatch>();
  return *batch;
}

bool probe_segments(int fd) {
  int segment = 0;
  socklen_t size = sizeof(segment);
  return ::getsockopt(fd, SOL_UDP, UDP_SEGMENT, &segment, &size) == 0;
}

}  // namespace headgate::net
