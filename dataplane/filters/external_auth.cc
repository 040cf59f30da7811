#include "dataplane/filters/external_auth.h"

#include <array>

#include "dataplane/base/text.h"
#include "dataplane/filters/drained_body.h"
#include "dataplane/filters/target_text.h"
#include "dataplane/http/error_response.h"
#include "dataplane/http/forwarded.h"
#include "dataplane/http/hop_by_hop.h"
#include "dataplane/http/request_id.h"
#include "dataplane/http/status.h"
#include "dataplane/http/uri.h"
#include "dataplane/upstream/subrequest.h"

namespace headgate::filters {
namespace {

using http::FieldId;


// Fields of a request that are about its body or about what the client has already: not about the question.
bool is_about_the_resource(FieldId id, std::string_view name) {
  switch (id) {
    case FieldId::kContentLength:
    case FieldId::kTransferEncoding:
    case FieldId::kContentEncoding:
    case FieldId::kExpect:
    case FieldId::kRange:
    case FieldId::kIfRange:
    case FieldId::kIfMatch:
    case FieldId::kIfNoneMatch:
    case FieldId::kIfModifiedSince:
    case FieldId::kIfUnmodifiedSince:
    case FieldId::kXForwardedProto: return true;
    default: return equals_ignore_case(name, "Trailer");
  }
}

// nginx's `add_header` without `always`.
bool takes_cookies(uint16_t status) {
  constexpr std::array<uint16_t, 10> kStatuses = {200, 201, 204, 206, 301, 302, 303, 304, 307, 308};
  for (const uint16_t one : kStatuses) {
    if (one == status) return true;
  }
  return false;
}

class ExternalAuthRun final : public AccessRun, private upstream::SubrequestObserver {
 public:
  ExternalAuthRun(const ExternalAuthOptions& options, http::Exchange& exchange)
      : options_(options), exchange_(exchange), question_(exchange.worker(), exchange.arena(), *this) {}

  Access check(http::Exchange&, AccessSink& later) override {
    sink_ = &later;
    fill_question();
    if (const auto started = question_.start(options_.slot, options_.timeout); !started) {
      return on_no_answer(started.error());
    }
    return Access::kPending;
  }

  [[nodiscard]] uint16_t denial() const override { return status_; }

  void deny(http::Exchange& exchange) override {
    if (status_ == 500) {
      exchange.respond_error(error_);
    } else {
      http::write_status_response(exchange, status_);
    }
  }

  void on_response(http::Exchange& exchange, http::ResponseHead& head) override {
    if (!answered_) return;
    const bool challenge = head.status == 401 && exchange.upstream_status == 0;
    for (const http::Field& field : question_.response().headers.fields()) {
      if ((field.id == FieldId::kSetCookie && (options_.always_set_cookie || takes_cookies(head.status))) ||
          (field.id == FieldId::kWwwAuthenticate && challenge)) {
        head.headers.add(field.id, field.name, field.value);
      }
    }
  }

 private:
  void fill_question() {
    Arena& arena = exchange_.arena();
    const http::RequestHead& from = exchange_.request();
    http::RequestHead& head = question_.request();
    head.method_text = options_.method;
    head.method = http::parse_method(options_.method);
    head.target = options_.path ? expand_target(*options_.path, exchange_) : "/";
    head.headers.assign(from.headers);
    http::strip_hop_by_hop(head.headers, http::TeField::kDrop);
    head.headers.remove_if([](const http::Field& field) { return is_about_the_resource(field.id, field.name); });
    head.headers.remove(FieldId::kHost);
    if (!options_.host.empty()) {
      head.authority = options_.host;
      head.headers.set(FieldId::kHost, options_.host);
    }
    http::write_forwarded(exchange_, {}, head.headers);
    head.headers.remove(FieldId::kXForwardedProto);
    const std::string_view scheme = http::scheme_name(from.scheme);
    const std::string_view target = exchange_.request().target;
    head.headers.set("X-Original-URL", arena.concat(scheme, "://", from.authority, target));
    head.headers.set("X-Original-Method", from.method_text);
    if (options_.original_uri) {
      head.headers.set("X-Original-URI", target);
      head.headers.set("X-Scheme", scheme);
    }
    head.headers.set("X-Auth-Request-Redirect",
                     options_.redirect_value ? http::expand_field(*options_.redirect_value, exchange_) : target);
    http::ensure_request_id(exchange_, head.headers);
    for (const http::FieldTemplate& field : options_.request_fields) {
      head.headers.set(field.name, http::expand_field(field.value, exchange_));
    }
  }

  Access on_no_answer(const Error& error) {
    error_ = {.code = Errc::kInternal, .detail = "the authorization server did not answer"};
    if (error.code == Errc::kTimeout) error_.detail = "the authorization server did not answer in time";
    status_ = 500;
    return options_.fail_open ? Access::kGranted : Access::kDenied;
  }

  void on_subrequest_answer(http::BodySource* body) override {
    if (body != nullptr) drain_.start(*body, kDrainedBody, [](void*, bool) {}, nullptr);
    answered_ = true;
    const uint16_t status = question_.response().status;
    if (status >= 200 && status < 300) {
      take_fields();
      sink_->on_access(Access::kGranted);
      return;
    }
    status_ = status == 401 || status == 403 ? status : 500;
    error_ = {.code = Errc::kInternal, .detail = "the authorization server answered neither 2xx, 401 nor 403"};
    sink_->on_access(Access::kDenied);
  }

  void on_subrequest_failed(const Error& error) override { sink_->on_access(on_no_answer(error)); }

  // A field that the answer lacks must not come from the client.
  void take_fields() {
    Arena& arena = exchange_.arena();
    http::HeaderMap& fields = exchange_.request().headers;
    for (const std::string& name : options_.response_fields) {
      fields.remove(name);
      for (const http::Field& field : question_.response().headers.fields()) {
        if (equals_ignore_case(field.name, name)) fields.add(field.id, arena.copy(field.name), arena.copy(field.value));
      }
    }
  }

  const ExternalAuthOptions& options_;
  http::Exchange& exchange_;
  AccessSink* sink_ = nullptr;
  upstream::Subrequest question_;
  http::BodyDrain drain_;
  Error error_;
  uint16_t status_ = 500;
  bool answered_ = false;
};

}  // namespace

AccessRun* ExternalAuth::start(http::Exchange& exchange) const {
  return exchange.arena().make<ExternalAuthRun>(options_, exchange);
}

bool ExternalAuth::sign_in(http::Exchange& exchange) const {
  if (!options_.sign_in) return false;
  Arena& arena = exchange.arena();
  const http::RequestHead& request = exchange.request();
  std::string_view location = http::expand_location(*options_.sign_in, exchange);
  const std::string& name = options_.sign_in_parameter;
  const size_t mark = location.find('?');
  const bool there = mark != std::string_view::npos &&
                     (location.substr(mark + 1).starts_with(name + "=") ||
                      location.find("&" + name + "=", mark) != std::string_view::npos);
  if (!there) {
    location = arena.concat(location, mark == std::string_view::npos ? "?" : "&", name, "=",
                            http::scheme_name(request.scheme), "://", request.authority,
                            http::encode_path(exchange.request().target, "", arena));
  }
  exchange.response().headers.set(FieldId::kLocation, location);
  exchange.response().headers.set(FieldId::kCacheControl, "no-store");
  exchange.respond_text(302, "text/plain", http::reason_phrase(302));
  return true;
}

}  // namespace headgate::filters
