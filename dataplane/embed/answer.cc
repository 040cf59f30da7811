#include "dataplane/embed/answer.h"

#include <exception>

#include "dataplane/base/log.h"
#include "dataplane/http/error_response.h"
#include "dataplane/http/status.h"

namespace headgate::embed {
namespace {

constexpr Error kProducerFailed{.code = Errc::kInternal, .detail = "the producer of a body failed"};

class ProducedBody final : public http::BodySource {
 public:
  ProducedBody(Response::Producer producer, std::optional<uint64_t> length)
      : producer_(std::move(producer)), left_(length) {}
  [[nodiscard]] std::optional<uint64_t> remaining() const override { return left_; }

 private:
  void on_pull() override {
    if (ended_) {
      finish();
      return;
    }
    chunk_.clear();
    if (!produce()) {
      fail(kProducerFailed);
    } else if (chunk_.empty()) {
      finish();
    } else {
      if (left_) left_ = *left_ - std::min<uint64_t>(*left_, chunk_.size());
      deliver(Buffer::copy(chunk_));
    }
  }
  void on_cancel() override { producer_ = nullptr; }

  // False: an exception, or neither bytes nor the end.
  bool produce() {
    try {
      ended_ = !producer_(chunk_);
    } catch (const std::exception& thrown) {
      HG_LOG(kError, kHttp, "the producer of a body threw", {"error", thrown.what()});
      return false;
    } catch (...) {
      HG_LOG(kError, kHttp, "the producer of a body threw");
      return false;
    }
    if (ended_ || !chunk_.empty()) return true;
    HG_LOG(kError, kHttp, "the producer of a body made nothing and says that more follows");
    return false;
  }

  Response::Producer producer_;
  std::string chunk_;
  std::optional<uint64_t> left_;
  bool ended_ = false;
};

void write_head(http::Exchange& exchange, const Response& response) {
  http::ResponseHead& head = exchange.response();
  Arena& arena = exchange.arena();
  head.status = response.status();
  head.headers.clear();
  for (const auto& [name, value] : response.headers()) head.headers.add(arena.copy(name), arena.copy(value));
}

// The user's hook must not bring us down.
void call_hook(const ErrorHook& hook, const Failure& failure, const RequestView& request, Response& response) {
  try {
    hook(failure, request, response);
    const std::string_view problem = response.problem();
    if (problem.empty()) return;
    HG_LOG(kError, kHttp, "the error hook's answer cannot be sent", {"error", problem});
  } catch (const std::exception& thrown) {
    HG_LOG(kError, kHttp, "the error hook threw", {"error", thrown.what()});
  } catch (...) {
    HG_LOG(kError, kHttp, "the error hook threw");
  }
  response = Response(failure.status);
}

void send(http::Exchange& exchange, Response&& response) {
  write_head(exchange, response);
  Arena& arena = exchange.arena();
  if (response.is_stream()) {
    exchange.response().content_length = response.stream_length();
    exchange.respond(arena.make<ProducedBody>(response.take_producer(), response.stream_length()));
    return;
  }
  const auto* body = arena.make<std::string>(response.take_body());
  if (!http::has_no_content(response.status())) exchange.response().content_length = body->size();
  exchange.respond(body->empty() ? nullptr : arena.make<http::BufferBody>(Buffer::borrow(*body)));
}

}  // namespace

RequestView view_of(http::Exchange& exchange, std::span<const std::string> names, std::string_view body) {
  const http::RequestHead& head = exchange.request();
  Arena& arena = exchange.arena();
  RequestView::Parts parts{.method = head.method_text,
                           .target = head.target,
                           .path = head.path,
                           .query = head.query,
                           .host = head.host,
                           .body = body,
                           .secure = exchange.connection().tls != nullptr};
  if (exchange.connection().remote.is_ip()) {
    char* const text = arena.allocate_text(46);
    parts.client = {text, static_cast<size_t>(exchange.client_address.write(text) - text)};
  }
  // The codecs keep Host apart from the other fields.
  const bool add_host = !head.authority.empty() && !head.headers.has(http::FieldId::kHost);
  const auto fields = head.headers.fields();
  const size_t count = fields.size() + (add_host ? 1 : 0);
  auto* const views = static_cast<HeaderField*>(arena.allocate(sizeof(HeaderField) * count, alignof(HeaderField)));
  for (size_t i = 0; i < fields.size(); ++i) new (&views[i]) HeaderField{fields[i].name, fields[i].value};
  if (add_host) new (&views[count - 1]) HeaderField{"Host", head.authority};
  parts.headers = {views, count};
  const Captures* captures = exchange.captures();
  if (!names.empty() && captures != nullptr) {
    auto* const values =
        static_cast<PathParameter*>(arena.allocate(sizeof(PathParameter) * names.size(), alignof(PathParameter)));
    for (size_t i = 0; i < names.size(); ++i) {
      new (&values[i]) PathParameter{names[i], arena.copy(decode_percent(captures->groups[i + 1], false))};
    }
    parts.parameters = {values, names.size()};
  }
  return RequestView(parts);
}

void answer(http::Exchange& exchange, Response&& response, const ErrorHook& hook) {
  const std::string_view problem = response.problem();
  if (!problem.empty()) {
    HG_LOG(kError, kHttp, "a handler's answer cannot be sent", {"path", exchange.request().path}, {"error", problem});
    answer_failure(exchange, 500, problem, hook);
    return;
  }
  send(exchange, std::move(response));
}

void answer_with(http::Exchange& exchange, const Response& head, http::BodySource& body, std::optional<uint64_t> length) {
  write_head(exchange, head);
  exchange.response().content_length = length;
  exchange.respond(&body);
}

void answer_failure(http::Exchange& exchange, uint16_t status, std::string_view reason, const ErrorHook& hook,
                    std::string_view allow) {
  if (exchange.head_sent()) return;
  Response response(status);
  if (!http::has_no_content(status)) {
    response.set_body(std::to_string(status) + " " + std::string(http::reason_phrase(status)) + "\n");
    response.set_header("Cache-Control", "no-store");
  }
  if (!allow.empty()) response.set_header("Allow", allow);
  if (status == 503) response.set_header("Retry-After", "1");
  if (hook && status >= 400) call_hook(hook, {status, reason}, view_of(exchange, {}, {}), response);
  send(exchange, std::move(response));
}

void answer_error(http::Exchange& exchange, const Error& error, const ErrorHook& hook) {
  const uint16_t status = http::answer_for(error).status;
  if (status == 499) {
    exchange.respond_error(error);  // nobody reads it; the log shows why
    return;
  }
  // The transport looks at these: the rest of the request makes the connection useless.
  exchange.error = error;
  exchange.failed = true;
  answer_failure(exchange, status, error.detail, hook);
}

}  // namespace headgate::embed
