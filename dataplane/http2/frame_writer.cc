#include "dataplane/http2/frame_writer.h"

#include <algorithm>
#include <cstring>

namespace headgate::http2 {

namespace {

// Smaller pieces travel in the block of the frame headers: fewer pieces for the kernel.
constexpr size_t kCopyBelow = 2048;

}  // namespace

char* FrameWriter::reserve(size_t size) {
  if (!full()) [[likely]] return queue_.reserve(size);
  behind_used_ = behind_.size();
  behind_.resize(behind_used_ + size);
  return behind_.data() + behind_used_;
}

void FrameWriter::commit(size_t size) {
  if (behind_.empty()) [[likely]] {
    queue_.commit(size);
  } else {
    behind_.resize(behind_used_ + size);
  }
}

void FrameWriter::catch_up() {
  if (behind_.empty() || queue_.full()) return;
  queue_.append_copy(behind_);
  std::string().swap(behind_);
}

// The payload follows; then commit(FrameHeader::kSize + header.length).
char* FrameWriter::begin_control(const FrameHeader& header) {
  ++control_frames_;
  return write_frame_header(reserve(FrameHeader::kSize + header.length), header);
}

void FrameWriter::preface() {
  std::memcpy(reserve(kClientPreface.size()), kClientPreface.data(), kClientPreface.size());
  commit(kClientPreface.size());
}

void FrameWriter::settings(std::span<const SettingEntry> entries) {
  const auto length = static_cast<uint32_t>(6 * entries.size());
  char* at = begin_control({.length = length, .type = FrameType::kSettings});
  for (const SettingEntry& entry : entries) {
    *at++ = static_cast<char>(static_cast<uint16_t>(entry.id) >> 8);
    *at++ = static_cast<char>(entry.id);
    at = write_u32(at, entry.value);
  }
  commit(FrameHeader::kSize + length);
}

void FrameWriter::settings_ack() {
  begin_control({.type = FrameType::kSettings, .flags = frame_flag::kAck});
  commit(FrameHeader::kSize);
}

void FrameWriter::ping_ack(std::string_view payload) {
  const auto length = static_cast<uint32_t>(payload.size());
  char* const at = begin_control({.length = length, .type = FrameType::kPing, .flags = frame_flag::kAck});
  std::memcpy(at, payload.data(), length);
  commit(FrameHeader::kSize + length);
}

void FrameWriter::reset(int32_t stream_id, ErrorCode code) {
  char* const at = begin_control({.length = 4, .type = FrameType::kRstStream, .stream_id = stream_id});
  write_u32(at, static_cast<uint32_t>(code));
  commit(FrameHeader::kSize + 4);
}

void FrameWriter::goaway(int32_t last_stream_id, ErrorCode code) {
  char* const at = begin_control({.length = 8, .type = FrameType::kGoaway});
  write_u32(write_u32(at, static_cast<uint32_t>(last_stream_id)), static_cast<uint32_t>(code));
  commit(FrameHeader::kSize + 8);
}

void FrameWriter::window_update(int32_t stream_id, uint32_t increment) {
  char* const at = begin_control({.length = 4, .type = FrameType::kWindowUpdate, .stream_id = stream_id});
  write_u32(at, increment);
  commit(FrameHeader::kSize + 4);
}

void FrameWriter::head(int32_t stream_id, const FieldArray& fields, bool end_stream) {
  FrameHeader header{.type = FrameType::kHeaders,
                     .flags = end_stream ? frame_flag::kEndStream : uint8_t{0},
                     .stream_id = stream_id};
  const size_t most = fields.most_bytes();
  if (most <= kDefaultFrameSize) [[likely]] {
    char* const at = reserve(FrameHeader::kSize + most);
    header.length = static_cast<uint32_t>(encoder_.encode(fields.data(), fields.size(), at + FrameHeader::kSize, most));
    header.flags |= frame_flag::kEndHeaders;
    write_frame_header(at, header);
    commit(FrameHeader::kSize + header.length);
    return;
  }
  const BlockRef block(Block::allocate(most));
  std::string_view left(block->data(), encoder_.encode(fields.data(), fields.size(), block->data(), most));
  do {
    const std::string_view part = left.substr(0, kDefaultFrameSize);
    left.remove_prefix(part.size());
    header.length = static_cast<uint32_t>(part.size());
    if (left.empty()) header.flags |= frame_flag::kEndHeaders;
    char* const at = write_frame_header(reserve(FrameHeader::kSize + part.size()), header);
    std::memcpy(at, part.data(), part.size());
    commit(FrameHeader::kSize + part.size());
    header = {.type = FrameType::kContinuation, .stream_id = stream_id};
  } while (!left.empty());
}

void FrameWriter::data(int32_t stream_id, Buffer part, bool end_stream) {
  const FrameHeader header{.length = static_cast<uint32_t>(part.size()),
                           .type = FrameType::kData,
                           .flags = end_stream ? frame_flag::kEndStream : uint8_t{0},
                           .stream_id = stream_id};
  // Memory that only lives as long as the exchange does not stay behind in the queue.
  const bool copies = part.size() < kCopyBelow || !part.block();
  char* const at = write_frame_header(reserve(FrameHeader::kSize + (copies ? part.size() : 0)), header);
  if (!copies) {
    commit(FrameHeader::kSize);
    queue_.append(std::move(part));
    return;
  }
  if (!part.empty()) std::memcpy(at, part.data(), part.size());
  commit(FrameHeader::kSize + part.size());
}

}  // namespace headgate::http2
