// redirect.h -- filters that answer with a redirect: by parts of the address (or a whole one), and to https.
// Phases: RETURN (RedirectFilter), TLS_REDIRECT (TlsRedirect).   Thread: see filter.h.   Spec: RFC 9110 15.4.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "dataplane/base/result.h"
#include "dataplane/filters/rewrite.h"
#include "dataplane/http/field_text.h"
#include "dataplane/http/filter.h"

namespace headgate::filters {

struct RedirectFilterOptions {
  uint16_t status = 302;    // 300-308 without 304 and 306
  std::string location;     // complete, with $variables; then the parts below must be empty
  std::string scheme;       // "http" or "https"; empty: unchanged
  std::string host;         // empty: unchanged
  uint16_t port = 0;        // 0: the scheme's own when `scheme` is given, else unchanged
  PathRewriteOptions path;  // kNone: unchanged
  std::string only_path;    // acts on this exact path only; empty: on every path
};

class RedirectFilter final : public http::Filter {
 public:
  // kInvalid, with a sentence for the user: a status that redirects nobody, a location beside parts, a bad part.
  static Result<std::unique_ptr<RedirectFilter>> create(RedirectFilterOptions options, std::string* why = nullptr);
  // Null when `only_path` is another path.
  http::FilterRun* start(http::Exchange& exchange, WorkerContext& worker) const override;

 private:
  class RedirectRun;
  RedirectFilter() = default;

  RedirectFilterOptions options_;
  std::optional<http::LocationTemplate> location_;
  PathRewriter path_;
};

struct TlsRedirectOptions {
  uint16_t status = 308;
  uint16_t port = 443;           // left out of the address when it is 443
  bool trust_forwarded = false;  // a request that a trusted proxy calls https is not redirected
};

// Sends requests that came without TLS to https://. Whether a host without a certificate of its own is redirected is
// decided by whoever adds the filter.
class TlsRedirect final : public http::Filter {
 public:
  explicit TlsRedirect(const TlsRedirectOptions& options) : options_(options) {}
  http::FilterRun* start(http::Exchange& exchange, WorkerContext& worker) const override;

 private:
  const TlsRedirectOptions options_;
};

}  // namespace headgate::filters
