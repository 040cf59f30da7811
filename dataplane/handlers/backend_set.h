// backend_set.h -- the backends of one proxied route, and which of them a request goes to.
//
// In this order (ingress-nginx's): the backend whose session the request belongs to; the first choice whose mark the
// request has; by weight. Weight 0 takes no new traffic: sessions and marked requests still get there.
// Thread: const and shared.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "dataplane/http/filter.h"
#include "dataplane/http/predicate.h"
#include "dataplane/http/response_change.h"
#include "dataplane/handlers/session_affinity.h"

namespace headgate::handlers {

struct ProxyBackend {
  uint32_t slot = 0;  // of the Upstream
  uint32_t weight = 1;
  bool sticky = true;  // takes part in session affinity
  // On the head of each attempt towards this backend, and on what comes back.
  std::vector<std::shared_ptr<const http::HeadChange>> head_changes;
  std::vector<std::shared_ptr<const http::ResponseChange>> response_changes;
};

// A request with this mark goes to that backend.
struct BackendChoice {
  http::Predicate mark;
  uint32_t backend = 0;
};

class BackendSet {
 public:
  BackendSet(std::vector<ProxyBackend> backends, std::vector<BackendChoice> choices);

  struct Chosen {
    const ProxyBackend* backend = nullptr;  // null: there is none
    std::string_view session;               // key of the session that brought us here; empty: none
  };
  [[nodiscard]] const std::vector<ProxyBackend>& all() const { return backends_; }
  // `affinity`: null when the route keeps no sessions.
  [[nodiscard]] Chosen choose(const http::Exchange& exchange, const SessionAffinity* affinity) const;

 private:
  [[nodiscard]] const ProxyBackend* by_weight(Random& random) const;

  std::vector<ProxyBackend> backends_;
  std::vector<BackendChoice> choices_;
  uint64_t total_weight_ = 0;
};

}  // namespace headgate::handlers
