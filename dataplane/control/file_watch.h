// file_watch.h -- says when one of a set of files has changed.
//
// The directories are watched, not the files, so that an editor's rename over the file, and the swapped symbolic link of
// a mounted ConfigMap or Secret (file -> ..data/file), are seen. What counts is that the file behind the path is another
// one or has another size or time than when it was read; many changes in a row are one call. Where inotify is missing or
// exhausted, and while a directory is missing, the files are looked at once a second; else every five, for those that
// another machine changes (NFS, a folder of the host in a virtual machine): the kernel tells nothing of that.
// Thread: that of the loop.   Owner: control.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "dataplane/base/file_print.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/event/loop.h"

namespace headgate::control {

class FileWatch final : private event::FdObserver {
 public:
  enum class Mode : uint8_t { kNotify, kPoll };
  static constexpr Duration kQuiet = std::chrono::milliseconds(100);    // without another event before the call
  static constexpr Duration kLongest = std::chrono::milliseconds(1000);  // but no longer than this after the first
  static constexpr Duration kPollEvery = std::chrono::seconds(1);      // for files that cannot be watched
  static constexpr int kPollsWhenWatched = 5;                            // in this many kPollEvery one, for all others

  // `on_change` gets the paths that changed, in order; it may call watch().
  FileWatch(event::Loop& loop, std::function<void(const std::vector<std::string>&)> on_change,
            Mode mode = Mode::kNotify, Duration poll_every = kPollEvery);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  // Replaces the set. Files need not exist. What has become another one since its print was taken is a change.
  void watch(FilePrints files);
  [[nodiscard]] Mode mode() const { return notify_fd_.valid() ? Mode::kNotify : Mode::kPoll; }

 private:
  void open_notify();
  // False when a directory could not be watched.
  bool watch_directories();
  void arm_poll(bool all_watched);
  void on_fd_ready(uint8_t ready) override;
  void note_event();
  void on_quiet();
  void look();

  event::Loop& loop_;
  std::function<void(const std::vector<std::string>&)> on_change_;
  FilePrints files_;
  std::map<std::string, int> directories_;  // path -> watch descriptor
  UniqueFd notify_fd_;
  event::FdWatch notify_watch_;
  const Duration poll_every_;
  event::Timer quiet_timer_;
  event::Timer poll_timer_;
  MonotonicTime first_event_{};
};

}  // namespace headgate::control
