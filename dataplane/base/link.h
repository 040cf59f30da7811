// link.h -- two-ended weak link: when either end is destroyed or cut, the other sees null.
// Thread: worker.   Owner: each end is a member of the object it speaks for.
//
//   Exchange { LinkEnd<Exchange, ClientExchange> upstream; }   ClientExchange { LinkEnd<...> downstream; }
#pragma once

#include "dataplane/base/check.h"

namespace headgate {

template <typename Self, typename Other>
class LinkEnd {
 public:
  explicit LinkEnd(Self& self) : self_(&self) {}
  LinkEnd(const LinkEnd&) = delete;
  LinkEnd& operator=(const LinkEnd&) = delete;
  ~LinkEnd() { cut(); }

  // Joins two free ends.
  void join(LinkEnd<Other, Self>& end) {
    HG_DCHECK(other_end_ == nullptr && end.other_end_ == nullptr);
    other_end_ = &end;
    end.other_end_ = this;
  }
  void cut() {
    if (other_end_ == nullptr) return;
    other_end_->other_end_ = nullptr;
    other_end_ = nullptr;
  }
  [[nodiscard]] Other* get() const { return other_end_ == nullptr ? nullptr : other_end_->self_; }
  explicit operator bool() const { return other_end_ != nullptr; }
  Other* operator->() const { return get(); }

 private:
  friend class LinkEnd<Other, Self>;
  Self* self_;
  LinkEnd<Other, Self>* other_end_ = nullptr;
};

}  // namespace headgate
