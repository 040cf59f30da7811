#include "dataplane/control/last_good_writer.h"

#include <utility>

#include "dataplane/base/check.h"
#include "dataplane/base/log.h"

namespace headgate::control {

LastGoodWriter::LastGoodWriter(event::Loop& loop, SocketBroker& broker, std::string directory, bool persist_secrets,
                               std::function<void()> done)
    : broker_(broker),
      directory_(std::move(directory)),
      persist_secrets_(persist_secrets),
      done_(std::move(done)),
      timer_(loop.timers(), event::Timer::call<&LastGoodWriter::write_piece>, this) {}

void LastGoodWriter::tell(const Result<void>& outcome) const {
  if (outcome) return;
  HG_LOG(kError, kControl, "cannot write the last-good file", {"directory", directory_},
         {"error", to_string(outcome.error())});
}

void LastGoodWriter::start(StoredResources stored) {
  HG_CHECK(!writing_);
  writing_ = true;
  stored_ = std::move(stored);
  next_ = stored_.begin();
  memory_ = LastGoodFile::in_memory();
  if (!directory_.empty()) {
    auto file = LastGoodFile::in(directory_);
    if (file) {
      file_ = std::move(*file);
    } else {
      tell(file.error());
    }
  }
  timer_.arm(Duration(0));
}

void LastGoodWriter::write_piece() {
  for (size_t i = 0; i < kPiece && next_ != stored_.end(); ++i, ++next_) {
    const StoredResource& stored = **next_;
    v1::Resource resource;
    if (!stored.fill(resource)) continue;
    if (memory_ != nullptr) memory_->add(resource);
    if (file_ != nullptr && (persist_secrets_ || !is_secret(stored.key.kind))) file_->add(resource);
  }
  if (next_ == stored_.end()) return end();
  timer_.arm(Duration(0));
}

void LastGoodWriter::finish() {
  while (writing_) write_piece();
}

void LastGoodWriter::end() {
  timer_.cancel();
  writing_ = false;
  if (memory_ != nullptr) {
    const auto file = memory_->finish();
    if (file) broker_.keep_last_good(*file);
  }
  if (file_ != nullptr) {
    const auto file = file_->finish();
    tell(file ? Result<void>() : Result<void>(file.error()));
  }
  memory_ = nullptr;
  file_ = nullptr;
  stored_.clear();
  next_ = stored_.begin();
  done_();
}

}  // namespace headgate::control
