#include "dataplane/filters/grpc_web.h"

#include "dataplane/base/text.h"
#include "dataplane/filters/grpc_web_codec.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/grpc.h"

namespace headgate::filters {

using http::FieldId;

namespace {

constexpr std::string_view kGrpc = "application/grpc";
constexpr std::string_view kWeb = "application/grpc-web";
constexpr std::string_view kWebText = "application/grpc-web-text";

bool continues(std::string_view type, std::string_view prefix) {
  if (!starts_with_ignore_case(type, prefix)) return false;
  const std::string_view rest = type.substr(prefix.size());
  return rest.empty() || rest[0] == '+' || rest[0] == ';' || is_space(rest[0]);
}

// A body made of another one, a chunk at a time.
class ConvertedBody : public http::BodySource, protected http::BodySink {
 public:
  explicit ConvertedBody(http::BodySource& source) : source_(source) {}

 protected:
  void on_pull() override { source_.pull(*this); }
  void on_cancel() override { source_.cancel(); }
  void on_end(const http::Trailers* trailers) override { finish(trailers); }
  void on_error(const Error& error) override { fail(error); }
  // A chunk of which nothing was left.
  void pass(Buffer chunk) { chunk.empty() ? source_.pull(*this) : deliver(std::move(chunk)); }

  http::BodySource& source_;
};

class DecodedBody final : public ConvertedBody {
 public:
  using ConvertedBody::ConvertedBody;

 private:
  void on_pull() override {
    if (broken_) {
      fail(kBroken);
    } else {
      ConvertedBody::on_pull();
    }
  }
  void on_chunk(Buffer chunk) override {
    BlockRef block(Block::allocate(Base64Decoder::room(chunk.size())));
    size_t size = 0;
    if (!decoder_.decode(chunk.view(), block->data(), size)) {
      broken_ = true;
      source_.cancel();
      fail(kBroken);
      return;
    }
    const char* const data = block->data();
    pass(Buffer(std::move(block), data, size));
  }
  void on_end(const http::Trailers* trailers) override { decoder_.whole() ? finish(trailers) : fail(kBroken); }

  static constexpr Error kBroken{
      .code = Errc::kMalformed, .origin = Origin::kDownstream, .detail = "gRPC-Web text that is no base64"};
  Base64Decoder decoder_;
  bool broken_ = false;
};

class AnswerBody final : public ConvertedBody {
 public:
  AnswerBody(http::BodySource& source, bool text) : ConvertedBody(source), text_(text) {}

 private:
  void on_pull() override {
    if (ended_) {
      finish();
    } else {
      ConvertedBody::on_pull();
    }
  }
  void on_chunk(Buffer chunk) override {
    if (!text_) {
      deliver(std::move(chunk));
      return;
    }
    pass(encoded(chunk.view()));
  }
  void on_end(const http::Trailers* trailers) override {
    ended_ = true;
    Buffer frame = trailer_frame(trailers);
    deliver(text_ ? encoded(frame.view()) : std::move(frame));
  }

  Buffer encoded(std::string_view bytes) {
    BlockRef block(Block::allocate(FrameEncoder::room(bytes.size())));
    size_t size = ended_ ? encoder_.finish(block->data()) : 0;  // of a message that was cut short
    if (ended_) encoder_ = {};
    size += encoder_.encode(bytes, block->data() + size);
    const char* const data = block->data();
    return {std::move(block), data, size};
  }

  FrameEncoder encoder_;
  bool text_;
  bool ended_ = false;
};

class GrpcWebRun final : public http::FilterRun {
 public:
  explicit GrpcWebRun(bool text) : text_(text) {}

  http::Verdict on_request(http::Exchange& exchange) override {
    http::RequestHead& head = exchange.request();
    const std::string_view type = head.headers.get(FieldId::kContentType);
    head.headers.set(FieldId::kContentType,
                     exchange.arena().concat(kGrpc, type.substr(text_ ? kWebText.size() : kWeb.size())));
    head.headers.set(FieldId::kTe, "trailers");
    if (text_) head.content_length.reset();
    return http::Verdict::kContinue;
  }

  http::BodySource* wrap_request_body(http::Exchange& exchange, http::BodySource* body) override {
    if (!text_ || body == nullptr) return body;
    return exchange.arena().make<DecodedBody>(*body);
  }

  void on_response(http::Exchange& exchange, http::ResponseHead& head) override {
    is_grpc_ = http::is_grpc(head.headers);
    if (!is_grpc_) return;
    const std::string_view type = head.headers.get(FieldId::kContentType);
    head.headers.set(FieldId::kContentType,
                     exchange.arena().concat(text_ ? kWebText : kWeb, type.substr(kGrpc.size())));
  }

  // Without a body the answer is trailers only: they stand in the head, where browsers read them.
  http::BodySource* wrap_response_body(http::Exchange& exchange, http::ResponseHead& head,
                                       http::BodySource* body) override {
    if (!is_grpc_ || body == nullptr) return body;
    head.content_length.reset();
    return exchange.arena().make<AnswerBody>(*body, text_);
  }

 private:
  bool text_;
  bool is_grpc_ = false;
};

}  // namespace

http::FilterRun* GrpcWeb::start(http::Exchange& exchange, WorkerContext&) const {
  const std::string_view type = exchange.request().headers.get(FieldId::kContentType);
  if (exchange.request().method != http::Method::kPost) return nullptr;
  if (continues(type, kWebText)) return exchange.arena().make<GrpcWebRun>(true);
  if (continues(type, kWeb)) return exchange.arena().make<GrpcWebRun>(false);
  return nullptr;
}

}  // namespace headgate::filters
