// file_cache.h -- what a worker remembers of the files it serves: small contents, open descriptors, and what is missing.
//
// A name is looked up under a root; the answer holds everything a response head needs, ready made. An answer is trusted
// for one second, then the file is looked at again (one stat); a changed file is loaded anew. Contents up to
// `object_bytes` are kept in memory; of larger files the descriptor is kept. "Not there" is trusted for a second too.
// Thread: one worker.   Owner: WorkerContext::files, see of().   Unit: bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "dataplane/base/buffer.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/counters.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/intrusive_list.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/event/loop.h"
#include "dataplane/event/worker_context.h"
#include "dataplane/handlers/beneath.h"

struct stat;

namespace headgate::handlers {

class FileCache;

// A folder that files are served from. Compared by value: handlers of successive snapshots share what is cached.
struct FileRoot {
  std::string path;  // absolute
  Symlinks symlinks = Symlinks::kRefuse;
};

// Which file, and which version of it.
struct FileStamp {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  int64_t modified_ns = 0;  // since 1970
  int64_t changed_ns = 0;   // of the inode: permissions, links
  bool operator==(const FileStamp&) const = default;
};

// Siblings of a file that hold it compressed.
enum class Sibling : uint8_t { kBrotli, kZstd, kGzip, kCount };
std::string_view sibling_suffix(Sibling sibling);  // ".br", ".zst", ".gz"

// One answer of the cache. Lives as long as somebody holds a FileRef, even after the cache forgot it.
class CachedFile : private ListNode<> {
 public:
  enum class Kind : uint8_t {
    kFile,
    kFolder,
    kMissing,
    kDenied,
    kFailed,  // see error(); never remembered
  };

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] const Error& error() const { return error_; }
  [[nodiscard]] std::string_view path() const { return path_; }  // below the root

  // The rest is for kFile.
  [[nodiscard]] uint64_t size() const { return stamp_.size; }
  [[nodiscard]] int64_t modified_s() const { return stamp_.modified_ns / 1'000'000'000; }
  // Empty file or file kept in memory: content() is all of it. Else read from fd().
  [[nodiscard]] bool in_memory() const { return in_memory_; }
  [[nodiscard]] Buffer content() const { return {content_, content_ ? content_->data() : nullptr, stamp_.size}; }
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Names these bytes: never given twice in a process, never 0.
  [[nodiscard]] uint64_t content_id() const { return content_id_; }

  // Field values, with quotes where the field has them.
  [[nodiscard]] std::string_view etag() const { return etag_; }
  [[nodiscard]] std::string_view last_modified() const { return last_modified_; }
  [[nodiscard]] std::string_view content_type() const { return content_type_; }

 private:
  friend class FileCache;
  friend class FileRef;
  friend class headgate::IntrusiveList<CachedFile>;
  struct Root;

  uint32_t references_ = 0;
  Kind kind_ = Kind::kMissing;
  bool in_memory_ = false;
  bool unsettled_ = false;  // changed so recently that another change might not show in its times
  uint8_t siblings_ = 0;    // bit per Sibling
  Error error_;
  Root* root_ = nullptr;  // null once the cache forgot the file
  uint64_t root_version_ = 0;
  std::string path_;
  FileStamp stamp_;
  MonotonicTime checked_{};
  MonotonicTime siblings_checked_{};
  MonotonicTime used_{};
  uint64_t content_id_ = 0;
  BlockRef content_;
  UniqueFd fd_;
  std::string etag_;
  std::string last_modified_;
  std::string_view content_type_;
};

class FileRef {
 public:
  FileRef() = default;
  explicit FileRef(CachedFile* file) : file_(file) {
    if (file_ != nullptr) ++file_->references_;
  }
  FileRef(const FileRef& other) : FileRef(other.file_) {}
  FileRef(FileRef&& other) noexcept : file_(std::exchange(other.file_, nullptr)) {}
  FileRef& operator=(FileRef other) noexcept {
    std::swap(file_, other.file_);
    return *this;
  }
  ~FileRef();

  explicit operator bool() const { return file_ != nullptr; }
  const CachedFile* operator->() const { return file_; }
  const CachedFile& operator*() const { return *file_; }

 private:
  friend class FileCache;
  CachedFile* file_ = nullptr;
};

class FileCache {
 public:
  struct Limits {
    size_t memory_bytes = size_t{64} * 1024 * 1024;  // contents and what is kept about them
    size_t object_bytes = Block::kLarge;             // 64 KiB with the block's header
    size_t open_files = 512;
    size_t missing = 512;                            // names known not to be there
    // What this worker gets of the limits of the process.
    static Limits share(const WorkerContext& worker);
    bool operator==(const Limits&) const = default;
  };
  static constexpr Duration kTrusted = std::chrono::seconds(1);
  // A descriptor unused for that long is closed, so that the space of a deleted file comes back.
  static constexpr Duration kIdle = std::chrono::seconds(30);

  FileCache(event::Loop& loop, Counters& counters, const Limits& limits);
  FileCache(const FileCache&) = delete;
  FileCache& operator=(const FileCache&) = delete;
  ~FileCache();

  // The worker's cache, made when first asked for, with the limits of today; WorkerContext::release_files destroys it.
  static FileCache& of(WorkerContext& worker);

  // What is at `path` below `root`: relative, decoded, without NUL and without a leading slash; "" is the root.
  // Never null. Reads the file when its content is to be kept.
  FileRef find(const FileRoot& root, std::string_view path);
  // Are there siblings of a kFile answer, by their names alone? A hint: find() may still miss them.
  bool has_sibling(const FileRef& file, Sibling sibling);
  // A handle for listing a folder; not cached.
  Result<UniqueFd> open_folder(const FileRoot& root, std::string_view path);

  void set_limits(const Limits& limits);

  [[nodiscard]] size_t memory_used() const { return memory_used_; }
  [[nodiscard]] size_t open_files() const { return open_files_; }
  [[nodiscard]] size_t entries() const { return entries_.size(); }

 private:
  using Root = CachedFile::Root;
  struct Key {
    const Root* root;
    std::string_view path;
  };
  struct KeyHash {
    using is_transparent = void;
    size_t operator()(const Key& key) const { return keyed_hash(key.path) ^ (reinterpret_cast<uintptr_t>(key.root) >> 4); }
    size_t operator()(const CachedFile* file) const { return (*this)(Key{file->root_, file->path_}); }
  };
  struct KeyEqual {
    using is_transparent = void;
    static Key key(const Key& key) { return key; }
    static Key key(const CachedFile* file) { return {file->root_, file->path_}; }
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return key(a).root == key(b).root && key(a).path == key(b).path;
    }
  };

  Root& root_of(const FileRoot& root);
  void check_root(Root& root);
  bool is_current(CachedFile& file);
  FileRef load(Root& root, std::string_view path);
  void load_content(CachedFile& file);
  void remember(CachedFile& file);
  void forget(CachedFile& file);
  void shrink(const CachedFile* keep);
  IntrusiveList<CachedFile>& list_of(const CachedFile& file);
  [[nodiscard]] static size_t charge(const CachedFile& file);
  void sweep();

  event::Loop& loop_;
  Counters& counters_;
  Limits limits_;
  std::unordered_map<std::string, std::unique_ptr<Root>, TextHash, TextEqual> roots_;           // links refused
  std::unordered_map<std::string, std::unique_ptr<Root>, TextHash, TextEqual> following_roots_;  // links followed
  std::unordered_set<CachedFile*, KeyHash, KeyEqual> entries_;
  // Each remembered file is in one of these, the latest used last.
  IntrusiveList<CachedFile> kept_;     // in memory, and folders
  IntrusiveList<CachedFile> open_;     // with a descriptor
  IntrusiveList<CachedFile> missing_;  // nothing there, or not for us
  size_t memory_used_ = 0;
  size_t open_files_ = 0;
  size_t missing_count_ = 0;
  event::Timer sweep_timer_;
};

}  // namespace headgate::handlers
