#include "dataplane/tls/tls_stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <array>
#include <cstring>

#include "dataplane/tls/tls_transport.h"

namespace headgate::tls {
namespace {

using net::Interest;
using net::IoResult;
using net::IoState;

constexpr size_t kRecord = SSL3_RT_MAX_PLAIN_LENGTH;
constexpr size_t kRecordOverhead = 64;         // header, nonce, content type, tag: 22 to 29 in fact
constexpr size_t kFirstRecord = 4096;          // three packets: usable at once by a client that has just connected
constexpr size_t kSendAtOnce = 128 * 1024;     // collected before the socket is asked
constexpr int kRecordsPerRead = 64;            // of one byte each, perhaps: then other connections get their turn
constexpr Duration kPause = std::chrono::seconds(1);
constexpr uint8_t kControlMessages = 32;

bool has(Interest interest, Interest bit) {
  return (static_cast<uint8_t>(interest) & static_cast<uint8_t>(bit)) != 0;
}

}  // namespace

// Cuts gathered pieces into payloads of records. A small head and the body behind it share a record.
class TlsStream::PieceReader {
 public:
  explicit PieceReader(std::span<const iovec> pieces) : pieces_(pieces) {
    for (const iovec& piece : pieces) left_ += piece.iov_len;
  }
  [[nodiscard]] size_t left() const { return left_; }

  // The next at most `limit` bytes; valid until the next call.
  std::string_view take(size_t limit) {
    skip_empty();
    const size_t here = pieces_[index_].iov_len - offset_;
    if (here >= limit || here == left_) return view(std::min(here, limit));
    size_t filled = 0;
    while (filled < limit && left_ > 0) {
      skip_empty();
      const std::string_view part = view(std::min(limit - filled, pieces_[index_].iov_len - offset_));
      std::memcpy(joined_.data() + filled, part.data(), part.size());
      filled += part.size();
    }
    return {joined_.data(), filled};
  }

 private:
  void skip_empty() {
    while (offset_ == pieces_[index_].iov_len) {
      ++index_;
      offset_ = 0;
    }
  }
  std::string_view view(size_t size) {
    const std::string_view part(static_cast<const char*>(pieces_[index_].iov_base) + offset_, size);
    offset_ += size;
    left_ -= size;
    return part;
  }

  std::span<const iovec> pieces_;
  size_t index_ = 0;
  size_t offset_ = 0;
  size_t left_ = 0;
  std::array<char, kRecord> joined_;  // not initialised: 16 KiB, seldom used to the end
};

Result<IoResult> TlsStream::write(std::span<const iovec> from) { return write_records(from, true); }
Result<IoResult> TlsStream::write_more(std::span<const iovec> from) { return write_records(from, false); }

Result<IoResult> TlsStream::write_records(std::span<const iovec> from, bool flush_now) {
  if (write_broken_) return write_error_;
  if (close_notify_sent_) return Error{.code = Errc::kClosed, .origin = origin(), .detail = "write after close_notify"};
  if (state_ != State::kOpen || blocked_) return IoResult{0, IoState::kWouldBlock};
  PieceReader pieces(from);
  size_t taken = 0;
  while (pieces.left() > 0) {
    if (out_.size() + kRecord + kRecordOverhead > kSendAtOnce) {
      if (auto sent = flush(); !sent) return sent.error();
      if (blocked_) break;
    }
    const std::string_view payload = pieces.take(record_limit());
    // Several records into one block: with their overhead, about.
    expected_ = pieces.left() + pieces.left() / 256;
    ERR_clear_error();
    size_t written = 0;
    const int done = SSL_write_ex(ssl_.get(), payload.data(), payload.size(), &written);
    expected_ = 0;
    if (done != 1 || written != payload.size()) {
      write_broken_ = true;
      write_error_ = ssl_failure("write");
      return write_error_;
    }
    taken += written;
  }
  if (flush_now) {
    if (auto sent = flush(); !sent) return sent.error();
  } else {
    flush_later();
  }
  if (blocked_) arm_below();
  return IoResult{taken, IoState::kOk};
}

size_t TlsStream::record_limit() {
  const MonotonicTime now = loop_.now();
  const bool first = now - last_write_ >= kPause;
  last_write_ = now;
  return first ? kFirstRecord : kRecord;
}

Result<void> TlsStream::flush() {
  flush_due_ = false;
  while (!out_.empty()) {
    std::array<iovec, CiphertextQueue::kMaxBlocks> pieces;
    const size_t count = out_.gather(pieces);
    auto sent = below_->write(std::span<const iovec>(pieces.data(), count));
    if (!sent) {
      write_broken_ = true;
      write_error_ = sent.error();
      out_.consume(out_.size());
      blocked_ = false;
      return write_error_;
    }
    if (sent->state != IoState::kOk) {
      blocked_ = true;
      return {};
    }
    out_.consume(sent->bytes);
  }
  blocked_ = false;
  ticket_timer_.cancel();
  if (fin_wanted_) {
    fin_wanted_ = false;
    below_->shutdown_write();
  }
  return {};
}

Result<IoResult> TlsStream::read(std::span<char> into) {
  if (read_broken_) return read_error_;
  if (eof_) return IoResult{0, IoState::kEof};
  if (state_ != State::kOpen || !readable_now()) return IoResult{0, IoState::kWouldBlock};
  size_t filled = 0;
  int why = SSL_ERROR_NONE;
  for (int records = 0; filled < into.size() && records < kRecordsPerRead; ++records) {
    ERR_clear_error();
    starved_ = false;
    size_t count = 0;
    const int done = SSL_read_ex(ssl_.get(), into.data() + filled, into.size() - filled, &count);
    if (flooded_) {
      why = SSL_ERROR_SSL;
      break;
    }
    if (done == 1) {
      filled += count;
      // Nothing decrypted or received is left, and the socket has nothing: asking again would only cost.
      if (SSL_has_pending(ssl_.get()) == 0 && !below_->readable_hint()) break;
      continue;
    }
    why = SSL_get_error(ssl_.get(), done);
    // A control message was dealt with, and there may be more behind it.
    if (why != SSL_ERROR_WANT_READ || starved_) break;
  }
  pending_ = !starved_ && SSL_has_pending(ssl_.get()) != 0;
  // Answers to control messages: acknowledged key updates, warnings.
  flush_later();
  if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ) {
    auto result = read_failed(why);
    if (filled == 0) return result;
    pending_ = true;  // the end is told by the next call
    return IoResult{filled, IoState::kOk};
  }
  if (filled > 0) return IoResult{filled, IoState::kOk};
  // Only control messages for a whole budget: not "nothing there", so it must not depend on the socket to go on.
  if (!starved_ && pending_ && has(interest_, Interest::kRead)) later_.schedule();
  return IoResult{0, IoState::kWouldBlock};
}

Result<IoResult> TlsStream::read_failed(int ssl_error) {
  if (flooded_) {
    read_error_ = Error{.code = Errc::kTls, .origin = origin(), .detail = "too many control messages"};
  } else if (below_failed_) {
    ERR_clear_error();  // read_error_ is that of the stream below
  } else if (ssl_error == SSL_ERROR_ZERO_RETURN || below_eof_) {
    // Without close_notify OpenSSL was told to treat the end of file alike, so that we can still write.
    tls_facts_.truncated = below_eof_;
    eof_ = true;
    ERR_clear_error();
    return IoResult{0, IoState::kEof};
  } else {
    read_error_ = ssl_failure("read");
  }
  read_broken_ = true;
  return read_error_;
}

Error TlsStream::ssl_failure(const char* otherwise) {
  const unsigned long code = ERR_peek_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  if (code != 0 && ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    const long result = SSL_get_verify_result(ssl_.get());
    if (result != X509_V_OK) reason = X509_verify_cert_error_string(result);
  }
  const char* detail = reason == nullptr ? otherwise : reason;
  failure_ = take_error_text(otherwise);
  return Error{.code = Errc::kTls, .origin = origin(), .detail = detail};
}

void TlsStream::send_close_notify() {
  if (close_notify_sent_ || state_ != State::kOpen || write_broken_ || read_broken_) return;
  close_notify_sent_ = true;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

void TlsStream::shutdown_write() {
  send_close_notify();
  fin_wanted_ = true;
  if (blocked_) return;  // goes out with the rest
  (void)flush();         // a failure shows at the next call
  if (blocked_) arm_below();
}

void TlsStream::say_goodbye() {
  send_close_notify();
  if (!blocked_) (void)flush();
}

void TlsStream::watch(Interest interest, net::StreamObserver& observer) {
  interest_ = interest;
  observer_ = &observer;
  if (state_ == State::kOpen) {
    const bool readable = has(interest, Interest::kRead) && (pending_ || eof_ || read_broken_);
    const bool writable = has(interest, Interest::kWrite) && !blocked_;
    if (readable || writable) later_.schedule();
  }
  if (state_ != State::kNew) arm_below();
}

void TlsStream::unwatch() {
  observer_ = nullptr;
  interest_ = Interest::kNone;
  if (state_ != State::kNew) arm_below();
}

void TlsStream::arm_below() {
  uint8_t wanted = 0;
  if (state_ == State::kHandshake || (has(interest_, Interest::kRead) && !eof_ && !read_broken_)) {
    wanted |= static_cast<uint8_t>(Interest::kRead);
  }
  if (blocked_) wanted |= static_cast<uint8_t>(Interest::kWrite);
  if (wanted == 0) {
    below_->unwatch();
  } else {
    below_->watch(static_cast<Interest>(wanted), *this);
  }
}

bool TlsStream::readable_now() const { return pending_ || eof_ || read_broken_ || below_->readable_hint(); }

bool TlsStream::readable_hint() const { return state_ == State::kOpen && readable_now(); }

void TlsStream::on_stream_ready(bool readable, bool writable) {
  if (writable && blocked_) {
    (void)flush();  // a failure shows at the observer's next write()
    arm_below();
  }
  if (state_ == State::kHandshake) {
    if (readable) step();
    return;
  }
  if (!flush_due_) later_.cancel();
  // Tickets and key updates are no reason to wake the owner of an idle upstream connection.
  if (readable && client_ != nullptr) absorb_control_messages();
  notify();
}

// Peeking handles what stands before the next application data, if there is any.
void TlsStream::absorb_control_messages() {
  if (state_ != State::kOpen || eof_ || read_broken_) return;
  char byte = 0;
  size_t count = 0;
  for (int records = 0; records < kRecordsPerRead; ++records) {
    ERR_clear_error();
    starved_ = false;
    const int done = SSL_peek_ex(ssl_.get(), &byte, 1, &count);
    const int why = flooded_ ? SSL_ERROR_SSL : done == 1 ? SSL_ERROR_NONE : SSL_get_error(ssl_.get(), done);
    if (why == SSL_ERROR_WANT_READ && !starved_) continue;
    if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ) (void)read_failed(why);
    break;
  }
  pending_ = count > 0 || (!starved_ && SSL_has_pending(ssl_.get()) != 0);
  flush_later();
}

void TlsStream::notify() {
  if (observer_ == nullptr || state_ != State::kOpen) return;
  const bool readable = has(interest_, Interest::kRead) && readable_now();
  const bool writable = has(interest_, Interest::kWrite) && !blocked_;
  if (readable || writable) observer_->on_stream_ready(readable, writable);
}

void TlsStream::on_later() {
  if (state_ == State::kHandshake) {
    step();
    return;
  }
  // First the observer, whose data may share the packet.
  notify();
  if (flush_due_) (void)flush();
  if (blocked_) arm_below();
}

void TlsStream::flush_later() {
  if (out_.empty() || blocked_) return;
  flush_due_ = true;
  later_.schedule();
}

void TlsStream::on_ticket_timer() {
  if (!out_.empty() && !blocked_) (void)flush();
  if (blocked_) arm_below();
}

// The hot path passes here once per record and direction.
void TlsStream::on_message(int, int, int content_type, const void* data, size_t size, ssl_st* ssl, void*) {
  if (content_type == SSL3_RT_HEADER || content_type == SSL3_RT_INNER_CONTENT_TYPE) return;
  TlsStream& stream = of(ssl);
  if (stream.state_ != State::kOpen) return;
  const auto* bytes = static_cast<const uint8_t*>(data);
  if (content_type == SSL3_RT_ALERT && size == 2 && bytes[1] == SSL3_AD_CLOSE_NOTIFY) return;
  stream.count_control_message();
}

void TlsStream::count_control_message() {
  const MonotonicTime now = loop_.now();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now - control_since_).count();
  if (seconds > 0) {
    control_since_ = now;
    control_left_ = static_cast<uint8_t>(std::min<int64_t>(kControlMessages, control_left_ + seconds));
  }
  if (control_left_ == 0) {
    flooded_ = true;
  } else {
    --control_left_;
  }
}

}  // namespace headgate::tls
