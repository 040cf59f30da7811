// session_affinity.h -- requests of one session go to one endpoint: a cookie says which.
//
// The cookie is "<key>|<tag>", as ingress-nginx has it. The tag names the Upstream, so that of several backends (canary)
// the one that began a session keeps it. Persistent: the key names the endpoint (upstream/sticky_index.h) and the
// session moves when that is gone. Balanced: the key is a random text that a hash ring gives to an endpoint, so that a
// new endpoint takes over its share of the sessions, and no others move.
//
//   what came                               goes to                           new cookie
//   no cookie, or another Upstream's        persistent: as the policy says    yes
//                                           balanced: the ring, a fresh key   yes
//   a key, its endpoint is usable           that endpoint; a retry too,       no, or with `change_on_failure`
//                                           unless `change_on_failure`        after a failed attempt
//   a key, its endpoint is out for now      the next one on the ring          no: the session comes back
//   a key, its endpoint has gone            as without a cookie               persistent: yes; balanced: no, the ring
//                                                                             has its answer already
//
// Thread: SessionAffinity const and shared; a StickyPick belongs to one ProxyRun.   Spec: RFC 6265 4.1.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "dataplane/http/exchange.h"
#include "dataplane/upstream/balancer.h"

namespace headgate::handlers {

struct AffinityOptions {
  enum class Secure : uint8_t { kTlsClients, kAlways, kNever };

  std::string cookie;
  bool persistent = false;
  bool change_on_failure = false;
  std::string path = "/";
  std::string domain;                  // empty: none
  std::optional<uint64_t> max_age_s;
  std::optional<uint64_t> expires_s;   // from now
  std::string same_site;               // "None", "Lax", "Strict"; empty: none
  bool conditional_same_site = false;  // no SameSite=None for clients that misread it
  Secure secure = Secure::kTlsClients;
};

class SessionAffinity {
 public:
  explicit SessionAffinity(AffinityOptions options);
  [[nodiscard]] const AffinityOptions& options() const { return options_; }

  struct Mark {
    std::string_view key;  // empty: no session yet
    std::string_view tag;
  };
  // Views into the request head.
  [[nodiscard]] Mark mark_of(const http::RequestHead& request) const;
  // Adds the cookie to the response.
  void give(http::Exchange& exchange, std::string_view key, std::string_view tag) const;

 private:
  AffinityOptions options_;
  std::string attributes_;  // the part that is always the same
};

// The choice for one request, over all its attempts.
class StickyPick {
 public:
  // `key`: of the session; empty: a new one begins. Both outlive this.
  StickyPick(const SessionAffinity& affinity, std::string_view key) : affinity_(affinity), held_(key) {}

  // As upstream::pick(), which it asks.
  std::optional<uint32_t> pick(const upstream::Upstream& upstream, upstream::PickInput& input, Arena& arena);
  // The attempt at what pick() said did not work.
  void attempt_failed() {
    if (affinity_.options().change_on_failure) held_ = {};
  }
  // For a new cookie; empty: the client has the right one, or none is needed.
  [[nodiscard]] std::string_view new_key() const { return made_; }

 private:
  std::optional<uint32_t> stay(const upstream::Upstream& upstream, upstream::PickInput& input) const;
  std::optional<uint32_t> begin(const upstream::Upstream& upstream, upstream::PickInput& input, Arena& arena);

  const SessionAffinity& affinity_;
  std::string_view held_;
  std::string_view made_;
};

// Browsers that take SameSite=None for Strict, or drop the cookie: Safari and everything on iOS 12, Safari on macOS
// 10.14, Chrome 51 to 66, UC Browser before 12.13.2.
bool misreads_same_site_none(std::string_view user_agent);

}  // namespace headgate::handlers
