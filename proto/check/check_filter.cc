#include <string>

#include "dataplane/base/host_name.h"
#include "dataplane/base/regex.h"
#include "dataplane/base/text.h"
#include "proto/check/routes.h"
#include "proto/check/values.h"

namespace headgate::check {

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

void need(bool present, std::string_view field, std::string_view what, Problems& problems) {
  if (!present) problems.error(field, "missing", "expected " + std::string(what));
}

void check_header_mods(const HeaderMods& mods, TextScope scope, Problems& problems) {
  check_name_values("set", mods.set(), scope, problems);
  check_name_values("add", mods.add(), scope, problems);
  check_name_values("set_if_absent", mods.set_if_absent(), scope, problems);
  for (int i = 0; i < mods.remove_size(); ++i) check_field_name(at("remove", i), mods.remove(i), problems);
}

void check_path_rewrite(const PathRewrite& rewrite, int groups, Problems& problems) {
  check_text("host", rewrite.host(), TextScope::kRequest, groups, problems);
  switch (rewrite.how_case()) {
    case PathRewrite::kFull:
      check_text("full", rewrite.full(), TextScope::kRequest, groups, problems);
      if (!rewrite.full().starts_with('/') && !rewrite.full().starts_with('$')) {
        problems.error("full", "path", "expected a path that starts with \"/\"");
      }
      return;
    case PathRewrite::kPrefix:
      if (!rewrite.prefix().starts_with('/'))
        problems.error("prefix", "path", "expected a path that starts with \"/\"");
      check_field_value("prefix", rewrite.prefix(), problems);
      return;
    case PathRewrite::kRegex: {
      const int own = check_regex("regex.pattern", rewrite.regex().pattern(), problems);
      if (own >= 0 && highest_group(rewrite.regex().replacement()) > own) {
        problems.error("regex.replacement", "group", "refers to a group that the pattern does not have");
      }
      return;
    }
    case PathRewrite::HOW_NOT_SET: return;
  }
}

void check_redirect_filter(const RedirectFilter& redirect, int groups, Problems& problems) {
  if (redirect.has_status()) check_status("status", redirect.status(), 300, 308, problems);
  const bool parts =
      !redirect.scheme().empty() || !redirect.host().empty() || redirect.port() != 0 || redirect.has_path();
  if (redirect.location().empty() != parts) {
    problems.error("location", "missing", "expected either a location, or a scheme, host, port or path to change");
  }
  check_text("location", redirect.location(), TextScope::kRequest, groups, problems);
  if (redirect.port() > 65535) problems.error("port", "range", "expected a port up to 65535");
  if (redirect.has_path()) {
    const Field field(problems, "path");
    check_path_rewrite(redirect.path(), groups, problems);
  }
}

void check_cidrs(std::string_view field, const google::protobuf::RepeatedPtrField<std::string>& list,
                 Problems& problems) {
  for (int i = 0; i < list.size(); ++i) check_cidr(field, i, list[i], problems);
}

void check_rate_limit(const RateLimit& limit, Problems& problems) {
  need(limit.requests() > 0, "requests", "a number of requests above 0", problems);
  check_duration("period", limit.has_period(), limit.period(), false, problems);
  check_text("key", limit.key(), TextScope::kRequest, -1, problems);
  if (limit.has_status()) check_status("status", limit.status(), 400, 599, problems);
  check_cidrs("exempt", limit.exempt(), problems);
}

void check_basic_auth(const BasicAuth& auth, Problems& problems) {
  check_field_value("realm", auth.realm(), problems);
  need(!auth.users().empty() || !auth.htpasswd_file().empty(), "users", "at least one user; without any nobody gets in",
       problems);
  for (int i = 0; i < auth.users_size(); ++i) {
    const Field field(problems, "users", i);
    if (auth.users(i).name().empty() || auth.users(i).name().find(':') != std::string::npos) {
      problems.error("name", "user", "a user name is not empty and has no colon (RFC 7617 2)");
    }
    const std::string& hash = auth.users(i).value();
    bool known = false;
    for (const std::string_view prefix : {"$2a$", "$2b$", "$2y$", "$apr1$", "$1$", "{SHA}", "{SSHA}", "$5$", "$6$"}) {
      known = known || hash.starts_with(prefix);
    }
    if (!known)
      problems.error("value", "password-hash",
                     "expected a bcrypt, MD5, SHA-1, SHA-256 or SHA-512 hash; plain passwords are refused");
  }
}

void check_external_auth(const ExternalAuth& auth, Problems& problems) {
  need(!auth.upstream().empty(), "upstream", "the name of an upstream", problems);
  check_text("path", auth.path(), TextScope::kRequest, -1, problems);
  check_text("signin", auth.signin(), TextScope::kRequest, -1, problems);
  check_text("cache_key", auth.cache_key(), TextScope::kRequest, -1, problems);
  check_text("redirect_value", auth.redirect_value(), TextScope::kRequest, -1, problems);
  if (!auth.method().empty() && !is_token(auth.method()))
    problems.error("method", "method", "expected a method such as \"GET\"");
  for (int i = 0; i < auth.response_headers_size(); ++i) {
    check_field_name(at("response_headers", i), auth.response_headers(i), problems);
  }
  check_name_values("request_headers", auth.request_headers(), TextScope::kRequest, problems);
  check_field_value("host", auth.host(), problems);
  if (!auth.signin_redirect_param().empty() && !is_token(auth.signin_redirect_param())) {
    problems.error("signin_redirect_param", "name", "expected the name of a parameter such as \"rd\"");
  }
  check_duration("timeout", auth.has_timeout(), auth.timeout(), false, problems);
}

void check_compress(const Compress& compress, Problems& problems) {
  for (int i = 0; i < compress.encodings_size(); ++i) {
    const std::string& name = compress.encodings(i);
    if (name != "gzip" && name != "br" && name != "zstd")
      problems.error(at("encodings", i), "enum", "expected gzip, br or zstd");
  }
  if (compress.has_level() && (compress.level() < 1 || compress.level() > 19))
    problems.error("level", "range", "expected 1 to 19");
}

void check_cors(const Cors& cors, Problems& problems) {
  for (int i = 0; i < cors.allow_origins_size(); ++i) {
    const Field field(problems, "allow_origins", i);
    check_text_match(cors.allow_origins(i), problems);
  }
  for (int i = 0; i < cors.allow_methods_size(); ++i) {
    if (!is_token(cors.allow_methods(i)))
      problems.error(at("allow_methods", i), "method", "expected a method such as \"GET\"");
  }
  for (int i = 0; i < cors.allow_headers_size(); ++i) {
    if (cors.allow_headers(i) != "*") check_field_name(at("allow_headers", i), cors.allow_headers(i), problems);
  }
  for (int i = 0; i < cors.expose_headers_size(); ++i) {
    if (cors.expose_headers(i) != "*") check_field_name(at("expose_headers", i), cors.expose_headers(i), problems);
  }
  check_duration("max_age", cors.has_max_age(), cors.max_age(), true, problems);
}

void check_jwt(const JwtAuth& jwt, Problems& problems) {
  if (jwt.jwks().empty() == jwt.jwks_upstream().empty()) {
    problems.error("jwks", "missing", "expected either a key set or an upstream that serves it");
  }
  for (int i = 0; i < jwt.algorithms_size(); ++i) {
    // "none" and the symmetric family with a public key set are how tokens are forged.
    const std::string& name = jwt.algorithms(i);
    if (name.size() != 5 && name != "EdDSA") {
      problems.error(at("algorithms", i), "enum", "expected an algorithm such as RS256, ES256 or EdDSA");
    } else if (name.starts_with("HS")) {
      problems.error(at("algorithms", i), "enum", "symmetric algorithms are refused: the key set is public");
    }
  }
  for (int i = 0; i < jwt.claims_to_headers_size(); ++i) {
    check_field_name(at("claims_to_headers", i), jwt.claims_to_headers(i).value(), problems);
  }
  check_duration("clock_skew", jwt.has_clock_skew(), jwt.clock_skew(), true, problems);
}

void check_error_pages(const ErrorPages& pages, Problems& problems) {
  need(!pages.statuses().empty(), "statuses", "the status codes that are replaced", problems);
  for (int i = 0; i < pages.statuses_size(); ++i)
    check_status(at("statuses", i), pages.statuses(i), 300, 599, problems);
  if (pages.upstream().empty() == pages.body().empty())
    problems.error("upstream", "missing", "expected either an upstream or a body");
  check_name_values("request_headers", pages.request_headers(), TextScope::kRequest, problems);
  check_field_value("content_type", pages.content_type(), problems);
}

void check_client_certificate(const ClientCertificateAccess& access, Problems& problems) {
  need(!access.secret().empty(), "secret", "the name of a TLS secret with authorities", problems);
  if (access.has_depth() && (access.depth() < 1 || access.depth() > 100)) {
    problems.error("depth", "range", "expected 1 to 100");
  }
  if (access.has_common_name()) {
    const Field field(problems, "common_name");
    check_text_match(access.common_name(), problems);
  }
  const std::string& page = access.error_page();
  if (!page.empty() && !page.starts_with('/') && !page.starts_with("http://") && !page.starts_with("https://")) {
    problems.error("error_page", "value", "expected a path or an http:// or https:// URL");
  }
  check_field_value("error_page", page, problems);
}

void check_kind(const HttpFilter& filter, int groups, Problems& problems) {
  switch (filter.filter_case()) {
    case HttpFilter::kRequestHeaders: return check_header_mods(filter.request_headers(), TextScope::kRequest, problems);
    case HttpFilter::kResponseHeaders:
      return check_header_mods(filter.response_headers(), TextScope::kResponse, problems);
    case HttpFilter::kRewrite: return check_path_rewrite(filter.rewrite(), groups, problems);
    case HttpFilter::kRedirect: return check_redirect_filter(filter.redirect(), groups, problems);
    case HttpFilter::kCompress: return check_compress(filter.compress(), problems);
    case HttpFilter::kCors: return check_cors(filter.cors(), problems);
    case HttpFilter::kIpAccess:
      check_cidrs("allow", filter.ip_access().allow(), problems);
      check_cidrs("deny", filter.ip_access().deny(), problems);
      return;
    case HttpFilter::kBasicAuth: return check_basic_auth(filter.basic_auth(), problems);
    case HttpFilter::kRateLimit: return check_rate_limit(filter.rate_limit(), problems);
    case HttpFilter::kMirror:
      need(!filter.mirror().upstream().empty(), "upstream", "the name of an upstream", problems);
      check_text("path", filter.mirror().path(), TextScope::kRequest, groups, problems);
      if (filter.mirror().share().numerator() >
          (filter.mirror().share().denominator() == 0 ? 100 : filter.mirror().share().denominator())) {
        problems.error("share", "range", "more than all requests");
      }
      return;
    case HttpFilter::kExternalAuth: return check_external_auth(filter.external_auth(), problems);
    case HttpFilter::kConnectionLimit:
      need(filter.connection_limit().connections() > 0, "connections", "a number above 0", problems);
      check_text("key", filter.connection_limit().key(), TextScope::kRequest, -1, problems);
      if (filter.connection_limit().has_status()) {
        check_status("status", filter.connection_limit().status(), 400, 599, problems);
      }
      check_cidrs("exempt", filter.connection_limit().exempt(), problems);
      return;
    case HttpFilter::kErrorPages: return check_error_pages(filter.error_pages(), problems);
    case HttpFilter::kTlsRedirect:
      if (filter.tls_redirect().has_status())
        check_status("status", filter.tls_redirect().status(), 300, 308, problems);
      if (filter.tls_redirect().port() > 65535) problems.error("port", "range", "expected a port up to 65535");
      return;
    case HttpFilter::kClientCertificate: return check_client_certificate(filter.client_certificate(), problems);
    case HttpFilter::kBandwidth:
      need(filter.bandwidth().bytes_per_second() > 0, "bytes_per_second", "a number of bytes above 0", problems);
      return;
    case HttpFilter::kJwtAuth: return check_jwt(filter.jwt_auth(), problems);
    case HttpFilter::kApiKeyAuth:
      need(!filter.api_key_auth().keys().empty(), "keys", "at least one key", problems);
      for (int i = 0; i < filter.api_key_auth().keys_size(); ++i) {
        if (filter.api_key_auth().keys(i).value().size() != 64)
          problems.error(at("keys", i), "key-hash", "expected a SHA-256 in 64 hexadecimal digits");
      }
      return;
    case HttpFilter::kCache:
      check_text("key", filter.cache().key(), TextScope::kRequest, -1, problems);
      check_duration("default_ttl", filter.cache().has_default_ttl(), filter.cache().default_ttl(), true, problems);
      check_duration("stale", filter.cache().has_stale(), filter.cache().stale(), true, problems);
      return;
    case HttpFilter::kHsts:
      if (filter.hsts().max_age().seconds() < 0 || filter.hsts().max_age().seconds() > 315576000 ||
          filter.hsts().max_age().nanos() != 0) {
        problems.error("max_age", "duration", "expected whole seconds, up to ten years");
      }
      return;
    case HttpFilter::kLua: return need(!filter.lua().source().empty(), "source", "a program", problems);
    case HttpFilter::kBodyLimit:
    case HttpFilter::kGrpcWeb:
    case HttpFilter::kCookieRewrite:
    case HttpFilter::kSatisfy: return;
    case HttpFilter::FILTER_NOT_SET: problems.error("", "missing", "expected a kind of filter"); return;
  }
}

std::string_view kind_field(const HttpFilter& filter) {
  const auto* field = filter.filter_case() == HttpFilter::FILTER_NOT_SET
                          ? nullptr
                          : HttpFilter::descriptor()->FindFieldByNumber(filter.filter_case());
  return field == nullptr ? std::string_view("filter") : std::string_view(field->name());
}

}  // namespace

FilterPhase natural_phase(const HttpFilter& filter) {
  switch (filter.filter_case()) {
    case HttpFilter::kBodyLimit: return PHASE_SIZE;
    case HttpFilter::kRedirect:
    case HttpFilter::kCors: return PHASE_RETURN;
    case HttpFilter::kTlsRedirect: return PHASE_TLS_REDIRECT;
    case HttpFilter::kRateLimit:
    case HttpFilter::kConnectionLimit: return PHASE_LIMIT;
    case HttpFilter::kIpAccess:
    case HttpFilter::kBasicAuth:
    case HttpFilter::kExternalAuth:
    case HttpFilter::kClientCertificate:
    case HttpFilter::kJwtAuth:
    case HttpFilter::kApiKeyAuth:
    case HttpFilter::kSatisfy: return PHASE_ACCESS;
    case HttpFilter::kMirror: return PHASE_MIRROR;
    case HttpFilter::kCache: return PHASE_SPLIT;
    case HttpFilter::kRequestHeaders:
    case HttpFilter::kRewrite:
    case HttpFilter::kGrpcWeb:
    case HttpFilter::kLua: return PHASE_REWRITE;
    case HttpFilter::kResponseHeaders:
    case HttpFilter::kCompress:
    case HttpFilter::kErrorPages:
    case HttpFilter::kBandwidth:
    case HttpFilter::kHsts:
    case HttpFilter::kCookieRewrite: return PHASE_RESPONSE;
    case HttpFilter::FILTER_NOT_SET: return FILTER_PHASE_UNSPECIFIED;
  }
  return FILTER_PHASE_UNSPECIFIED;
}

void check_filter(const HttpFilter& filter, int groups, bool in_backend, Problems& problems) {
  const bool headers =
      filter.filter_case() == HttpFilter::kRequestHeaders || filter.filter_case() == HttpFilter::kResponseHeaders;
  const bool any_phase = filter.filter_case() == HttpFilter::kLua;
  if (filter.phase() != FILTER_PHASE_UNSPECIFIED && filter.phase() != natural_phase(filter) && !any_phase &&
      !(headers && filter.phase() == PHASE_BACKEND)) {
    problems.error("phase", "phase", "this filter runs in " + FilterPhase_Name(natural_phase(filter)));
  }
  if (in_backend && !headers && filter.filter_case() != HttpFilter::kRewrite) {
    problems.error("", "phase", "only header and rewrite filters can belong to one backend");
  }
  const Field field(problems, kind_field(filter));
  check_kind(filter, groups, problems);
}

}  // namespace headgate::check
