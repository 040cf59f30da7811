#include "dataplane/handlers/file_body.h"

#include <algorithm>
#include <cerrno>

#include <unistd.h>

#include "dataplane/base/number.h"
#include "dataplane/http/range.h"

namespace headgate::handlers {
namespace {

constexpr size_t kChunk = Block::kLarge;

constexpr Error kShrunk{.code = Errc::kClosed, .detail = "the file became shorter while it was sent"};

std::string_view content_range(Arena& arena, const FileSlice& slice, uint64_t total) {
  char* text = arena.allocate_text(http::kContentRangeSize);
  const http::ByteRange range{.first = slice.offset, .last = slice.offset + slice.size - 1};
  return {text, static_cast<size_t>(http::write_content_range(text, range, total) - text)};
}

}  // namespace

Result<Buffer> read_slice(const CachedFile& file, FileSlice& slice) {
  if (file.in_memory()) {
    Buffer part = file.content();
    part.remove_prefix(slice.offset);
    part.truncate(slice.size);
    slice = {.offset = slice.offset + slice.size, .size = 0};
    return part;
  }
  const size_t wanted = static_cast<size_t>(std::min<uint64_t>(slice.size, kChunk));
  BlockRef block(Block::allocate(wanted));
  ssize_t got = 0;
  do {
    got = ::pread(file.fd(), block->data(), wanted, static_cast<off_t>(slice.offset));
  } while (got < 0 && errno == EINTR);
  if (got < 0) return system_error("read a file");
  if (got == 0) return kShrunk;
  const auto count = static_cast<size_t>(got);
  slice = {.offset = slice.offset + count, .size = slice.size - count};
  const char* data = block->data();
  return Buffer(std::move(block), data, count);
}

FileBody::FileBody(FileRef file, FileSlice slice) : file_(std::move(file)), slice_(slice) {}

const http::FileRange* FileBody::file() const {
  if (file_->in_memory() || slice_.size == 0) return nullptr;
  // Filled in on demand: the answer must be true after some chunks were pulled, too.
  range_ = {.fd = file_->fd(), .offset = slice_.offset, .size = slice_.size};
  return &range_;
}

uint64_t FileBody::content_id() const {
  return slice_.offset == 0 && slice_.size == file_->size() ? file_->content_id() : 0;
}

void FileBody::on_pull() {
  if (slice_.size == 0) {
    finish();
    return;
  }
  Result<Buffer> chunk = read_slice(*file_, slice_);
  if (chunk) {
    deliver(*std::move(chunk));
  } else {
    fail(chunk.error());
  }
}

MultipartBody::MultipartBody(FileRef file, std::span<const FileSlice> slices, std::string_view content_type,
                             Arena& arena)
    : file_(std::move(file)), slices_(slices) {
  // The version of the file with a number that is never reused: no client can guess it into a file beforehand.
  char* id = arena.allocate_text(32);
  char* at = write_hex(id, file_->content_id());
  *at++ = '.';
  at = write_hex(at, stable_hash(file_->etag(), keyed_hash(file_->path())));
  const std::string_view boundary(id, static_cast<size_t>(at - id));
  multipart_type_ = arena.concat("multipart/byteranges; boundary=", boundary);

  auto* heads = static_cast<std::string_view*>(
      arena.allocate(sizeof(std::string_view) * slices.size(), alignof(std::string_view)));
  for (size_t i = 0; i < slices.size(); ++i) {
    const FileSlice& slice = slices[i];
    const std::string_view type_line = content_type.empty() ? "" : "\r\nContent-Type: ";
    heads[i] = arena.concat(i == 0 ? "--" : "\r\n--", boundary, type_line, content_type, "\r\nContent-Range: ",
                            content_range(arena, slice, file_->size()), "\r\n\r\n");
    left_ += heads[i].size() + slice.size;
  }
  part_heads_ = {heads, slices.size()};
  closing_ = arena.concat("\r\n--", boundary, "--\r\n");
  left_ += closing_.size();
}

void MultipartBody::on_pull() {
  if (current_.size > 0) {
    Result<Buffer> chunk = read_slice(*file_, current_);
    if (!chunk) {
      fail(chunk.error());
      return;
    }
    left_ -= chunk->size();
    deliver(*std::move(chunk));
    return;
  }
  if (left_ == 0) {
    finish();
    return;
  }
  std::string_view text = closing_;
  if (next_ < slices_.size()) {
    text = part_heads_[next_];
    current_ = slices_[next_++];
  }
  left_ -= text.size();
  deliver(Buffer::borrow(text));
}

}  // namespace headgate::handlers
