#include "dataplane/net/stream_pump.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "dataplane/base/counters.h"
#include "dataplane/event/turn_budget.h"
#include "dataplane/net/socket_stream.h"

namespace headgate::net {
namespace {

constexpr size_t kSpliceBytes = size_t{1} << 20;
// Moved by full reads before splicing begins: short exchanges are cheaper copied, while the bytes are in the cache.
constexpr uint64_t kBulk = uint64_t{256} * 1024;
constexpr size_t kSmallPiece = size_t{16} * 1024;
constexpr uint8_t kSmallPieces = 8;

}  // namespace

void StreamPump::Side::on_stream_ready(bool readable, bool writable) {
  StreamPump& owner = *pump;
  if (readable && !owner.ended_) owner.advance(index);
  if (writable && !owner.ended_) owner.advance(1 - index);
  owner.check_end();
}

StreamPump::StreamPump(WorkerContext& worker, std::unique_ptr<ByteStream> down, std::unique_ptr<ByteStream> up,
                       const PumpOptions& options, PumpObserver& observer)
    : worker_(worker),
      options_(options),
      observer_(observer),
      more_(worker.loop, event::Timer::call<&StreamPump::on_more>, this),
      idle_(worker.loop.timers(), event::Timer::call<&StreamPump::on_idle>, this),
      deadline_(worker.loop.timers(), event::Timer::call<&StreamPump::on_deadline>, this) {
  sides_[0].stream = std::move(down);
  sides_[1].stream = std::move(up);
  for (size_t i = 0; i < sides_.size(); ++i) {
    sides_[i].pump = this;
    sides_[i].index = i;
    if (options.splice && sides_[i].stream->kernel_fd() >= 0) {
      sides_[i].socket = dynamic_cast<SocketStream*>(sides_[i].stream.get());
    }
    directions_[i].chunk = std::min<size_t>(directions_[i].chunk, options.buffer_bytes);
  }
}

StreamPump::~StreamPump() {
  for (Side& side : sides_) side.stream->unwatch();
}

void StreamPump::start() {
  last_activity_ = worker_.loop.now();
  if (options_.idle_timeout > Duration(0)) idle_.arm(options_.idle_timeout);
  for (Side& side : sides_) side.stream->watch(Interest::kBoth, side);
  more_.schedule();  // what has arrived already makes no edge
}

void StreamPump::advance(size_t index) {
  size_t budget = event::TurnBudget::kBytes;  // per direction: a fast pair does not starve the others
  while (!ended_) {
    switch (step(index, budget)) {
      case Step::kMore: break;
      case Step::kBlocked:
      case Step::kOver: return;
    }
    if (budget == 0) {
      more_.schedule();
      return;
    }
  }
}

StreamPump::Step StreamPump::step(size_t index, size_t& budget) {
  Direction& direction = directions_[index];
  if (direction.state != State::kFlowing) return Step::kOver;
  if (direction.begin < direction.end) return write_block(index);
  if (direction.source_ended && direction.pipe.held() == 0) {
    direction.block.reset();
    return end_direction(index, State::kEnded);
  }
  if (direction.splicing) return splice_step(index, budget);
  return copy_step(index, budget);
}

StreamPump::Step StreamPump::write_block(size_t index) {
  Direction& direction = directions_[index];
  ByteStream& to = *sides_[1 - index].stream;
  const iovec piece = {direction.block->data() + direction.begin, direction.end - direction.begin};
  const auto written = to.write({&piece, 1});
  if (!written) return end_direction(index, State::kBroken);
  if (written->state != IoState::kOk) return Step::kBlocked;
  direction.begin += written->bytes;
  last_activity_ = worker_.loop.now();
  if (direction.begin < direction.end) return Step::kMore;  // the next write says that it would block, at no cost
  direction.begin = 0;
  direction.end = 0;
  return Step::kMore;
}

StreamPump::Step StreamPump::copy_step(size_t index, size_t& budget) {
  Direction& direction = directions_[index];
  ByteStream& from = *sides_[index].stream;
  if (!from.readable_hint()) {
    direction.block.reset();
    return Step::kBlocked;
  }
  if (!direction.block || direction.block->capacity() < direction.chunk) {
    direction.block = BlockRef(Block::allocate(direction.chunk));
  }
  const size_t offered = std::min(direction.chunk, direction.block->capacity());
  const auto got = from.read({direction.block->data(), offered});
  if (!got) {
    direction.block.reset();
    finish_source(index, true);
    return Step::kOver;
  }
  if (got->state == IoState::kEof) {
    finish_source(index, false);
    return Step::kMore;
  }
  if (got->state == IoState::kWouldBlock) {
    direction.block.reset();
    return Step::kBlocked;
  }
  direction.end = got->bytes;
  budget -= std::min(budget, got->bytes);
  count(index, got->bytes);
  note_read(direction, got->bytes, offered);
  return Step::kMore;
}

// Full reads in a row make blocks larger, and at last make splicing worth while.
void StreamPump::note_read(Direction& direction, size_t bytes, size_t offered) {
  if (bytes < offered) {
    if (bytes * 4 < offered) direction.chunk = std::min<size_t>(Block::kMedium, options_.buffer_bytes);
    direction.bulk = 0;
    return;
  }
  direction.bulk += bytes;
  const size_t larger = direction.chunk < Block::kLarge ? Block::kLarge : Block::kHuge;
  direction.chunk = std::min(larger, options_.buffer_bytes);
  if (direction.bulk >= kBulk && sides_[0].socket != nullptr && sides_[1].socket != nullptr) {
    direction.pipe = Pipe::take();
    direction.splicing = direction.pipe.valid();
    direction.small_pieces = 0;
    direction.bulk = 0;
  }
}

StreamPump::Step StreamPump::splice_step(size_t index, size_t& budget) {
  Direction& direction = directions_[index];
  SocketStream& from = *sides_[index].socket;
  SocketStream& to = *sides_[1 - index].socket;
  direction.block.reset();
  if (direction.pipe.held() > 0) {
    if (!to.writable_hint()) return Step::kBlocked;
    const ssize_t sent = ::splice(direction.pipe.read_end(), nullptr, to.kernel_fd(), nullptr, direction.pipe.held(),
                                  SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (sent > 0) {
      direction.pipe.remove(static_cast<size_t>(sent));
      last_activity_ = worker_.loop.now();
      return Step::kMore;
    }
    if (sent < 0 && errno == EINTR) return Step::kMore;
    if (sent < 0 && errno == EAGAIN) {
      to.note_not_writable();
      return Step::kBlocked;
    }
    return end_direction(index, State::kBroken);
  }
  if (!from.readable_hint()) {
    direction.pipe = Pipe();  // nothing is held while waiting for bytes
    return Step::kBlocked;
  }
  if (!direction.pipe.valid()) {
    direction.pipe = Pipe::take();
    if (!direction.pipe.valid()) {
      direction.splicing = false;
      return Step::kMore;
    }
  }
  const ssize_t got = ::splice(from.kernel_fd(), nullptr, direction.pipe.write_end(), nullptr, kSpliceBytes,
                               SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (got > 0) {
    const auto bytes = static_cast<size_t>(got);
    direction.pipe.add(bytes);
    budget -= std::min(budget, bytes);
    count(index, bytes);
    direction.small_pieces = bytes < kSmallPiece ? static_cast<uint8_t>(direction.small_pieces + 1) : uint8_t{0};
    if (direction.small_pieces >= kSmallPieces) direction.splicing = false;
    return Step::kMore;
  }
  if (got < 0 && errno == EINTR) return Step::kMore;
  if (got < 0 && errno == EAGAIN) {
    from.note_not_readable();
    return Step::kBlocked;
  }
  if (got < 0 && errno == EINVAL) {  // this kind of socket cannot
    direction.splicing = false;
    sides_[index].socket = nullptr;
    return Step::kMore;
  }
  finish_source(index, got < 0);
  return got < 0 ? Step::kOver : Step::kMore;
}

void StreamPump::count(size_t index, size_t bytes) {
  directions_[index].total += bytes;
  last_activity_ = worker_.loop.now();
  worker_.counters.add(index == 0 ? Counter::kForwardBytesUp : Counter::kForwardBytesDown, bytes);
}

void StreamPump::finish_source(size_t index, bool reset) {
  Direction& direction = directions_[index];
  direction.source_ended = true;
  direction.source_reset = reset;
  if (reset) end_direction(index, State::kBroken);
}

StreamPump::Step StreamPump::end_direction(size_t index, State state) {
  Direction& direction = directions_[index];
  direction.state = state;
  direction.block.reset();
  direction.pipe = Pipe();
  if (state == State::kEnded) sides_[1 - index].stream->shutdown_write();
  return Step::kOver;
}

void StreamPump::check_end() {
  if (ended_) return;
  const bool reset = directions_[0].source_reset || directions_[1].source_reset;
  const bool over = directions_[0].state != State::kFlowing && directions_[1].state != State::kFlowing;
  if (!reset && !over) return;
  if (!reset && (sides_[0].stream->unsent() > 0 || sides_[1].stream->unsent() > 0)) return;  // it will be writable again
  const bool broken = directions_[0].state == State::kBroken || directions_[1].state == State::kBroken;
  if (broken) {
    // Whoever was cut learns it by RST. The side that broke is gone in any case.
    for (Side& side : sides_) side.stream->reset_on_close();
  }
  end(broken ? PumpEnd::kReset : PumpEnd::kDone);
}

void StreamPump::end(PumpEnd how) {
  if (ended_) return;
  ended_ = true;
  more_.cancel();
  idle_.cancel();
  deadline_.cancel();
  for (Side& side : sides_) side.stream->unwatch();
  for (Direction& direction : directions_) {
    direction.block.reset();
    direction.pipe = Pipe();
  }
  observer_.on_pump_ended(how);
}

void StreamPump::on_more() {
  for (size_t i = 0; i < directions_.size() && !ended_; ++i) advance(i);
  check_end();
}

void StreamPump::on_idle() {
  // Moving bytes does not touch the timer; it looks back instead.
  const MonotonicTime due = last_activity_ + options_.idle_timeout;
  if (due > worker_.loop.now()) {
    idle_.arm_at(due);
    return;
  }
  for (Side& side : sides_) side.stream->say_goodbye();
  end(PumpEnd::kIdle);
}

void StreamPump::on_deadline() {
  for (Side& side : sides_) {
    side.stream->shutdown_write();
    side.stream->say_goodbye();
  }
  end(PumpEnd::kDeadline);
}

}  // namespace headgate::net
