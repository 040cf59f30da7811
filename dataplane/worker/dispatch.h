// dispatch.h -- Exchange -> route -> filters -> handler; and what is counted and logged when it is over.
// Thread: worker.   Owner: OpenListener; one per listener and worker, it outlives Snapshots.
#pragma once

#include <memory>

#include "dataplane/base/overload.h"
#include "dataplane/http/exchange.h"
#include "dataplane/snapshot/snapshot.h"
#include "dataplane/worker/snapshot_ref.h"

namespace headgate::worker {

class Dispatch final : public http::ExchangeSink {
 public:
  Dispatch(WorkerContext& worker, Overload& overload) : worker_(worker), overload_(overload) {}
  ~Dispatch();
  Dispatch(const Dispatch&) = delete;
  Dispatch& operator=(const Dispatch&) = delete;

  // From the next request on. `pin` is the Snapshot that holds `listener`; it is kept until the next call: a listener
  // that leaves the configuration serves its connections by the last Snapshot that had it.
  void use(std::shared_ptr<const snapshot::Listener> listener, SnapshotRef& pin);

  // http::ExchangeSink
  void on_exchange(http::Exchange& exchange) override;
  void on_exchange_end(http::Exchange& exchange) override;
  void on_refused(uint16_t status, const Error& error) override;

 private:
  void count_response(uint16_t status);

  WorkerContext& worker_;
  Overload& overload_;
  std::shared_ptr<const snapshot::Listener> listener_;
  SnapshotRef* pin_ = nullptr;
};

}  // namespace headgate::worker
