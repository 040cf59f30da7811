#include "dataplane/handlers/file_response.h"

#include <chrono>
#include <span>

#include "dataplane/base/text.h"
#include "dataplane/handlers/autoindex.h"
#include "dataplane/handlers/file_body.h"
#include "dataplane/http/accept.h"
#include "dataplane/http/conditional.h"
#include "dataplane/http/range.h"
#include "dataplane/http/vary.h"

namespace headgate::handlers {
namespace {

using http::FieldId;

http::Coding coding_of(Sibling sibling) {
  switch (sibling) {
    case Sibling::kBrotli: return http::Coding::kBrotli;
    case Sibling::kZstd: return http::Coding::kZstd;
    case Sibling::kGzip: return http::Coding::kGzip;
    case Sibling::kCount: break;
  }
  return http::Coding::kIdentity;
}

// One of the forms in which a file can be sent.
struct Representation {
  FileRef file;
  http::Coding coding = http::Coding::kIdentity;
  bool negotiated = false;  // there are other forms
};

// The sibling that the client likes best; with equal weights the smaller form, which is the first in the enum.
Representation choose(http::Exchange& exchange, FileCache& cache, const StaticFilesOptions& options,
                      const FileRef& file) {
  Representation chosen{.file = file};
  if (!options.precompressed) return chosen;
  const auto accepted = http::AcceptEncoding::parse(exchange.request().headers);
  uint16_t best = 0;
  for (uint8_t i = 0; i < static_cast<uint8_t>(Sibling::kCount); ++i) {
    const auto sibling = static_cast<Sibling>(i);
    if (!cache.has_sibling(file, sibling)) continue;
    chosen.negotiated = true;
    const uint16_t weight = accepted.weight(coding_of(sibling));
    if (weight <= best) continue;  // none of weight 0, either
    const std::string_view path = exchange.arena().concat(file->path(), sibling_suffix(sibling));
    FileRef packed = cache.find(options.root, path);
    if (packed->kind() != CachedFile::Kind::kFile) continue;
    best = weight;
    chosen.file = std::move(packed);
    chosen.coding = coding_of(sibling);
  }
  return chosen;
}

std::string_view content_type(http::Exchange& exchange, const StaticFilesOptions& options, const CachedFile& file) {
  if (!options.content_types.empty()) {
    const std::string_view path = file.path();
    const size_t dot = path.rfind('.');
    const size_t slash = path.rfind('/');
    if (dot != std::string_view::npos && (slash == std::string_view::npos || dot > slash)) {
      for (const auto& [extension, type] : options.content_types) {
        if (equals_ignore_case(path.substr(dot + 1), extension)) return exchange.arena().copy(type);
      }
    }
  }
  return file.content_type();
}

void send_body(http::Exchange& exchange, http::BodySource* body, uint64_t size) {
  exchange.response().content_length = size;
  exchange.respond(exchange.request().method == http::Method::kHead || size == 0 ? nullptr : body);
}

void send_whole(http::Exchange& exchange, const FileRef& file) {
  send_body(exchange, exchange.arena().make<FileBody>(file, FileSlice{.offset = 0, .size = file->size()}), file->size());
}

// Answers a Range request; false when the whole file is to be sent.
bool send_ranges(http::Exchange& exchange, const FileRef& file, std::string_view type) {
  const uint64_t size = file->size();
  const auto wanted = http::RangeSet::parse(exchange.request().headers.get(FieldId::kRange), size);
  if (wanted.kind() == http::RangeSet::Kind::kWhole) return false;
  Arena& arena = exchange.arena();
  http::ResponseHead& response = exchange.response();
  char* text = arena.allocate_text(http::kContentRangeSize);
  const auto text_until = [text](const char* end) { return std::string_view(text, static_cast<size_t>(end - text)); };
  if (wanted.kind() == http::RangeSet::Kind::kUnsatisfiable) {
    response.headers.remove(FieldId::kContentEncoding);  // of the file, not of our sentence
    response.headers.add(FieldId::kContentRange, text_until(http::write_unsatisfied_range(text, size)));
    exchange.respond_text(416, "text/plain", "Range Not Satisfiable\n");
    return true;
  }
  response.status = 206;
  const std::span<const http::ByteRange> ranges = wanted.ranges();
  if (ranges.size() == 1) {
    response.headers.add(FieldId::kContentRange, text_until(http::write_content_range(text, ranges[0], size)));
    const FileSlice slice{.offset = ranges[0].first, .size = ranges[0].size()};
    send_body(exchange, arena.make<FileBody>(file, slice), slice.size);
    return true;
  }
  auto* slices = static_cast<FileSlice*>(arena.allocate(sizeof(FileSlice) * ranges.size(), alignof(FileSlice)));
  for (size_t i = 0; i < ranges.size(); ++i) slices[i] = {.offset = ranges[i].first, .size = ranges[i].size()};
  auto* body = arena.make<MultipartBody>(file, std::span<const FileSlice>(slices, ranges.size()), type, arena);
  response.headers.set(FieldId::kContentType, body->content_type());
  send_body(exchange, body, *body->remaining());
  return true;
}

}  // namespace

void send_file(http::Exchange& exchange, FileCache& cache, const StaticFilesOptions& options, const FileRef& plain) {
  Representation chosen = choose(exchange, cache, options, plain);
  // What the head shows are views of the entry: both live as long as the exchange.
  const FileRef& file = *exchange.arena().make<FileRef>(std::move(chosen.file));
  const FileRef& named = chosen.coding == http::Coding::kIdentity ? file : *exchange.arena().make<FileRef>(plain);
  const http::RequestHead& request = exchange.request();
  http::HeaderMap& headers = exchange.response().headers;
  headers.add(FieldId::kETag, file->etag());
  headers.add(FieldId::kLastModified, file->last_modified());
  if (!options.cache_control.empty()) {
    headers.add(FieldId::kCacheControl, exchange.arena().copy(options.cache_control));
  }
  if (chosen.negotiated) http::add_vary(headers, "Accept-Encoding");

  const auto wall = exchange.worker().loop.wall().time_since_epoch();
  const int64_t now = std::chrono::duration_cast<std::chrono::seconds>(wall).count();
  const http::Validators validators{.etag = file->etag(), .last_modified = file->modified_s()};
  switch (http::check_preconditions(request, validators, now)) {
    case http::Precondition::kNotModified:
      exchange.response().status = 304;
      exchange.respond(nullptr);
      return;
    case http::Precondition::kFailed: exchange.respond_text(412, "text/plain", "Precondition Failed\n"); return;
    case http::Precondition::kProceed: break;
  }
  const std::string_view type = content_type(exchange, options, *named);
  headers.add(FieldId::kContentType, type);
  headers.add(FieldId::kAcceptRanges, "bytes");
  if (chosen.coding != http::Coding::kIdentity) {
    headers.add(FieldId::kContentEncoding, http::coding_name(chosen.coding));
  }
  // RFC 9110 14.2: a Range on anything but GET is ignored.
  if (request.method == http::Method::kGet && request.headers.has(FieldId::kRange) &&
      http::if_range_holds(request.headers, validators, now) && send_ranges(exchange, file, type)) {
    return;
  }
  send_whole(exchange, file);
}

void send_listing(http::Exchange& exchange, FileCache& cache, const StaticFilesOptions& options, std::string_view path,
                  std::string_view title) {
  Result<UniqueFd> folder = cache.open_folder(options.root, path);
  if (!folder) {
    exchange.respond_error(folder.error());
    return;
  }
  Result<std::string> page = list_folder(*std::move(folder), title, options.root.symlinks);
  if (!page) {
    exchange.respond_error(page.error());
    return;
  }
  http::HeaderMap& headers = exchange.response().headers;
  headers.add(FieldId::kContentType, "text/html; charset=utf-8");
  if (!options.cache_control.empty()) {
    headers.add(FieldId::kCacheControl, exchange.arena().copy(options.cache_control));
  }
  send_body(exchange, exchange.arena().make<http::BufferBody>(Buffer::copy(*page)), page->size());
}

}  // namespace headgate::handlers
