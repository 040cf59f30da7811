#include "dataplane/handlers/echo.h"

#include "dataplane/http/exchange.h"

namespace headgate::handlers {
namespace {

// Answers when the first chunk is there: a client that waits for "100 Continue" gets it before the response, and a
// body that is refused (413, 400) still gets its status.
class EchoRun final : public http::Run, public http::BodySource, private http::BodySink {
 public:
  EchoRun(http::Exchange& exchange, http::BodySource& body) : exchange_(exchange), body_(body) {}
  void begin() { body_.pull(*this); }
  [[nodiscard]] std::optional<uint64_t> remaining() const override { return exchange_.request().content_length; }

 private:
  void on_pull() override {
    if (!first_.empty()) {
      deliver(std::exchange(first_, Buffer()));
    } else {
      body_.pull(*this);
    }
  }
  void on_cancel() override { body_.cancel(); }

  void on_chunk(Buffer chunk) override {
    if (answered_) {
      deliver(std::move(chunk));
      return;
    }
    first_ = std::move(chunk);
    answer();
  }
  void on_end(const http::Trailers* trailers) override {
    if (answered_) {
      finish(trailers);
      return;
    }
    empty_ = true;
    answer();
  }
  void on_error(const Error& error) override {
    if (answered_) {
      fail(error);
    } else {
      exchange_.respond_error(error);
    }
  }

  void answer() {
    answered_ = true;
    http::ResponseHead& response = exchange_.response();
    response.status = 200;
    const std::string_view type = exchange_.request().headers.get(http::FieldId::kContentType);
    if (!type.empty()) response.headers.set(http::FieldId::kContentType, type);
    if (empty_) {
      response.content_length = 0;
      exchange_.respond(nullptr);
      return;
    }
    response.content_length = exchange_.request().content_length;
    exchange_.respond(this);
  }

  http::Exchange& exchange_;
  http::BodySource& body_;
  Buffer first_;
  bool answered_ = false;
  bool empty_ = false;
};

}  // namespace

http::Run* Echo::start(http::Exchange& exchange, WorkerContext&) const {
  if (exchange.request_body() == nullptr) {
    exchange.respond_text(200, exchange.request().headers.get(http::FieldId::kContentType), "");
    return nullptr;
  }
  auto* run = exchange.arena().make<EchoRun>(exchange, *exchange.request_body());
  run->begin();
  return run;
}

}  // namespace headgate::handlers
