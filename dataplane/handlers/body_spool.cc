#include "dataplane/handlers/body_spool.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace headgate::handlers {
namespace {

constexpr size_t kBlock = Block::kMedium;

thread_local uint64_t memory = 0;

}  // namespace

uint64_t BodySpool::memory_in_use() { return memory; }

BodySpool::~BodySpool() { memory -= blocks_.size() * kBlock; }

Result<void> BodySpool::append(std::string_view bytes, const SpoolLimits& limits) {
  while (!bytes.empty() && file_size_ == 0) {
    size_t at = memory_size_ % kBlock;
    if (at == 0) {
      if (memory_size_ + kBlock > std::max<uint64_t>(limits.memory, kBlock) ||
          memory + kBlock > limits.worker_memory) {
        break;
      }
      blocks_.emplace_back(Block::allocate(kBlock));
      memory += kBlock;
    }
    const size_t size = std::min(bytes.size(), kBlock - at);
    std::memcpy(blocks_.back()->data() + at, bytes.data(), size);
    memory_size_ += size;
    bytes.remove_prefix(size);
  }
  return bytes.empty() ? Result<void>() : append_to_file(bytes, limits);
}

Result<void> BodySpool::append_to_file(std::string_view bytes, const SpoolLimits& limits) {
  constexpr Error kNoRoom{.code = Errc::kOverloaded, .detail = "no room to keep the body"};
  if (!file_.valid()) {
    file_ = UniqueFd(::open(limits.folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
    if (!file_.valid()) return kNoRoom;
  }
  while (!bytes.empty()) {
    const ssize_t wrote = ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(file_size_));
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote <= 0) return kNoRoom;
    file_size_ += static_cast<uint64_t>(wrote);
    bytes.remove_prefix(static_cast<size_t>(wrote));
  }
  return {};
}

Result<Buffer> BodySpool::read(uint64_t offset) const {
  if (offset < memory_size_) {
    const BlockRef& block = blocks_[offset / kBlock];
    const size_t at = offset % kBlock;
    return Buffer(block, block->data() + at, static_cast<size_t>(std::min<uint64_t>(kBlock - at, memory_size_ - offset)));
  }
  const uint64_t from = offset - memory_size_;
  if (from >= file_size_) return Buffer();
  BlockRef block(Block::allocate(Block::kLarge));
  const size_t wanted = static_cast<size_t>(std::min<uint64_t>(block->capacity(), file_size_ - from));
  for (;;) {
    const ssize_t got = ::pread(file_.get(), block->data(), wanted, static_cast<off_t>(from));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return system_error("read a temporary file");
    const char* const data = block->data();
    return Buffer(std::move(block), data, static_cast<size_t>(got));
  }
}

}  // namespace headgate::handlers
