// rewindable_body.h -- a request body as attempts see it: it may have to be sent again.
// Thread: worker.   Owner: the Exchange's arena.
#pragma once

#include "dataplane/http/body.h"

namespace headgate::handlers {

class RewindableBody : public http::BodySource {
 public:
  [[nodiscard]] virtual bool replayable() const = 0;
  // Has anything been taken out?
  [[nodiscard]] virtual bool begun() const = 0;
  // Starts again from the first byte. Only while replayable(), and not while a pull is outstanding on the old attempt:
  // that attempt must have been canceled.
  virtual void rewind() = 0;
  // The response is on its way: what was kept is not needed any more.
  virtual void forget() = 0;
};

}  // namespace headgate::handlers
