// file_body.h -- bodies out of a CachedFile: a slice of it, or several slices as multipart/byteranges.
// A file kept in memory goes out as views of the cached block; a larger one by sendfile (BodySource::file) or in chunks
// of 64 KiB. A file that became shorter meanwhile ends in an error, never in a clean end.
// Thread: worker.   Owner: arena of the Exchange.   Spec: RFC 9110 14.6 (multipart/byteranges).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "dataplane/base/arena.h"
#include "dataplane/handlers/file_cache.h"
#include "dataplane/http/body.h"

namespace headgate::handlers {

// Bytes [offset, offset + size) of a file.
struct FileSlice {
  uint64_t offset = 0;
  uint64_t size = 0;
};

// At most 64 KiB of the slice's start; `slice` is left with the rest. Fails when the file ends early.
Result<Buffer> read_slice(const CachedFile& file, FileSlice& slice);

class FileBody final : public http::BodySource {
 public:
  FileBody(FileRef file, FileSlice slice);
  [[nodiscard]] std::optional<uint64_t> remaining() const override { return slice_.size; }
  [[nodiscard]] const http::FileRange* file() const override;
  [[nodiscard]] uint64_t content_id() const override;

 private:
  void on_pull() override;

  FileRef file_;
  FileSlice slice_;
  mutable http::FileRange range_;
};

class MultipartBody final : public http::BodySource {
 public:
  // `slices` must live as long as the body (arena).
  MultipartBody(FileRef file, std::span<const FileSlice> slices, std::string_view content_type, Arena& arena);
  [[nodiscard]] std::optional<uint64_t> remaining() const override { return left_; }
  // "multipart/byteranges; boundary=..."
  [[nodiscard]] std::string_view content_type() const { return multipart_type_; }

 private:
  void on_pull() override;

  FileRef file_;
  std::span<const FileSlice> slices_;
  std::span<std::string_view> part_heads_;  // one per slice; then the closing delimiter
  std::string_view closing_;
  std::string_view multipart_type_;
  uint64_t left_ = 0;
  size_t next_ = 0;  // slice whose head goes out next
  FileSlice current_;
};

}  // namespace headgate::handlers
