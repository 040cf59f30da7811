#include "dataplane/filters/compress.h"

#include "dataplane/base/text.h"
#include "dataplane/filters/encoded_body.h"
#include "dataplane/filters/variant_cache.h"
#include "dataplane/http/accept.h"
#include "dataplane/http/content_type.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/vary.h"

namespace headgate::filters {
namespace {

using http::FieldId;

EncoderLease take_encoder(http::Coding coding, int level) {
  switch (coding) {
    case http::Coding::kGzip: return take_gzip_encoder(level);
    case http::Coding::kBrotli: return take_brotli_encoder(level);
    case http::Coding::kZstd: return take_zstd_encoder(level);
    case http::Coding::kIdentity: break;
  }
  return {};
}

bool type_is_listed(const std::vector<std::string>& list, std::string_view content_type) {
  const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
  for (const std::string_view entry : list) {
    if (entry.ends_with("/*") ? starts_with_ignore_case(type, entry.substr(0, entry.size() - 1))
                              : equals_ignore_case(type, entry)) {
      return true;
    }
  }
  return false;
}

bool forbids_transforming(const http::HeaderMap& headers) {
  if (!headers.has(FieldId::kCacheControl)) return false;
  for (const http::Field& field : headers.fields()) {
    if (field.id == FieldId::kCacheControl && list_contains(field.value, "no-transform")) return true;
  }
  return false;
}

bool has_content(uint16_t status) { return status >= 200 && status != 204 && status != 206 && status != 304; }

// The bytes are others now, the meaning is the same: RFC 9110 8.8.1.
void weaken_etag(http::HeaderMap& headers, Arena& arena) {
  const std::string_view etag = headers.get(FieldId::kETag);
  if (!etag.empty() && !etag.starts_with("W/")) headers.set(FieldId::kETag, arena.concat("W/", etag));
}

class CompressRun final : public http::FilterRun {
 public:
  // The options may be gone once the head is sent; they are not needed after that.
  CompressRun(const CompressOptions& options, uint32_t workers) : options_(options), workers_(workers) {}

  http::BodySource* wrap_response_body(http::Exchange& exchange, http::ResponseHead& head,
                                       http::BodySource* body) override {
    if (head.status == 304) {
      keep_etag_of_variant(exchange, head);
      return body;
    }
    const bool to_head = exchange.request().method == http::Method::kHead;
    if ((body == nullptr && !to_head) || !suits(head)) return body;
    http::add_vary(head.headers, "Accept-Encoding");
    const auto accepted = http::AcceptEncoding::parse(exchange.request().headers);
    const http::Coding coding = accepted.choose(options_.codings);
    if (coding == http::Coding::kIdentity) return body;
    if (body == nullptr) {
      describe(exchange, head, coding, std::nullopt);
      return nullptr;
    }
    return encode(exchange, head, *body, coding);
  }

 private:
  [[nodiscard]] bool suits(const http::ResponseHead& head) const {
    const http::HeaderMap& headers = head.headers;
    if (!has_content(head.status) || headers.has(FieldId::kContentEncoding) || headers.has(FieldId::kContentRange)) {
      return false;
    }
    if (head.content_length && (*head.content_length < options_.min_bytes || *head.content_length > options_.max_bytes)) {
      return false;
    }
    const std::string_view type = headers.get(FieldId::kContentType);
    if (type.empty()) return false;
    if (options_.content_types.empty() ? !http::is_compressible(type) : !type_is_listed(options_.content_types, type)) {
      return false;
    }
    return (options_.with_cookies || !headers.has(FieldId::kSetCookie)) && !forbids_transforming(headers);
  }

  static void describe(http::Exchange& exchange, http::ResponseHead& head, http::Coding coding,
                       std::optional<uint64_t> length) {
    head.headers.set(FieldId::kContentEncoding, http::coding_name(coding));
    head.headers.remove(FieldId::kAcceptRanges);  // of these bytes we serve no parts
    head.content_length = length;
    weaken_etag(head.headers, exchange.arena());
  }

  http::BodySource* encode(http::Exchange& exchange, http::ResponseHead& head, http::BodySource& body,
                           http::Coding coding) const {
    VariantCache& variants = VariantCache::of_thread(workers_);
    VariantKey key{.content_id = body.content_id(),
                   .coding = static_cast<uint32_t>(coding) * 256 + static_cast<uint32_t>(options_.level)};
    if (key.content_id != 0) {
      Buffer variant = variants.find(key);
      if (!variant.empty()) {
        body.cancel();
        describe(exchange, head, coding, variant.size());
        return exchange.arena().make<http::BufferBody>(std::move(variant));
      }
    }
    EncoderLease encoder = take_encoder(coding, options_.level);
    if (!encoder) return &body;
    describe(exchange, head, coding, std::nullopt);
    return exchange.arena().make<EncodedBody>(body, std::move(encoder), exchange.arena(), variants, key);
  }

  // RFC 9110 15.4.5: a 304 has the ETag of the 200 that this request would have got: weak if that were compressed.
  void keep_etag_of_variant(http::Exchange& exchange, http::ResponseHead& head) const {
    const auto accepted = http::AcceptEncoding::parse(exchange.request().headers);
    if (accepted.choose(options_.codings) == http::Coding::kIdentity) return;
    const std::string_view etag = head.headers.get(FieldId::kETag);
    if (etag.empty() || etag.starts_with("W/")) return;
    const std::string_view weak = exchange.arena().concat("W/", etag);
    for (const http::Field& field : exchange.request().headers.fields()) {
      if (field.id != FieldId::kIfNoneMatch || field.value.find(weak) == std::string_view::npos) continue;
      head.headers.set(FieldId::kETag, weak);
      http::add_vary(head.headers, "Accept-Encoding");
      return;
    }
  }

  const CompressOptions& options_;
  uint32_t workers_;
};

}  // namespace

http::FilterRun* Compress::start(http::Exchange& exchange, WorkerContext& worker) const {
  return exchange.arena().make<CompressRun>(options_, worker.worker_count);
}

}  // namespace headgate::filters
