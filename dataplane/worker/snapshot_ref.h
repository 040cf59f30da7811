// snapshot_ref.h -- a worker's hold on a Snapshot: a plain count instead of an atomic one.
//
// Exchanges that have not sent their response head pin the Snapshot they began with. When the last pin of an old one
// goes, the shared_ptr is handed back to the control thread, where the tree is freed.
// Thread: worker.   Owner: itself; lives while it is current or pinned.
#pragma once

#include <functional>
#include <memory>

#include "dataplane/http/exchange.h"
#include "dataplane/snapshot/snapshot.h"

namespace headgate::worker {

class SnapshotRef final : public http::Pin {
 public:
  using Retire = std::function<void(std::shared_ptr<const snapshot::Snapshot>)>;

  // Begins with one pin: that of being current.
  static SnapshotRef* make(std::shared_ptr<const snapshot::Snapshot> snapshot, const Retire& retire) {
    auto* ref = new SnapshotRef(std::move(snapshot), retire);
    ref->retain();
    return ref;
  }
  [[nodiscard]] const snapshot::Snapshot& operator*() const { return *snapshot_; }
  [[nodiscard]] const snapshot::Snapshot* operator->() const { return snapshot_.get(); }

 private:
  SnapshotRef(std::shared_ptr<const snapshot::Snapshot> snapshot, const Retire& retire)
      : snapshot_(std::move(snapshot)), retire_(retire) {}
  ~SnapshotRef() = default;
  void on_unpinned() override {
    retire_(std::move(snapshot_));
    delete this;
  }

  std::shared_ptr<const snapshot::Snapshot> snapshot_;
  const Retire& retire_;  // the Worker's
};

}  // namespace headgate::worker
