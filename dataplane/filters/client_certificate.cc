#include "dataplane/filters/client_certificate.h"

#include "dataplane/http/error_response.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/status.h"
#include "dataplane/http/uri.h"

namespace headgate::filters {
namespace {

using http::FieldId;

// Subjects may hold anything; a field value may not.
std::string_view field_text(std::string_view text, Arena& arena) {
  char* const copy = arena.allocate_text(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    copy[i] = byte < 0x20 || byte == 0x7f ? '?' : text[i];
  }
  return {copy, text.size()};
}

class Refusal final : public http::FilterRun {
 public:
  Refusal(uint16_t status, std::string_view location) : location_(location), status_(status) {}
  http::Verdict on_request(http::Exchange& exchange) override {
    if (status_ != 302) {
      http::write_status_response(exchange, status_);
      return http::Verdict::kAnswered;
    }
    exchange.response().headers.set(FieldId::kLocation, exchange.arena().copy(location_));
    exchange.response().headers.set(FieldId::kCacheControl, "no-store");
    exchange.respond_text(302, "text/plain", http::reason_phrase(302));
    return http::Verdict::kAnswered;
  }

 private:
  const std::string_view location_;
  const uint16_t status_;
};

}  // namespace

ClientCertificate::ClientCertificate(ClientCertificateOptions options) : options_(std::move(options)) {
  if (options_.error_page.starts_with('/')) open_path_ = options_.error_page.substr(0, options_.error_page.find('?'));
}

uint16_t ClientCertificate::judge(const http::Exchange& exchange) const {
  const TlsFacts* const tls = exchange.connection().tls;
  if (tls == nullptr) return 0;  // PlainGuard has the last word
  const JudgedCertificate* const judged = tls->judged.get();
  if (judged == nullptr || judged->rule != options_.rule) return 421;
  const uint16_t refused = options_.error_page.empty() ? 400 : 302;
  if (!judged->presented && options_.required) return refused;
  if (!judged->problem.empty() && !(options_.accept_unknown && judged->unknown_authority)) return refused;
  // Whoever need not show one that verifies still is nobody without the right name.
  if (options_.common_name && !options_.common_name->matches(judged->common_name)) return 403;
  return 0;
}

void ClientCertificate::tell_upstream(http::Exchange& exchange) const {
  http::HeaderMap& fields = exchange.request().headers;
  Arena& arena = exchange.arena();
  const TlsFacts* const tls = exchange.connection().tls;
  const JudgedCertificate* const judged = tls == nullptr ? nullptr : tls->judged.get();
  for (const char* name : {"ssl-client-subject-dn", "ssl-client-issuer-dn", "ssl-client-cert"}) fields.remove(name);
  if (judged == nullptr || !judged->presented) {
    fields.set("ssl-client-verify", "NONE");
    return;
  }
  fields.set("ssl-client-verify", judged->problem.empty() ? "SUCCESS" : arena.concat("FAILED:", judged->problem));
  fields.set("ssl-client-subject-dn", field_text(judged->subject, arena));
  fields.set("ssl-client-issuer-dn", field_text(judged->issuer, arena));
  if (options_.pass_certificate) fields.set("ssl-client-cert", http::encode_path(judged->pem, "", arena));
}

http::FilterRun* ClientCertificate::start(http::Exchange& exchange, WorkerContext&) const {
  uint16_t status = judge(exchange);
  const bool open = !open_path_.empty() && exchange.request().path == open_path_;
  if (status == 302 && open) status = 0;
  if (status != 0) return exchange.arena().make<Refusal>(status, options_.error_page);
  tell_upstream(exchange);
  return nullptr;
}

http::FilterRun* ClientCertificate::PlainGuard::start(http::Exchange& exchange, WorkerContext&) const {
  return exchange.connection().tls != nullptr ? nullptr : exchange.arena().make<Refusal>(uint16_t{403}, "");
}

}  // namespace headgate::filters
