#include "dataplane/net/message_stream.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/event/turn_budget.h"

namespace headgate::net {
namespace {

// A whole message with its marks, and at least one byte more so that a line that is too large shows.
constexpr size_t kMaxHeld = 65535 + 16;

}  // namespace

MessageStream::MessageStream(WorkerContext& worker, std::unique_ptr<ByteStream> stream, Framing framing,
                             size_t buffer_bytes, MessageObserver& observer)
    : worker_(worker),
      stream_(std::move(stream)),
      reader_(framing),
      framing_(framing),
      buffer_bytes_(buffer_bytes),
      observer_(observer),
      more_(worker.loop, event::Timer::call<&MessageStream::on_more>, this),
      written_(worker.loop, event::Timer::call<&MessageStream::on_written>, this) {}

MessageStream::~MessageStream() { stream_->unwatch(); }

void MessageStream::start() {
  stream_->watch(Interest::kBoth, *this);
  more_.schedule();
}

void MessageStream::on_stream_ready(bool readable, bool writable) {
  if (writable) write_queued();
  if (readable && !closed_) read();
}

// Room for more behind what is held; the block grows with the message.
void MessageStream::make_room() {
  const size_t held = in_end_ - in_begin_;
  if (in_ && in_end_ < in_->capacity()) return;
  if (in_ && in_begin_ > 0) {
    std::memmove(in_->data(), in_->data() + in_begin_, held);
  } else {
    const size_t first = framing_ == Framing::kRead ? std::min(buffer_bytes_, kMaxMessage) : Block::kMedium;
    BlockRef larger(Block::allocate(in_ ? std::min(in_->capacity() * 4, std::max(kMaxHeld, held + 1)) : first));
    if (held > 0) std::memcpy(larger->data(), in_->data() + in_begin_, held);
    in_ = std::move(larger);
  }
  in_begin_ = 0;
  in_end_ = held;
}

void MessageStream::read() {
  size_t budget = event::TurnBudget::kBytes;
  while (!closed_ && !read_ended_) {
    if (waits_ && queued() >= buffer_bytes_) return;  // write_queued() goes on
    if (in_begin_ == in_end_ && !stream_->readable_hint()) break;
    if (waits_ && in_begin_ < in_end_ && !deliver(false)) return;
    if (!stream_->readable_hint()) break;
    if (budget == 0) {
      more_.schedule();
      return;
    }
    make_room();
    size_t room = in_->capacity() - in_end_;
    if (framing_ == Framing::kRead) room = std::min({room, buffer_bytes_, kMaxMessage});
    const auto got = stream_->read({in_->data() + in_end_, room});
    if (!got) {
      fail();
      return;
    }
    if (got->state == IoState::kWouldBlock) break;
    if (got->state == IoState::kEof) {
      read_ended_ = true;
      if (!deliver(true)) return;
      in_.reset();
      observer_.on_messages_ended(false);
      return;
    }
    in_end_ += got->bytes;
    budget -= std::min(budget, got->bytes);
    if (!deliver(false)) return;
  }
  if (in_begin_ == in_end_) {
    in_.reset();
    in_begin_ = 0;
    in_end_ = 0;
  }
}

bool MessageStream::deliver(bool at_end) {
  while (in_begin_ < in_end_) {
    if (waits_ && !at_end && queued() >= buffer_bytes_) return true;
    const Frame frame = reader_.next({in_->data() + in_begin_, in_end_ - in_begin_}, at_end);
    in_begin_ += frame.size;
    if (frame.state == Frame::State::kNeedMore) break;
    if (frame.state == Frame::State::kTooLarge) {
      observer_.on_message_lost();
    } else {
      observer_.on_message(frame.message);
    }
    if (closed_) return false;
  }
  if (in_begin_ == in_end_) in_begin_ = in_end_ = 0;
  return true;
}

bool MessageStream::send(std::string_view message) {
  FrameMarks marks;
  if (write_ended_ || ending_ || closed_ || !write_marks(framing_, message, marks)) return false;
  if (queued() >= buffer_bytes_) return false;
  const std::string_view head(marks.head.data(), marks.head_size);
  const std::string_view tail(marks.tail_size > 0 ? "\n" : "");
  size_t written = 0;
  if (queued() == 0) {
    std::array<iovec, 3> pieces{};
    size_t count = 0;
    for (const std::string_view piece : {head, message, tail}) {
      if (!piece.empty()) pieces[count++] = as_iovec(piece);
    }
    if (count == 0) return true;  // no bytes and no marks: nothing to be seen on a stream
    const auto result = stream_->write({pieces.data(), count});
    if (!result) {
      write_ended_ = true;  // reading tells the rest
      return false;
    }
    if (result->state == IoState::kOk) written = result->bytes;
  }
  for (const std::string_view piece : {head, message, tail}) {
    const size_t done = std::min(written, piece.size());
    written -= done;
    queue(piece.substr(done));
  }
  return true;
}

void MessageStream::queue(std::string_view bytes) {
  if (bytes.empty()) return;
  // The last message may reach beyond the limit: it began below it.
  if (!out_) out_ = BlockRef(Block::allocate(buffer_bytes_ + kMaxHeld));
  if (out_end_ + bytes.size() > out_->capacity()) {
    std::memmove(out_->data(), out_->data() + out_begin_, queued());
    out_end_ = queued();
    out_begin_ = 0;
  }
  std::memcpy(out_->data() + out_end_, bytes.data(), bytes.size());
  out_end_ += bytes.size();
}

void MessageStream::write_queued() {
  while (queued() > 0 && !write_ended_) {
    const iovec piece = {out_->data() + out_begin_, queued()};
    const auto written = stream_->write({&piece, 1});
    if (!written) {
      write_ended_ = true;
      break;
    }
    if (written->state != IoState::kOk) return;
    out_begin_ += written->bytes;
  }
  const bool had_queue = static_cast<bool>(out_);
  out_.reset();
  out_begin_ = 0;
  out_end_ = 0;
  if (ending_ && !write_ended_) {
    write_ended_ = true;
    stream_->shutdown_write();
  }
  if (ending_) {
    if (stream_->unsent() == 0) written_.schedule();
  } else if (waits_ && had_queue && !read_ended_) {
    more_.schedule();
  }
}

void MessageStream::on_written() { observer_.on_writing_ended(); }

void MessageStream::end_writing() {
  if (ending_) return;
  ending_ = true;
  if (queued() == 0) write_queued();
}

void MessageStream::fail() {
  read_ended_ = true;
  write_ended_ = true;
  in_.reset();
  out_.reset();
  out_begin_ = out_end_ = 0;
  observer_.on_messages_ended(true);
}

void MessageStream::close() {
  if (closed_) return;
  closed_ = true;
  more_.cancel();
  written_.cancel();
  stream_->unwatch();
  stream_->say_goodbye();
}

}  // namespace headgate::net
