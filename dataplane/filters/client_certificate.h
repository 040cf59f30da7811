// client_certificate.h -- the client certificate that a host asks for, judged in HTTP.
//
//   the connection was not asked for this host's certificate (another SNI)   421, so that the client opens another one
//   none, or one that does not verify                                        400, or a redirect to the error page
//   another common name, or none where one is demanded                       403
//   no TLS at all                                                            403 in ACCESS: the redirect to https is before
//
// ssl-client-verify (SUCCESS, NONE, FAILED:why), -subject-dn, -issuer-dn and, when asked for, ssl-client-cert (PEM,
// percent-encoded) replace what the client says under these names.
// Phase: before all others; PlainGuard: ACCESS.   Thread: see filter.h.   Spec: RFC 9110 15.5.20 (421).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "dataplane/http/filter.h"
#include "dataplane/http/predicate.h"

namespace headgate::filters {

struct ClientCertificateOptions {
  std::string rule{};    // tls::ClientRule::name
  bool required = true;  // false: a client without certificate passes
  std::optional<http::TextMatcher> common_name{};
  std::string error_page{};  // URL or path; empty: 400
  bool pass_certificate = false;
  bool accept_unknown = false;  // one that nobody known signed passes, too
};

class ClientCertificate final : public http::Filter {
 public:
  explicit ClientCertificate(ClientCertificateOptions options);
  http::FilterRun* start(http::Exchange& exchange, WorkerContext& worker) const override;

  // Refuses what came without TLS.
  class PlainGuard final : public http::Filter {
   public:
    http::FilterRun* start(http::Exchange& exchange, WorkerContext& worker) const override;
  };

 private:
  // The status of the refusal; 0: pass. 302: to the error page.
  [[nodiscard]] uint16_t judge(const http::Exchange& exchange) const;
  void tell_upstream(http::Exchange& exchange) const;

  const ClientCertificateOptions options_;
  std::string open_path_;  // of the error page, where it is on this host
};

}  // namespace headgate::filters
