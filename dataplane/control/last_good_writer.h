// last_good_writer.h -- writes down what serves, a few resources per turn of the loop: nobody waits for thousands.
//
// What is written is what served when start() was called. It goes to the parent's memory, with secrets, and to the file in
// the state directory, if there is one. A failure is logged; what was written before stays.
// Thread: control.   Owner: RemoteConfig.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "dataplane/control/last_good.h"
#include "dataplane/control/listening_sockets.h"
#include "dataplane/control/resource_store.h"
#include "dataplane/event/loop.h"

namespace headgate::control {

class LastGoodWriter {
 public:
  static constexpr size_t kPiece = 256;  // resources per turn

  // `directory` empty: only the parent is told. `done` is called after each end, good or bad.
  LastGoodWriter(event::Loop& loop, SocketBroker& broker, std::string directory, bool persist_secrets,
                 std::function<void()> done);

  [[nodiscard]] bool busy() const { return writing_; }
  // Not while it is busy.
  void start(StoredResources stored);
  // The rest at once.
  void finish();

 private:
  void write_piece();
  void end();
  void tell(const Result<void>& outcome) const;

  SocketBroker& broker_;
  const std::string directory_;
  const bool persist_secrets_;
  const std::function<void()> done_;
  event::Timer timer_;

  bool writing_ = false;
  StoredResources stored_;
  StoredResources::Iterator next_ = stored_.begin();
  std::unique_ptr<LastGoodFile> memory_;  // null: it could not be made
  std::unique_ptr<LastGoodFile> file_;    // likewise, or not wanted
};

}  // namespace headgate::control
