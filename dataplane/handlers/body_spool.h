// body_spool.h -- a body kept for later: in memory, then in an unlinked file (D18).
//
// The file begins where this body's share of memory ends, or where all spools of the worker together have used up
// theirs. It has no name and vanishes with the process.
// Thread: worker.   Owner: the body that fills it.   Unit: bytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/base/buffer.h"
#include "dataplane/base/result.h"
#include "dataplane/base/unique_fd.h"

namespace headgate::handlers {

struct SpoolLimits {
  uint64_t memory = 1 << 20;         // of one body
  uint64_t worker_memory = 64 << 20;  // of all bodies of a worker
  std::string folder = "/tmp";
};

class BodySpool {
 public:
  // `limits` are only looked at by append().
  BodySpool() = default;
  ~BodySpool();
  BodySpool(const BodySpool&) = delete;
  BodySpool& operator=(const BodySpool&) = delete;

  // kOverloaded: no file could be made, or the disk is full.
  Result<void> append(std::string_view bytes, const SpoolLimits& limits);
  [[nodiscard]] uint64_t size() const { return memory_size_ + file_size_; }
  // What is there from `offset` on, one piece; empty at the end. kSystem: the file cannot be read.
  Result<Buffer> read(uint64_t offset) const;
  // Bytes in memory of all spools of this thread.
  static uint64_t memory_in_use();

 private:
  Result<void> append_to_file(std::string_view bytes, const SpoolLimits& limits);

  std::vector<BlockRef> blocks_;  // each full but the last
  uint64_t memory_size_ = 0;
  UniqueFd file_;
  uint64_t file_size_ = 0;
};

}  // namespace headgate::handlers
