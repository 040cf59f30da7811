#include "dataplane/tls/tls_transport.h"

namespace headgate::tls {
namespace {

TlsStream& stream_of(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }

}  // namespace

BIO* TlsStream::Transport::make(TlsStream& stream) {
  // One method table for the process; made at first use, when there is a TLS listener or upstream.
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "headgate stream");
    if (made == nullptr) return made;
    BIO_meth_set_read_ex(made, Transport::read);
    BIO_meth_set_write_ex(made, Transport::write);
    BIO_meth_set_ctrl(made, Transport::control);
    return made;
  }();
  if (method == nullptr) return nullptr;
  BIO* bio = BIO_new(method);
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, &stream);
  BIO_set_init(bio, 1);
  return bio;
}

int TlsStream::Transport::read(BIO* bio, char* into, size_t size, size_t* count) {
  TlsStream& stream = stream_of(bio);
  BIO_clear_retry_flags(bio);
  *count = 0;
  if (stream.below_eof_ || stream.below_failed_) return 0;
  auto result = stream.below_->read({into, size});
  if (!result) {
    stream.below_failed_ = true;
    stream.read_error_ = result.error();
    return 0;
  }
  switch (result->state) {
    case net::IoState::kOk:
      *count = result->bytes;
      return 1;
    case net::IoState::kWouldBlock:
      stream.starved_ = true;
      BIO_set_retry_read(bio);
      return 0;
    case net::IoState::kEof: stream.below_eof_ = true; return 0;
  }
  return 0;
}

int TlsStream::Transport::write(BIO* bio, const char* from, size_t size, size_t* count) {
  TlsStream& stream = stream_of(bio);
  BIO_clear_retry_flags(bio);
  // Always all of it: so OpenSSL never has half a record to repeat. TlsStream asks only for what has room.
  // After a failed write below nobody will read it, but reading must be able to go on.
  *count = size;
  return stream.write_broken_ || stream.out_.append(from, size, stream.expected_) ? 1 : 0;
}

long TlsStream::Transport::control(BIO* bio, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH: return 1;  // TlsStream decides when to send
    case BIO_CTRL_EOF: return stream_of(bio).below_eof_ ? 1 : 0;
    default: return 0;
  }
}

}  // namespace headgate::tls
