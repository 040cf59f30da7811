#include "dataplane/control/file_watch.h"

#if __has_include(<sys/inotify.h>)
#include <sys/inotify.h>
#define HEADGATE_HAS_INOTIFY 1
#else
#define HEADGATE_HAS_INOTIFY 0
#endif

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <memory>
#include <set>
#include <utility>

#include "dataplane/base/log.h"

namespace headgate::control {
namespace {

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// The path with every symbolic link followed; empty when there is nothing.
std::string resolve(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> resolved(::realpath(path.c_str(), nullptr), &std::free);
  return resolved == nullptr ? std::string() : std::string(resolved.get());
}

}  // namespace

FileWatch::FileWatch(event::Loop& loop, std::function<void(const std::vector<std::string>&)> on_change, Mode mode,
                     Duration poll_every)
    : loop_(loop),
      on_change_(std::move(on_change)),
      poll_every_(poll_every),
      quiet_timer_(loop.timers(), event::Timer::call<&FileWatch::on_quiet>, this),
      poll_timer_(loop.timers(), event::Timer::call<&FileWatch::look>, this) {
  if (mode == Mode::kNotify) open_notify();
}

FileWatch::~FileWatch() { notify_watch_.stop(); }

void FileWatch::watch(FilePrints files) {
  files_ = std::move(files);
  arm_poll(watch_directories());
  // From here on nothing is missed; between the print and here it may have been.
  const auto changed = [](const auto& entry) { return FilePrint::of(entry.first) != entry.second; };
  if (std::ranges::any_of(files_, changed)) note_event();
}

void FileWatch::arm_poll(bool all_watched) {
  if (files_.empty()) return poll_timer_.cancel();
  poll_timer_.arm(all_watched ? poll_every_ * kPollsWhenWatched : poll_every_);
}

void FileWatch::on_quiet() {
  first_event_ = {};
  look();
}

void FileWatch::look() {
  // A directory may have come back as another one, a link may point elsewhere.
  arm_poll(watch_directories());
  const std::vector<std::string> changed = refresh(files_);
  if (!changed.empty()) on_change_(changed);
}

void FileWatch::note_event() {
  if (first_event_ == MonotonicTime()) first_event_ = loop_.now();
  quiet_timer_.arm_at(std::min(loop_.now() + kQuiet, first_event_ + kLongest));
}

#if HEADGATE_HAS_INOTIFY

void FileWatch::open_notify() {
  notify_fd_.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (notify_fd_.valid() && notify_watch_.start(loop_, notify_fd_.get(), *this)) return;
  // fs.inotify.max_user_instances is shared by all processes of a user, and small.
  HG_LOG(kWarn, kConfig, "no inotify, files are looked at once a second");
  notify_fd_.reset();
}

bool FileWatch::watch_directories() {
  if (!notify_fd_.valid()) return false;
  constexpr uint32_t kEvents = IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE |
                               IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
  std::set<std::string> wanted;
  for (const auto& [path, print] : files_) {
    wanted.insert(directory_of(path));
    if (const std::string target = resolve(path); !target.empty()) wanted.insert(directory_of(target));
  }
  bool complete = true;
  std::map<std::string, int> watched;
  for (const std::string& directory : wanted) {
    // Adding a directory again gives the number it has: nothing is lost, and one that was replaced is found anew.
    const int number = ::inotify_add_watch(notify_fd_.get(), directory.c_str(), kEvents);
    if (number < 0) {
      complete = false;
    } else {
      watched[directory] = number;
    }
  }
  for (const auto& [directory, number] : directories_) {
    const bool kept = std::ranges::any_of(watched, [&](const auto& entry) { return entry.second == number; });
    if (!kept) ::inotify_rm_watch(notify_fd_.get(), number);
  }
  directories_ = std::move(watched);
  return complete;
}

void FileWatch::on_fd_ready(uint8_t) {
  alignas(inotify_event) std::array<char, 16 * 1024> bytes;
  bool any = false;
  // What happened does not matter, only that something did: the files say the rest.
  while (::read(notify_fd_.get(), bytes.data(), bytes.size()) > 0) any = true;
  if (any) note_event();
}

#else

void FileWatch::open_notify() {}
bool FileWatch::watch_directories() { return false; }
void FileWatch::on_fd_ready(uint8_t) {}

#endif

}  // namespace headgate::control
