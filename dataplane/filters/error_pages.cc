#include "dataplane/filters/error_pages.h"

#include <algorithm>

#include "dataplane/base/number.h"
#include "dataplane/filters/drained_body.h"
#include "dataplane/http/error_response.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/forwarded.h"
#include "dataplane/http/hop_by_hop.h"
#include "dataplane/http/request_id.h"
#include "dataplane/upstream/subrequest.h"

namespace headgate::filters {
namespace {

using http::FieldId;


class ErrorPagesRun final : public http::FilterRun,
                            private http::ResponseInterceptor,
                            private upstream::SubrequestObserver {
 public:
  ErrorPagesRun(const ErrorPagesOptions& options, http::Exchange& exchange)
      : options_(options), exchange_(exchange), request_(exchange.worker(), exchange.arena(), *this) {
    exchange.add_interceptor(*this);
  }

 private:
  bool intercept(http::Exchange& exchange, http::BodySource* body) override {
    const bool from_upstream = exchange.upstream_status != 0 && !exchange.failed;
    status_ = exchange.response().status;
    if (from_upstream && !options_.upstream_errors) return false;
    if (std::find(options_.statuses.begin(), options_.statuses.end(), status_) == options_.statuses.end()) return false;
    if (options_.slot) {
      fill_request();
      if (!request_.start(*options_.slot, options_.timeout)) return false;
      drop(body);
      return true;
    }
    drop(body);
    exchange.response() = http::ResponseHead(exchange.arena());
    exchange.respond_text(status_, options_.content_type, exchange.arena().copy(options_.body));
    return true;
  }

  void drop(http::BodySource* body) {
    if (body != nullptr) drain_.start(*body, kDrainedBody, [](void*, bool) {}, nullptr);
  }

  void fill_request() {
    Arena& arena = exchange_.arena();
    const http::RequestHead& from = exchange_.request();
    http::RequestHead& head = request_.request();
    head.method = from.method;
    head.method_text = from.method_text;
    head.target = "/";
    head.authority = from.authority;
    head.headers.assign(from.headers);
    http::strip_hop_by_hop(head.headers, http::TeField::kDrop);
    head.headers.remove_if([](const http::Field& field) {
      switch (field.id) {
        case FieldId::kContentLength:
        case FieldId::kContentEncoding:
        case FieldId::kTrailer:
        case FieldId::kRange:
        case FieldId::kIfRange:
        case FieldId::kIfMatch:
        case FieldId::kIfNoneMatch:
        case FieldId::kIfModifiedSince:
        case FieldId::kIfUnmodifiedSince: return true;
        default: return false;
      }
    });
    http::write_forwarded(exchange_, {}, head.headers);
    char digits[20];
    head.headers.set("X-Code", arena.copy({digits, static_cast<size_t>(write_decimal(digits, status_) - digits)}));
    head.headers.set("X-Format", arena.copy(from.headers.combined(FieldId::kAccept)));
    head.headers.set("X-Original-URI", exchange_.original_target());
    http::ensure_request_id(exchange_, head.headers);
    for (const http::FieldTemplate& field : options_.request_fields) {
      head.headers.set(field.name, http::expand_field(field.value, exchange_));
    }
  }

  void on_subrequest_answer(http::BodySource* body) override {
    if (exchange_.head_sent()) {  // the request broke off
      if (body != nullptr) body->cancel();
      return;
    }
    http::ResponseHead& head = exchange_.response();
    head = http::ResponseHead(exchange_.arena());
    http::ResponseHead& page = request_.response();
    head.status = page.status;
    head.reason = page.reason;
    head.content_length = page.content_length;
    head.headers.assign(page.headers);
    http::strip_hop_by_hop(head.headers, http::TeField::kDrop);
    exchange_.keep_response(request_.response_memory());
    exchange_.respond(body);
  }

  void on_subrequest_failed(const Error&) override {
    if (!exchange_.head_sent()) http::write_status_response(exchange_, status_);
  }

  const ErrorPagesOptions& options_;  // of the pinned Snapshot: not used once the head is sent
  http::Exchange& exchange_;
  upstream::Subrequest request_;
  http::BodyDrain drain_;
  uint16_t status_ = 0;
};

}  // namespace

http::FilterRun* ErrorPages::start(http::Exchange& exchange, WorkerContext&) const {
  return exchange.arena().make<ErrorPagesRun>(options_, exchange);
}

}  // namespace headgate::filters
