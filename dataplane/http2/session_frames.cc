// session_frames.cc -- what RFC 9113 says of each frame that comes, for both roles.
#include <algorithm>
#include <utility>
#include <vector>

#include "dataplane/http2/session.h"

namespace headgate::http2 {

namespace {

constexpr uint8_t kMaxContinuations = 8;  // T5
// RFC 9113 6.5.2.
constexpr uint32_t kLargestFrameSize = (1U << 24) - 1;

ErrorCode error_code(const char* from) { return static_cast<ErrorCode>(read_u32(from)); }

}  // namespace

bool Session::process(std::string_view bytes) {
  for (;;) {
    bool fine = true;
    const FrameReader::Event event = reader_.next(bytes);
    const FrameHeader& frame = reader_.header();
    switch (event) {
      case FrameReader::Event::kNeedMore: return true;
      case FrameReader::Event::kBadPreface: return refuse(ErrorCode::kProtocolError, "not the preface of HTTP/2");
      case FrameReader::Event::kHeader: fine = begin_frame(frame); break;
      case FrameReader::Event::kFixed: fine = on_fixed(frame); break;
      case FrameReader::Event::kContent: fine = on_content(frame); break;
      case FrameReader::Event::kEnd: fine = on_frame_end(frame); break;
    }
    if (!fine || refused_ || state_ != State::kOpen) return false;
  }
}

// -- headers of frames ------------------------------------------------------------------------------------------------

// Frames without work for us have a budget (T rows).
bool Session::spend(const FrameHeader& frame) {
  const MonotonicTime now = worker_.loop.now();
  bool allowed = true;
  switch (frame.type) {
    case FrameType::kData:
      if (frame.length == 0 && !frame.ends_stream()) allowed = budget_.allow(AbuseBudget::Frame::kEmpty, now);
      break;
    case FrameType::kSettings: allowed = frame.is_ack() || budget_.allow(AbuseBudget::Frame::kSettings, now); break;
    case FrameType::kPing: allowed = frame.is_ack() || budget_.allow_ping(now); break;
    case FrameType::kPriority: allowed = budget_.allow(AbuseBudget::Frame::kPriority, now); break;
    case FrameType::kWindowUpdate: allowed = budget_.allow_window_update(); break;
    default:
      if (!is_known(frame.type)) allowed = budget_.allow(AbuseBudget::Frame::kUnknown, now);
      break;
  }
  return allowed || calm("too many frames without work");
}

bool Session::begin_frame(const FrameHeader& frame) {
  if (frame.length > kDefaultFrameSize) return refuse(ErrorCode::kFrameSizeError, "a frame longer than we take");
  if (!settings_received_ && (frame.type != FrameType::kSettings || frame.is_ack())) {
    return refuse(ErrorCode::kProtocolError, "the first frame is not SETTINGS");
  }
  if (block_stream_ != 0 && (frame.type != FrameType::kContinuation || frame.stream_id != block_stream_)) {
    return refuse(ErrorCode::kProtocolError, "a frame in the middle of a header block");
  }
  if (!spend(frame) || !on_frame_begin(frame)) return false;
  bool right_length = true;
  bool right_stream = true;
  switch (frame.type) {
    case FrameType::kData: return begin_data(frame);
    case FrameType::kHeaders: return begin_headers(frame);
    case FrameType::kContinuation:
      if (block_stream_ == 0) return refuse(ErrorCode::kProtocolError, "CONTINUATION of nothing");
      return ++continuations_ <= kMaxContinuations || calm("a header block in too many pieces");
    case FrameType::kPushPromise: return refuse(ErrorCode::kProtocolError, "PUSH_PROMISE");
    case FrameType::kPriority:
      right_length = frame.length == 5;
      right_stream = frame.stream_id != 0;
      break;
    case FrameType::kRstStream:
      right_length = frame.length == 4;
      right_stream = frame.stream_id != 0 && !is_idle(frame.stream_id);
      break;
    case FrameType::kSettings:
      right_length = frame.is_ack() ? frame.length == 0 : frame.length % 6 == 0;
      right_stream = frame.stream_id == 0;
      if (right_length && reader_.fixed_too_long()) return calm("too many settings");
      break;
    case FrameType::kPing:
      right_length = frame.length == 8;
      right_stream = frame.stream_id == 0;
      break;
    case FrameType::kGoaway:
      right_length = frame.length >= 8;
      right_stream = frame.stream_id == 0;
      break;
    case FrameType::kWindowUpdate:
      right_length = frame.length == 4;
      right_stream = frame.stream_id == 0 || !is_idle(frame.stream_id);
      break;
    default: break;
  }
  if (!right_length) return refuse(ErrorCode::kFrameSizeError, "a frame of the wrong length");
  return right_stream || refuse(ErrorCode::kProtocolError, "a frame on a stream that it cannot be on");
}

// RFC 9113 5.1.1. Nobody but clients opens streams: nothing is pushed.
bool Session::is_idle(int32_t id) const {
  if ((id & 1) == 0) return true;
  return role_ == Role::kServer ? id > last_stream_ : next_stream_ != 0 && id >= next_stream_;
}

bool Session::begin_data(const FrameHeader& frame) {
  if (is_idle(frame.stream_id)) return refuse(ErrorCode::kProtocolError, "DATA on a stream that is not open");
  if (reader_.fixed_too_long()) return refuse(ErrorCode::kFrameSizeError, "padding without a length");
  if (!receive_window_.take(frame.length)) return refuse(ErrorCode::kFlowControlError, "more than the window");
  SessionStream* const stream = find(frame.stream_id);
  if (stream == nullptr) return on_late_frame(frame);
  if (stream->remote_ended_) return refuse(ErrorCode::kStreamClosed, "DATA behind the end of the stream");
  if (!stream->reset_queued_ && !stream->receive_window_.take(frame.length)) {
    submit_reset(*stream, ErrorCode::kFlowControlError);
  }
  return true;
}

bool Session::begin_headers(const FrameHeader& frame) {
  const int32_t id = frame.stream_id;
  if (reader_.fixed_too_long()) return refuse(ErrorCode::kFrameSizeError, "HEADERS without its fields");
  block_stream_ = id;
  block_ends_stream_ = frame.ends_stream();
  continuations_ = 0;
  if (const SessionStream* const stream = find(id)) {
    return !stream->remote_ended_ || refuse(ErrorCode::kStreamClosed, "HEADERS behind the end of the stream");
  }
  if (!is_idle(id)) return on_late_frame(frame);
  if (role_ == Role::kClient || (id & 1) == 0) return refuse(ErrorCode::kProtocolError, "HEADERS on an idle stream");
  last_stream_ = id;
  // RFC 9113 6.8: what came behind the last GOAWAY is ignored, but for what it does to the tables of HPACK.
  if (!said_goaway_) on_stream_opened(id);
  return true;
}

// -- payloads ---------------------------------------------------------------------------------------------------------

bool Session::on_fixed(const FrameHeader& frame) {
  const std::string_view fixed = reader_.fixed();
  if (reader_.padding_too_long()) return refuse(ErrorCode::kProtocolError, "more padding than frame");
  switch (frame.type) {
    case FrameType::kData: {
      const size_t overhead = fixed.size() + reader_.padding();
      give_back(overhead);
      if (SessionStream* const stream = find_live(frame.stream_id)) give_back(*stream, overhead);
      return true;
    }
    case FrameType::kHeaders:
    case FrameType::kPriority:
      // RFC 9113 5.3.2: priorities of old are not used, and still have one rule.
      if (fixed.size() >= 5 && read_u31(fixed.data() + fixed.size() - 5) == frame.stream_id) {
        return refuse(ErrorCode::kProtocolError, "a stream that depends on itself");
      }
      return true;
    case FrameType::kRstStream: return on_reset(frame.stream_id, error_code(fixed.data()));
    case FrameType::kSettings: return on_settings(fixed);
    case FrameType::kPing:
      if (!frame.is_ack()) writer_.ping_ack(fixed);
      return true;
    case FrameType::kGoaway: return on_goaway(fixed);
    case FrameType::kWindowUpdate: return on_window_update(frame.stream_id, read_u31(fixed.data()));
    default: return true;
  }
}

bool Session::on_content(const FrameHeader& frame) {
  const std::string_view content = reader_.content();
  if (frame.type == FrameType::kData) {
    if (SessionStream* const stream = find_live(frame.stream_id)) {
      stream->on_data(input_, content);
    } else {
      give_back(content.size());
    }
    return true;
  }
  if (frame.type != FrameType::kHeaders && frame.type != FrameType::kContinuation) return true;  // nobody reads it
  SessionStream* const stream = find_live(block_stream_);
  const auto outcome = decoder_.decode(content, [stream](std::string_view name, std::string_view value) {
    return stream == nullptr || stream->on_field(name, value);
  });
  switch (outcome) {
    case HeaderDecoder::Outcome::kOk: return true;
    case HeaderDecoder::Outcome::kStopped: return calm("a header block far over its limit");
    case HeaderDecoder::Outcome::kMalformed: break;
  }
  return refuse(ErrorCode::kCompressionError, "a header block that is not HPACK");
}

bool Session::on_frame_end(const FrameHeader& frame) {
  if (frame.type == FrameType::kData) {
    SessionStream* const stream = frame.ends_stream() ? find(frame.stream_id) : nullptr;
    if (stream != nullptr) end_remote(*stream);
    return true;
  }
  if (frame.type == FrameType::kSettings && frame.length == 0 && !frame.is_ack()) return on_settings({});
  const bool block = frame.type == FrameType::kHeaders || frame.type == FrameType::kContinuation;
  return !block || !frame.has(frame_flag::kEndHeaders) || end_header_block();
}

void Session::end_remote(SessionStream& stream) {
  stream.remote_ended_ = true;
  on_stream_ended(stream.id_);
  if (!stream.reset_queued_) stream.on_end_stream();
  close_if_ended(stream);
}

bool Session::end_header_block() {
  if (!decoder_.finish()) return refuse(ErrorCode::kCompressionError, "a header block that ends inside a field");
  SessionStream* const stream = find(std::exchange(block_stream_, 0));
  on_header_block_end();
  if (stream == nullptr) return true;
  if (block_ends_stream_) {
    stream->remote_ended_ = true;
    on_stream_ended(stream->id_);
  }
  if (!stream->reset_queued_) stream->on_fields_end(block_ends_stream_);
  close_if_ended(*stream);
  return true;
}

// -- frames of the connection -----------------------------------------------------------------------------------------

bool Session::apply(SettingEntry entry) {
  switch (entry.id) {
    case Setting::kHeaderTableSize: writer_.encoder().set_table_size(entry.value); return true;
    case Setting::kEnablePush:
      if (entry.value <= (role_ == Role::kServer ? 1U : 0U)) return true;
      break;
    case Setting::kMaxConcurrentStreams: peer_.max_streams = entry.value; return true;
    case Setting::kInitialWindowSize:
      if (entry.value > static_cast<uint32_t>(kMaxWindow)) {
        return refuse(ErrorCode::kFlowControlError, "a window larger than windows are");
      }
      return resize_windows(static_cast<int32_t>(entry.value));
    case Setting::kMaxFrameSize:
      // We never send more than everybody takes.
      if (entry.value >= kDefaultFrameSize && entry.value <= kLargestFrameSize) return true;
      break;
    case Setting::kEnableConnectProtocol:
      if (entry.value > 1 || (peer_.connect_protocol && entry.value == 0)) break;
      peer_.connect_protocol = entry.value == 1;
      return true;
    default: return true;
  }
  return refuse(ErrorCode::kProtocolError, "a setting with a value that it cannot have");
}

bool Session::on_settings(std::string_view payload) {
  for (; !payload.empty(); payload.remove_prefix(6)) {
    const uint32_t id = read_u32(payload.data()) >> 16;
    if (!apply({static_cast<Setting>(id), read_u32(payload.data() + 2)})) return false;
  }
  writer_.settings_ack();
  settings_received_ = true;
  on_settings_received();
  return true;
}

// RFC 9113 6.9.2: a change is for streams that are open, too, and may leave them with less than nothing.
bool Session::resize_windows(int32_t size) {
  const int64_t more = int64_t{size} - peer_.initial_window;
  peer_.initial_window = size;
  bool fits = true;
  streams_.for_each([&](SessionStream& stream) {
    const int64_t window = stream.send_window_ + more;
    fits = fits && window <= kMaxWindow;
    stream.send_window_ = static_cast<int32_t>(std::min<int64_t>(window, kMaxWindow));
    if (more > 0) wake(stream);
  });
  return fits || refuse(ErrorCode::kFlowControlError, "a window larger than windows are");
}

bool Session::on_goaway(std::string_view payload) {
  const int32_t last = read_u31(payload.data());
  peer_leaving_ = true;
  on_goaway_received(last, error_code(payload.data() + 4));
  if (role_ == Role::kServer) return true;
  std::vector<SessionStream*> refused;
  streams_.for_each([&](SessionStream& stream) {
    if (stream.id_ > last) refused.push_back(&stream);
  });
  due_.for_each([&](SessionStream& stream) {
    if (stream.opens_) refused.push_back(&stream);
  });
  // A stream that one of the others takes with it is not destroyed within this turn.
  for (SessionStream* const stream : refused) {
    if (!stream->closed_) close_stream(*stream, ErrorCode::kRefusedStream);
  }
  return true;
}

bool Session::on_window_update(int32_t id, int32_t increment) {
  if (increment == 0) return refuse(ErrorCode::kProtocolError, "WINDOW_UPDATE by nothing");
  if (id == 0) {
    const bool was_shut = send_window_ <= 0;
    send_window_ += increment;
    if (send_window_ > kMaxWindow) return refuse(ErrorCode::kFlowControlError, "a window larger than windows are");
    if (was_shut) streams_.for_each([this](SessionStream& stream) { wake(stream); });
    return true;
  }
  SessionStream* const stream = find_live(id);
  if (stream == nullptr) return true;
  if (int64_t{stream->send_window_} + increment > kMaxWindow) {
    submit_reset(*stream, ErrorCode::kFlowControlError);
    return true;
  }
  stream->send_window_ += increment;
  wake(*stream);
  return true;
}

bool Session::on_reset(int32_t id, ErrorCode code) {
  SessionStream* const stream = find(id);
  if (stream == nullptr) return true;
  on_stream_ended(id);
  stream->on_reset_received();
  close_stream(*stream, code);
  return true;
}

}  // namespace headgate::http2
