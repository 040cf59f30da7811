#include "dataplane/handlers/static_files.h"

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/handlers/file_response.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/field_text.h"
#include "dataplane/http/status.h"
#include "dataplane/http/uri.h"

namespace headgate::handlers {
namespace {

constexpr std::string_view kAllow = "GET, HEAD, OPTIONS";
constexpr std::string_view kUri = "$uri";

std::string_view without_leading_slashes(std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  return path;
}
std::string_view without_trailing_slashes(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

bool has_dot_segment(std::string_view path) {
  while (!path.empty()) {
    const size_t end = std::min(path.find('/'), path.size());
    const std::string_view segment = path.substr(0, end);
    if (segment == "." || segment == "..") return true;
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return false;
}

// The path without the prefix, which must end at a segment; "" when nothing is left.
std::string_view strip_segments(std::string_view path, std::string_view prefix) {
  if (prefix.empty() || !path.starts_with(prefix)) return path;
  const std::string_view rest = path.substr(prefix.size());
  return rest.empty() || rest.starts_with('/') ? rest : path;
}

Error invalid(std::string* why, std::string_view sentence, std::string_view text) {
  if (why != nullptr) *why = std::string(sentence) + ": " + quote_json(text);
  return {.code = Errc::kInvalid, .detail = "static files: invalid option"};
}

}  // namespace

Result<StaticFiles::Candidate> StaticFiles::parse_candidate(std::string_view text, std::string* why) {
  Candidate candidate;
  // The slash that asks for a folder is not part of the name: "$uri/" of "/a" is the folder "/a".
  if (text.size() > 1 && text.ends_with('/')) {
    candidate.folder = true;
    text.remove_suffix(1);
  }
  const size_t at = text.find(kUri);
  candidate.has_uri = at != std::string_view::npos;
  candidate.before = text.substr(0, candidate.has_uri ? at : text.size());
  if (candidate.has_uri) candidate.after = text.substr(at + kUri.size());
  if (candidate.before.find('$') != std::string::npos || candidate.after.find('$') != std::string::npos) {
    return invalid(why, "try_files knows $uri only, once in a name", text);
  }
  if (text.empty() || (!candidate.has_uri && !text.starts_with('/'))) {
    return invalid(why, "a name of try_files starts with a slash or $uri", text);
  }
  return candidate;
}

Result<std::unique_ptr<StaticFiles>> StaticFiles::create(StaticFilesOptions options, std::string* why) {
  std::unique_ptr<StaticFiles> made(new StaticFiles());  // NOLINT: private constructor
  if (!options.root.path.starts_with('/')) return invalid(why, "root must be an absolute path", options.root.path);
  for (const std::string& name : options.index) {
    if (name.empty() || name.starts_with('/') || has_dot_segment(name)) {
      return invalid(why, "an index is a file name", name);
    }
  }
  if (!options.strip_prefix.empty()) {
    if (!options.strip_prefix.starts_with('/')) {
      return invalid(why, "strip_prefix starts with a slash", options.strip_prefix);
    }
    options.strip_prefix = without_trailing_slashes(options.strip_prefix);
  }
  if (!is_field_value(options.cache_control)) {
    return invalid(why, "cache_control is no field value", options.cache_control);
  }
  for (size_t i = 0; i < options.try_files.size(); ++i) {
    const std::string_view text = options.try_files[i];
    const bool last = i + 1 == options.try_files.size();
    if (last && text.starts_with('=')) {
      const auto status = parse_decimal<uint16_t>(text.substr(1));
      if (!status || *status < 200 || *status > 599) return invalid(why, "no status of a response", text);
      made->fallback_ = Fallback{.status = *status};
      continue;
    }
    // A fallback may carry a query for whoever gets the path; a file has none.
    Result<Candidate> candidate = parse_candidate(last ? text.substr(0, text.find('?')) : text, why);
    if (!candidate) return candidate.error();
    if (last) {
      made->fallback_ = Fallback{.path = *std::move(candidate)};
    } else {
      made->candidates_.push_back(*std::move(candidate));
    }
  }
  made->options_ = std::move(options);
  return made;
}

// One request: from its path to a file, a folder or a refusal. Lives on the stack: everything is answered at once.
class StaticFiles::Lookup {
 public:
  Lookup(const StaticFiles& handler, http::Exchange& exchange, FileCache& cache)
      : handler_(handler), options_(handler.options_), exchange_(exchange), cache_(cache) {}

  void run() {
    const std::string_view stripped = strip_segments(exchange_.request().path, options_.strip_prefix);
    std::string_view path = stripped;
    if (stripped.find('%') != std::string_view::npos) {
      const Result<std::string_view> decoded = http::decode_path(stripped, exchange_.arena());
      if (!decoded) return refuse(Errc::kNotFound);
      path = *decoded;
    }
    if (path.find('\0') != std::string_view::npos || has_dot_segment(path)) return refuse(Errc::kNotFound);
    if (handler_.fallback_) {
      try_files(path);
    } else {
      serve(path, kRedirectFolder);
    }
  }

 private:
  static constexpr bool kRedirectFolder = true;

  void refuse(Errc code) {
    exchange_.respond_error({.code = code,
                             .origin = Origin::kDownstream,
                             .detail = code == Errc::kDenied ? "file may not be read" : "no such file"});
  }

  FileRef find(std::string_view path) { return cache_.find(options_.root, without_leading_slashes(path)); }

  // True when the file does not say why it cannot be served: go on looking.
  bool answer_unless_missing(const FileRef& file) {
    switch (file->kind()) {
      case CachedFile::Kind::kFile: send_file(exchange_, cache_, options_, file); return false;
      case CachedFile::Kind::kDenied: refuse(Errc::kDenied); return false;
      case CachedFile::Kind::kFailed: exchange_.respond_error(file->error()); return false;
      case CachedFile::Kind::kFolder:
      case CachedFile::Kind::kMissing: break;
    }
    return true;
  }

  void serve(std::string_view path, bool redirect_folder) {
    if (path.ends_with('/')) return serve_folder(path);
    const FileRef file = find(path);
    if (!answer_unless_missing(file)) return;
    if (file->kind() == CachedFile::Kind::kMissing) return refuse(Errc::kNotFound);
    if (redirect_folder) return redirect_to_folder();
    serve_folder(exchange_.arena().concat(path, "/"));
  }

  void serve_folder(std::string_view path) {
    for (const std::string& index : options_.index) {
      if (!answer_unless_missing(find(exchange_.arena().concat(path, index)))) return;
    }
    const std::string_view name = without_trailing_slashes(path);
    const FileRef folder = find(name);
    if (folder->kind() == CachedFile::Kind::kFile) return refuse(Errc::kNotFound);  // "file.txt/"
    if (!answer_unless_missing(folder)) return;
    if (folder->kind() == CachedFile::Kind::kMissing) return refuse(Errc::kNotFound);
    if (!options_.autoindex) return refuse(Errc::kDenied);
    send_listing(exchange_, cache_, options_, without_leading_slashes(name), path);
  }

  void try_files(std::string_view path) {
    for (const Candidate& candidate : handler_.candidates_) {
      const std::string_view name = expand(candidate, path);
      if (candidate.folder) {
        if (find(without_trailing_slashes(name))->kind() != CachedFile::Kind::kFolder) continue;
        return serve(name, kRedirectFolder);
      }
      if (name.ends_with('/')) continue;
      const FileRef file = find(name);
      if (file->kind() == CachedFile::Kind::kFolder || file->kind() == CachedFile::Kind::kMissing) continue;
      answer_unless_missing(file);
      return;
    }
    const Fallback& fallback = *handler_.fallback_;
    if (fallback.status == 0) return serve(expand(fallback.path, path), !kRedirectFolder);
    if (fallback.status == 404) return refuse(Errc::kNotFound);
    if (fallback.status == 403) return refuse(Errc::kDenied);
    const bool empty = http::has_no_content(fallback.status);
    exchange_.respond_text(fallback.status, empty ? "" : "text/plain",
                           empty ? "" : http::reason_phrase(fallback.status));
  }

  std::string_view expand(const Candidate& candidate, std::string_view path) {
    if (!candidate.has_uri) return candidate.before;
    if (candidate.before.empty() && candidate.after.empty()) return path;
    return exchange_.arena().concat(candidate.before, path, candidate.after);
  }

  // Relative to the host, so that it holds behind any proxy. Never starts with "//": that would name another host.
  void redirect_to_folder() {
    const http::RequestHead& request = exchange_.request();
    Arena& arena = exchange_.arena();
    const std::string_view path = http::encode_target_path(without_leading_slashes(request.path), arena);
    const std::string_view query =
        request.has_query ? arena.concat("?", http::encode_target_query(request.query, arena)) : "";
    exchange_.response().headers.set(http::FieldId::kLocation, arena.concat("/", path, "/", query));
    exchange_.respond_text(301, "text/plain", "Moved Permanently\n");
  }

  const StaticFiles& handler_;
  const StaticFilesOptions& options_;
  http::Exchange& exchange_;
  FileCache& cache_;
};

http::Run* StaticFiles::start(http::Exchange& exchange, WorkerContext& worker) const {
  switch (exchange.request().method) {
    case http::Method::kGet:
    case http::Method::kHead: Lookup(*this, exchange, FileCache::of(worker)).run(); break;
    case http::Method::kOptions:
      exchange.response().headers.set("Allow", kAllow);
      exchange.response().status = 204;
      exchange.respond(nullptr);
      break;
    case http::Method::kOther:
    case http::Method::kPost:
    case http::Method::kPut:
    case http::Method::kDelete:
    case http::Method::kConnect:
    case http::Method::kTrace:
    case http::Method::kPatch:
      exchange.response().headers.set("Allow", kAllow);
      exchange.respond_text(405, "text/plain", "Method Not Allowed\n");
  }
  return nullptr;
}

}  // namespace headgate::handlers
