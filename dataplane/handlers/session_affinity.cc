#include "dataplane/handlers/session_affinity.h"

#include <array>

#include "dataplane/base/number.h"
#include "dataplane/http/date.h"
#include "dataplane/http/variables.h"
#include "dataplane/upstream/worker_load.h"

namespace headgate::handlers {
namespace {

using upstream::Rank;

constexpr size_t kMaxKey = 128;  // of what a client sends; ours are 32
constexpr int kFreshKeys = 20;   // tried for one whose endpoint has not failed yet

std::string_view fresh_key(Random& random, Arena& arena) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  char* const text = arena.allocate_text(upstream::StickyIndex::kKeySize);
  for (size_t i = 0; i < upstream::StickyIndex::kKeySize;) {
    uint64_t bits = random.next();
    for (int digit = 0; digit < 16; ++digit, bits >>= 4) text[i++] = kDigits[bits & 15];
  }
  return {text, upstream::StickyIndex::kKeySize};
}

// The number that follows `name` in a user agent: "Chrome/66.0" -> 66; -1: none.
int version_after(std::string_view agent, std::string_view name) {
  const size_t at = agent.find(name);
  if (at == std::string_view::npos) return -1;
  int version = -1;
  for (const char c : agent.substr(at + name.size())) {
    if (c < '0' || c > '9' || version > 1000) break;
    version = (version < 0 ? 0 : version * 10) + (c - '0');
  }
  return version;
}

bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

}  // namespace

bool misreads_same_site_none(std::string_view agent) {
  if (contains(agent, "CPU iPhone OS 12_") || contains(agent, "CPU OS 12_")) return true;
  const bool chrome = contains(agent, "Chrome/") || contains(agent, "Chromium/");
  if (contains(agent, "Mac OS X 10_14") && contains(agent, "Safari/") && !chrome) return true;
  if (const size_t at = agent.find("UCBrowser/"); at != std::string_view::npos) {
    std::array<int, 3> version{};
    std::string_view rest = agent.substr(at + std::string_view("UCBrowser/").size());
    for (int& part : version) {
      const size_t end = rest.find_first_not_of("0123456789");
      part = static_cast<int>(parse_decimal<uint32_t>(rest.substr(0, end)).value_or(0));
      if (end == std::string_view::npos || rest[end] != '.') break;
      rest.remove_prefix(end + 1);
    }
    return version < std::array{12, 13, 2};
  }
  const int version = version_after(agent, contains(agent, "Chrome/") ? "Chrome/" : "Chromium/");
  return version >= 51 && version <= 66;
}

SessionAffinity::SessionAffinity(AffinityOptions options) : options_(std::move(options)) {
  if (options_.max_age_s) attributes_ += "; Max-Age=" + std::to_string(*options_.max_age_s);
  if (!options_.domain.empty()) attributes_ += "; Domain=" + options_.domain;
  attributes_ += "; Path=" + options_.path + "; HttpOnly";
}

SessionAffinity::Mark SessionAffinity::mark_of(const http::RequestHead& request) const {
  const std::string_view value = http::cookie_value(request.headers, options_.cookie);
  const size_t bar = value.rfind('|');
  if (bar == std::string_view::npos || bar == 0 || bar > kMaxKey) return {};
  return {.key = value.substr(0, bar), .tag = value.substr(bar + 1)};
}

void SessionAffinity::give(http::Exchange& exchange, std::string_view key, std::string_view tag) const {
  const http::RequestHead& request = exchange.request();
  Arena& arena = exchange.arena();
  std::string_view expires;
  if (options_.expires_s) {
    std::array<char, http::kDateSize> date;
    const auto now = std::chrono::duration_cast<std::chrono::seconds>(exchange.worker().loop.wall().time_since_epoch());
    http::write_date(date.data(), now.count() + static_cast<int64_t>(*options_.expires_s));
    expires = arena.concat("; Expires=", std::string_view(date.data(), date.size()));
  }
  const bool secure = options_.secure == AffinityOptions::Secure::kAlways ||
                      (options_.secure == AffinityOptions::Secure::kTlsClients && request.scheme == http::Scheme::kHttps);
  std::string_view same_site = options_.same_site;
  if (options_.conditional_same_site && same_site == "None" &&
      misreads_same_site_none(request.headers.get(http::FieldId::kUserAgent))) {
    same_site = {};
  }
  exchange.response().headers.add(
      http::FieldId::kSetCookie,
      arena.concat(options_.cookie, "=", key, "|", tag, expires, attributes_, secure ? "; Secure" : "",
                   same_site.empty() ? "" : "; SameSite=", same_site));
}

std::optional<uint32_t> StickyPick::pick(const upstream::Upstream& upstream, upstream::PickInput& input,
                                         Arena& arena) {
  if (!held_.empty()) {
    made_ = {};
    if (const auto found = stay(upstream, input)) return found;
  }
  return begin(upstream, input, arena);
}

// Where the key of the client leads; nullopt: nowhere any more.
std::optional<uint32_t> StickyPick::stay(const upstream::Upstream& upstream, upstream::PickInput& input) const {
  const upstream::TriedSet* const tried = input.tried;
  // A failed attempt is repeated where the session is.
  input.tried = affinity_.options().change_on_failure ? tried : nullptr;
  input.hash_key = upstream::hash_key_of_text(held_);
  input.sticky = true;
  if (affinity_.options().persistent) {
    const auto home = upstream.sticky().find(held_);
    const Rank rank =
        home ? upstream::rank_endpoint(upstream.settings(), upstream.endpoint(*home), input.now) : Rank::kOut;
    if (rank == Rank::kUsable) return home;
    if (rank != Rank::kEjected && rank != Rank::kFailing) {
      input.tried = tried;
      return std::nullopt;
    }
  }
  return upstream::pick(upstream, input);
}

std::optional<uint32_t> StickyPick::begin(const upstream::Upstream& upstream, upstream::PickInput& input,
                                          Arena& arena) {
  if (affinity_.options().persistent) {
    input.sticky = false;
    input.hash_key = upstream::kNoHashKey;
    const auto picked = upstream::pick(upstream, input);
    if (!picked) return picked;
    char* const key = arena.allocate_text(upstream::StickyIndex::kKeySize);
    upstream.sticky().write_key(*picked, key);
    made_ = {key, upstream::StickyIndex::kKeySize};
    return picked;
  }
  // A key whose first choice has just failed would send the session there again.
  input.sticky = true;
  const upstream::TriedSet* const tried = input.tried;
  for (int i = 0; i < kFreshKeys; ++i) {
    made_ = fresh_key(input.random, arena);
    input.hash_key = upstream::hash_key_of_text(made_);
    input.tried = nullptr;
    const auto picked = upstream::pick(upstream, input);
    if (!picked || tried == nullptr || !tried->contains(upstream.endpoint(*picked).cell.get())) return picked;
  }
  input.tried = tried;
  return upstream::pick(upstream, input);
}

}  // namespace headgate::handlers
