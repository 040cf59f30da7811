#include "dataplane/filters/rewrite.h"

#include "dataplane/base/text.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/field_text.h"
#include "dataplane/http/uri.h"

namespace headgate::filters {
namespace {

using Kind = PathRewriteOptions::Kind;

Error invalid(std::string* why, std::string_view sentence, std::string_view text) {
  if (why != nullptr) *why = std::string(sentence) + ": " + quote_json(text);
  return {.code = Errc::kInvalid, .detail = "rewrite: invalid option"};
}

std::string_view without_final_slash(std::string_view text) {
  if (text.ends_with('/')) text.remove_suffix(1);
  return text;
}

// "/a" and "/a/" cut "/a" off "/a/b"; "/ab" is another segment.
std::optional<std::string_view> rest_after(std::string_view path, std::string_view prefix) {
  prefix = without_final_slash(prefix);
  if (!starts_with_ignore_case(path, prefix)) return std::nullopt;  // the route has decided about case
  const std::string_view rest = path.substr(prefix.size());
  if (!rest.empty() && !rest.starts_with('/')) return std::nullopt;
  return rest;
}

}  // namespace

Result<PathRewriter> PathRewriter::create(PathRewriteOptions options, std::string* why) {
  PathRewriter made;
  if (!is_field_value(options.text)) return invalid(why, "a path has a control character", options.text);
  switch (options.kind) {
    case Kind::kNone: break;
    case Kind::kPrefix:
      if (!options.text.empty() && !options.text.starts_with('/')) {
        return invalid(why, "a prefix starts with a slash", options.text);
      }
      break;
    case Kind::kFull: {
      Result<http::TextTemplate> parsed = http::TextTemplate::parse(options.text, why);
      if (!parsed) return parsed.error();
      made.template_ = *std::move(parsed);
      break;
    }
    case Kind::kRegex: {
      Result<Regex> regex = Regex::compile(options.pattern, Regex::Case::kSensitive, why);
      if (!regex) return regex.error();
      if (highest_group(options.text) > static_cast<int>(regex->group_count())) {
        return invalid(why, "the pattern has fewer groups than the replacement uses", options.text);
      }
      made.regex_ = *std::move(regex);
      break;
    }
  }
  made.options_ = std::move(options);
  return made;
}

// The new path as it comes out of the rule, perhaps with a query; the old one when the rule does not apply.
std::string_view PathRewriter::replaced(http::Exchange& exchange) const {
  const std::string_view path = exchange.request().path;
  Arena& arena = exchange.arena();
  switch (options_.kind) {
    case Kind::kNone: break;
    case Kind::kFull: return template_.expand(exchange);
    case Kind::kPrefix: {
      const auto rest = rest_after(path, options_.matched_prefix);
      if (!rest) break;
      if (rest->empty()) return options_.text.empty() ? "/" : std::string_view(options_.text);
      return arena.concat(without_final_slash(options_.text), *rest);
    }
    case Kind::kRegex: {
      Captures captures;
      if (!regex_->search(path, captures)) break;
      // Keeps its memory from one request to the next.
      thread_local std::string scratch;
      const std::string_view match = captures.groups[0];
      const auto begin = static_cast<size_t>(match.data() - path.data());
      scratch.assign(path.substr(0, begin));
      append_replacement(scratch, options_.text, captures);
      scratch.append(path.substr(begin + match.size()));
      return arena.copy(scratch);
    }
  }
  return path;
}

Result<PathRewriter::Target> PathRewriter::apply(http::Exchange& exchange) const {
  const http::RequestHead& request = exchange.request();
  Arena& arena = exchange.arena();
  Target target{.path = replaced(exchange), .query = request.query, .has_query = request.has_query};
  const size_t mark = target.path.find('?');
  if (mark != std::string_view::npos) {
    target.query = http::encode_target_query(target.path.substr(mark + 1), arena);
    target.has_query = true;
    target.path = target.path.substr(0, mark);
  }
  if (!target.path.starts_with('/')) target.path = arena.concat("/", target.path);
  const Result<std::string_view> normal = http::normalize_path(http::encode_target_path(target.path, arena), arena);
  if (!normal) return normal.error().from(Origin::kDownstream);
  target.path = *normal;
  return target;
}

class Rewrite::RewriteRun final : public http::FilterRun {
 public:
  explicit RewriteRun(const Rewrite& filter) : filter_(filter) {}

  http::Verdict on_request(http::Exchange& exchange) override {
    http::RequestHead& request = exchange.request();
    Arena& arena = exchange.arena();
    if (filter_.path_.changes()) {
      const auto target = filter_.path_.apply(exchange);
      if (!target) {
        exchange.respond_error(target.error());
        return http::Verdict::kAnswered;
      }
      // Path and query are views of the one target, as after parsing: nobody can see two different ones.
      request.target = arena.concat(target->path, target->has_query ? "?" : "", target->query);
      request.path = request.target.substr(0, target->path.size());
      request.query = target->has_query ? request.target.substr(target->path.size() + 1) : std::string_view();
      request.has_query = target->has_query;
    }
    if (!filter_.host_.empty()) {
      request.authority = arena.copy(filter_.host_);
      request.headers.set(http::FieldId::kHost, request.authority);
    }
    return http::Verdict::kContinue;
  }

 private:
  const Rewrite& filter_;
};

Result<std::unique_ptr<Rewrite>> Rewrite::create(RewriteOptions options, std::string* why) {
  std::unique_ptr<Rewrite> made(new Rewrite());  // NOLINT: private constructor
  Result<PathRewriter> path = PathRewriter::create(std::move(options.path), why);
  if (!path) return path.error();
  made->path_ = *std::move(path);
  Arena arena;
  if (!options.host.empty() && !http::parse_host(options.host, arena)) return invalid(why, "no host", options.host);
  made->host_ = std::move(options.host);
  return made;
}

http::FilterRun* Rewrite::start(http::Exchange& exchange, WorkerContext&) const {
  return exchange.arena().make<RewriteRun>(*this);
}

}  // namespace headgate::filters
