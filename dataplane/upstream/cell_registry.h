// cell_registry.h -- the process cells of all Upstreams by (upstream name, address text): health survives reloads.
//
// Building a configuration that is then refused may attach cells; only retain(), called for what was published, lets
// any go. Exchanges that still hold an old Upstream keep its cells alive, not known here any more.
// Thread: control.   Owner: control's supervisor.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/base/hash.h"
#include "dataplane/upstream/upstream.h"

namespace headgate::upstream {

class CellRegistry {
 public:
  // Gives each endpoint its cell, found or new, and returns the cell of the Upstream. An endpoint that is new in a known
  // Upstream, or ready again after it was not, begins its slow start and has no failures.
  std::shared_ptr<UpstreamCell> attach(std::string_view upstream, std::vector<Endpoint>& endpoints, MonotonicTime now);
  // `upstream` is in use: cells of endpoints that it does not have are dropped.
  void retain(const Upstream& upstream);
  // The Upstream is gone.
  void drop(std::string_view upstream);
  [[nodiscard]] size_t upstreams() const { return entries_.size(); }
  [[nodiscard]] size_t endpoints(std::string_view upstream) const;

 private:
  template <typename T>
  using ByText = std::unordered_map<std::string, T, TextHash, TextEqual>;
  struct Entry {
    std::shared_ptr<UpstreamCell> cell = std::make_shared<UpstreamCell>();
    ByText<std::shared_ptr<EndpointCell>> endpoints{};
  };
  ByText<Entry> entries_;
};

}  // namespace headgate::upstream
