#include "dataplane/handlers/respond.h"

#include "dataplane/base/text.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/status.h"

namespace headgate::handlers {
namespace {

constexpr size_t kCopyUpTo = 4096;  // cheaper than counting a reference that all workers share

Error invalid(std::string* why, std::string sentence) {
  if (why != nullptr) *why = std::move(sentence);
  return {.code = Errc::kInvalid, .detail = "respond: invalid option"};
}

}  // namespace

Result<std::unique_ptr<Respond>> Respond::create(const RespondOptions& options, std::string* why) {
  std::unique_ptr<Respond> made(new Respond());  // NOLINT: private constructor
  if (options.status < 200 || options.status > 599) return invalid(why, "a status is from 200 to 599");
  if (http::has_no_content(options.status) && !options.body.empty()) {
    return invalid(why, "an answer with status " + std::to_string(options.status) + " has no body");
  }
  made->status_ = options.status;
  for (const auto& [name, value] : options.headers) {
    Result<http::FieldTemplate> field = http::parse_field_template(name, value, why);
    if (!field) return field.error();
    made->has_type_ = made->has_type_ || equals_ignore_case(name, "Content-Type");
    made->headers_.push_back(*std::move(field));
  }
  if (options.expand_body) {
    Result<http::TextTemplate> body = http::TextTemplate::parse(options.body, why);
    if (!body) return body.error();
    if (!body->is_literal()) made->body_template_ = *std::move(body);
  }
  made->body_ = std::make_shared<const std::string>(options.body);
  return made;
}

http::Run* Respond::start(http::Exchange& exchange, WorkerContext&) const {
  Arena& arena = exchange.arena();
  http::ResponseHead& response = exchange.response();
  response.status = status_;
  for (const http::FieldTemplate& field : headers_) {
    response.headers.add(arena.copy(field.name), http::expand_field(field.value, exchange));
  }
  // The handler may be gone before the body is sent: it gets a copy, or a share.
  std::string_view body = *body_;
  if (body_template_) {
    body = arena.copy(body_template_->expand(exchange));
  } else if (body.size() <= kCopyUpTo) {
    body = arena.copy(body);
  } else {
    body = **arena.make<std::shared_ptr<const std::string>>(body_);
  }
  if (!http::has_no_content(status_)) {
    if (!has_type_ && !body.empty()) response.headers.set(http::FieldId::kContentType, "text/plain; charset=utf-8");
    response.content_length = body.size();
  }
  const bool send = !body.empty() && exchange.request().method != http::Method::kHead;
  exchange.respond(send ? arena.make<http::BufferBody>(Buffer::borrow(body)) : nullptr);
  return nullptr;
}

}  // namespace headgate::handlers
