#include "dataplane/handlers/file_cache.h"

#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>

#include <fcntl.h>
#include <unistd.h>

#include "dataplane/base/log.h"
#include "dataplane/base/number.h"
#include "dataplane/http/content_type.h"
#include "dataplane/http/date.h"

namespace headgate::handlers {

struct CachedFile::Root {
  std::string path;
  Symlinks symlinks = Symlinks::kRefuse;
  UniqueFd fd;
  Error error;  // when there is no fd
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t version = 0;  // another folder took the name: what we remember is of the old one
  MonotonicTime checked{};
};

namespace {

constexpr Duration kSweepInterval = std::chrono::seconds(10);
// Times of files advance in steps of the kernel's tick: two changes within one look the same.
constexpr int64_t kTimeGranularityNs = 20'000'000;

int64_t nanoseconds(const timespec& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

FileStamp stamp_of(const struct stat& status) {
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .size = static_cast<uint64_t>(status.st_size),
          .modified_ns = nanoseconds(status.st_mtim),
          .changed_ns = nanoseconds(status.st_ctim)};
}

uint64_t next_content_id() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

// A strong validator: other bytes have another time, size or inode. Hashed, so that inode numbers stay private.
std::string make_etag(const FileStamp& stamp) {
  char fields[64];
  char* at = write_hex(fields, static_cast<uint64_t>(stamp.modified_ns));
  *at++ = '-';
  at = write_hex(at, stamp.size);
  *at++ = '-';
  at = write_hex(at, stamp.inode);
  char hex[16];
  const auto digits = static_cast<size_t>(write_hex(hex, stable_hash({fields, static_cast<size_t>(at - fields)})) - hex);
  std::string etag(18, '0');
  etag.front() = etag.back() = '"';
  etag.replace(17 - digits, digits, hex, digits);
  return etag;
}

// The path as a C string for the kernel; "" is the root. Null when it is too long to exist.
class PathText {
 public:
  PathText(std::string_view path, std::string_view suffix) {
    if (path.empty()) path = ".";
    if (path.size() + suffix.size() >= sizeof(text_)) return;
    std::memcpy(text_, path.data(), path.size());
    if (!suffix.empty()) std::memcpy(text_ + path.size(), suffix.data(), suffix.size());
    text_[path.size() + suffix.size()] = '\0';
    fits_ = true;
  }
  [[nodiscard]] const char* get() const { return fits_ ? text_ : nullptr; }

 private:
  char text_[PATH_MAX];
  bool fits_ = false;
};

}  // namespace

std::string_view sibling_suffix(Sibling sibling) {
  switch (sibling) {
    case Sibling::kBrotli: return ".br";
    case Sibling::kZstd: return ".zst";
    case Sibling::kGzip: return ".gz";
    case Sibling::kCount: break;
  }
  return "";
}

FileRef::~FileRef() {
  if (file_ != nullptr && --file_->references_ == 0) delete file_;
}

FileCache::Limits FileCache::Limits::share(const WorkerContext& worker) {
  Limits limits;
  const size_t parts = std::max<size_t>(worker.worker_count, 1);
  limits.memory_bytes = std::max(worker.file_cache_bytes / parts, size_t{256} * 1024);
  limits.open_files = std::max(worker.open_files / parts, size_t{16});
  limits.missing = std::max(limits.missing / parts, size_t{64});
  return limits;
}

FileCache::FileCache(event::Loop& loop, Counters& counters, const Limits& limits)
    : loop_(loop),
      counters_(counters),
      limits_(limits),
      sweep_timer_(loop.timers(), event::Timer::call<&FileCache::sweep>, this) {}

FileCache::~FileCache() {
  while (!entries_.empty()) forget(**entries_.begin());
}

FileCache& FileCache::of(WorkerContext& worker) {
  const Limits limits = Limits::share(worker);
  if (worker.files == nullptr) {
    worker.files = std::make_unique<FileCache>(worker.loop, worker.counters, limits).release();
    worker.release_files = [](WorkerContext& context) {
      const std::unique_ptr<FileCache> last(std::exchange(context.files, nullptr));
    };
  } else if (!(limits == worker.files->limits_)) {
    worker.files->set_limits(limits);
  }
  return *worker.files;
}

void FileCache::set_limits(const Limits& limits) {
  limits_ = limits;
  shrink(nullptr);
}

FileCache::Root& FileCache::root_of(const FileRoot& wanted) {
  auto& roots = wanted.symlinks == Symlinks::kFollow ? following_roots_ : roots_;
  auto found = roots.find(std::string_view(wanted.path));
  if (found == roots.end()) {
    auto made = std::make_unique<Root>();
    made->path = wanted.path;
    made->symlinks = wanted.symlinks;
    found = roots.emplace(wanted.path, std::move(made)).first;
  }
  check_root(*found->second);
  return *found->second;
}

// A root may be a link that is pointed at the next release: follow the name, not the folder we once opened.
void FileCache::check_root(Root& root) {
  const MonotonicTime now = loop_.now();
  if (root.version != 0 && now - root.checked < kTrusted) return;
  root.checked = now;
  struct stat status {};
  const bool there = ::stat(root.path.c_str(), &status) == 0;
  if (there && root.fd.valid() && status.st_dev == root.device && status.st_ino == root.inode) return;
  ++root.version;
  root.fd.reset();
  Result<UniqueFd> opened = open_root(root.path.c_str());
  if (!opened) {
    root.error = opened.error();
    HG_LOG(kWarn, kStatic, "root folder cannot be opened", {"root", root.path}, {"errno", root.error.sys_errno});
    return;
  }
  root.fd = *std::move(opened);
  if (::fstat(root.fd.get(), &status) == 0) {
    root.device = status.st_dev;
    root.inode = status.st_ino;
  }
}

bool FileCache::is_current(CachedFile& file) {
  const MonotonicTime now = loop_.now();
  if (file.root_version_ != file.root_->version) return false;
  if (now - file.checked_ < kTrusted) return true;
  if (file.unsettled_ || (file.kind_ != CachedFile::Kind::kFile && file.kind_ != CachedFile::Kind::kFolder)) return false;
  struct stat status {};
  const int flags = file.root_->symlinks == Symlinks::kFollow ? 0 : AT_SYMLINK_NOFOLLOW;
  const char* path = file.path_.empty() ? "." : file.path_.c_str();
  if (::fstatat(file.root_->fd.get(), path, &status, flags) != 0) return false;
  if (!(stamp_of(status) == file.stamp_)) return false;
  file.checked_ = now;
  return true;
}

FileRef FileCache::find(const FileRoot& wanted, std::string_view path) {
  Root& root = root_of(wanted);
  const auto found = entries_.find(Key{&root, path});
  if (found != entries_.end()) {
    CachedFile& file = **found;
    if (is_current(file)) {
      counters_.add(Counter::kStaticCacheHits);
      file.used_ = loop_.now();
      list_of(file).push_back(file);  // moves it: the latest used last
      return FileRef(&file);
    }
    forget(file);
  }
  counters_.add(Counter::kStaticCacheMisses);
  return load(root, path);
}

FileRef FileCache::load(Root& root, std::string_view path) {
  FileRef made(new CachedFile());  // NOLINT: counted by FileRef
  CachedFile& file = *made.file_;
  file.checked_ = file.used_ = loop_.now();
  file.root_version_ = root.version;

  const PathText text(path, "");
  Result<UniqueFd> opened = root.error;
  if (text.get() == nullptr) {
    opened = Error{.code = Errc::kNotFound, .detail = "path too long"};
  } else if (root.fd.valid()) {
    opened = open_beneath(root.fd.get(), text.get(), root.symlinks);
    if (!opened && (opened.error().sys_errno == EMFILE || opened.error().sys_errno == ENFILE) && !open_.empty()) {
      for (int i = 0; i < 16 && !open_.empty(); ++i) forget(*open_.front());
      opened = open_beneath(root.fd.get(), text.get(), root.symlinks);
    }
  }
  struct stat status {};
  if (!opened) {
    file.error_ = opened.error();
    file.kind_ = file.error_.code == Errc::kNotFound ? CachedFile::Kind::kMissing
                 : file.error_.code == Errc::kDenied ? CachedFile::Kind::kDenied
                                                     : CachedFile::Kind::kFailed;
  } else if (::fstat(opened->get(), &status) != 0) {
    file.error_ = system_error("stat of a file");
    file.kind_ = CachedFile::Kind::kFailed;
  } else {
    file.stamp_ = stamp_of(status);
    if (S_ISREG(status.st_mode)) {
      file.kind_ = CachedFile::Kind::kFile;
      file.fd_ = *std::move(opened);
    } else {
      // A FIFO, a socket or a device is nothing we serve.
      file.kind_ = S_ISDIR(status.st_mode) ? CachedFile::Kind::kFolder : CachedFile::Kind::kMissing;
    }
  }
  if (file.kind_ == CachedFile::Kind::kFailed) return made;
  file.path_ = path;
  file.root_ = &root;
  if (file.kind_ == CachedFile::Kind::kFile) load_content(file);
  remember(file);
  return made;
}

void FileCache::load_content(CachedFile& file) {
  const int64_t age = loop_.wall().time_since_epoch().count() - file.stamp_.modified_ns;
  file.unsettled_ = age > -kTimeGranularityNs && age < kTimeGranularityNs;
  file.content_id_ = next_content_id();
  file.etag_ = make_etag(file.stamp_);
  char date[http::kDateSize];
  file.last_modified_.assign(date, http::write_date(date, file.modified_s()));
  file.content_type_ = http::content_type_of(file.path_);

  const size_t size = file.stamp_.size;
  if (size > limits_.object_bytes) return;
  BlockRef block;
  if (size > 0) {
    block = BlockRef(Block::allocate(size));
    size_t at = 0;
    while (at < size) {
      const ssize_t got = ::pread(file.fd_.get(), block->data() + at, size - at, static_cast<off_t>(at));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return;  // it shrank, or cannot be read: whoever sends it will find out
      at += static_cast<size_t>(got);
    }
  }
  // Written to while we read: what we have may be half old, half new.
  struct stat status {};
  if (::fstat(file.fd_.get(), &status) != 0 || !(stamp_of(status) == file.stamp_)) {
    file.unsettled_ = true;
    return;
  }
  file.content_ = std::move(block);
  file.in_memory_ = true;
  file.fd_.reset();
}

bool FileCache::has_sibling(const FileRef& ref, Sibling sibling) {
  CachedFile& file = *ref.file_;
  if (file.root_ == nullptr) return false;
  const MonotonicTime now = loop_.now();
  if (file.siblings_checked_ == MonotonicTime{} || now - file.siblings_checked_ >= kTrusted) {
    file.siblings_checked_ = now;
    file.siblings_ = 0;
    for (uint8_t i = 0; i < static_cast<uint8_t>(Sibling::kCount); ++i) {
      const PathText text(file.path_, sibling_suffix(static_cast<Sibling>(i)));
      struct stat status {};
      if (text.get() != nullptr && ::fstatat(file.root_->fd.get(), text.get(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
        file.siblings_ |= static_cast<uint8_t>(1U << i);
      }
    }
  }
  return (file.siblings_ >> static_cast<uint8_t>(sibling)) & 1;
}

Result<UniqueFd> FileCache::open_folder(const FileRoot& wanted, std::string_view path) {
  const Root& root = root_of(wanted);
  if (!root.fd.valid()) return root.error;
  const PathText text(path, "");
  if (text.get() == nullptr) return Error{.code = Errc::kNotFound, .detail = "path too long"};
  return open_beneath(root.fd.get(), text.get(), root.symlinks, OpenKind::kFolder);
}

IntrusiveList<CachedFile>& FileCache::list_of(const CachedFile& file) {
  if (file.fd_.valid()) return open_;
  if (file.in_memory_ || file.kind_ == CachedFile::Kind::kFolder) return kept_;
  return missing_;
}

size_t FileCache::charge(const CachedFile& file) {
  return sizeof(CachedFile) + file.path_.capacity() + (file.content_ ? file.content_->capacity() : 0);
}

void FileCache::remember(CachedFile& file) {
  ++file.references_;
  entries_.insert(&file);
  IntrusiveList<CachedFile>& list = list_of(file);
  list.push_back(file);
  if (&list == &open_) {
    ++open_files_;
    if (!sweep_timer_.armed()) sweep_timer_.arm(kSweepInterval);
  } else if (&list == &kept_) {
    memory_used_ += charge(file);
  } else {
    ++missing_count_;
  }
  shrink(&file);
}

// Back within the limits, without `keep`.
void FileCache::shrink(const CachedFile* keep) {
  while (memory_used_ > limits_.memory_bytes && kept_.front() != keep) forget(*kept_.front());
  while (open_files_ > limits_.open_files && open_.front() != keep) forget(*open_.front());
  while (missing_count_ > limits_.missing && missing_.front() != keep) forget(*missing_.front());
}

void FileCache::forget(CachedFile& file) {
  const FileRef last(&file);
  IntrusiveList<CachedFile>& list = list_of(file);
  if (&list == &open_) {
    --open_files_;
  } else if (&list == &kept_) {
    memory_used_ -= charge(file);
  } else {
    --missing_count_;
  }
  entries_.erase(&file);
  file.unlink();
  file.root_ = nullptr;
  --file.references_;  // the cache's own
}

// Runs only while descriptors are held: an idle worker is not woken.
void FileCache::sweep() {
  const MonotonicTime now = loop_.now();
  while (CachedFile* oldest = open_.front()) {
    if (now - oldest->used_ < kIdle) break;
    forget(*oldest);
  }
  if (!open_.empty()) sweep_timer_.arm(kSweepInterval);
}

}  // namespace headgate::handlers
