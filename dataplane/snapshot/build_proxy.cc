#include "dataplane/handlers/proxy.h"
#include "dataplane/snapshot/build_parts.h"

namespace headgate::snapshot {

upstream::RetryPolicy retry_policy_of(const v1::RetryPolicy& message);  // build_upstreams.cc

namespace {

http::ForwardedMode forwarded_mode_of(v1::ForwardedMode mode, http::ForwardedMode otherwise) {
  switch (mode) {
    case v1::FORWARDED_APPEND: return http::ForwardedMode::kAppend;
    case v1::FORWARDED_REPLACE: return http::ForwardedMode::kReplace;
    case v1::FORWARDED_KEEP: return http::ForwardedMode::kKeep;
    case v1::FORWARDED_REMOVE: return http::ForwardedMode::kRemove;
    default: return otherwise;
  }
}

http::ForwardedPolicy forwarded_of(const v1::ForwardedHeaders& message) {
  http::ForwardedPolicy policy;
  policy.x_forwarded = forwarded_mode_of(message.x_forwarded(), http::ForwardedMode::kAuto);
  policy.x_real_ip = message.x_real_ip() != v1::TOGGLE_OFF;
  policy.forwarded = forwarded_mode_of(message.forwarded(), http::ForwardedMode::kRemove);
  policy.prefix = message.prefix();
  policy.original_uri = message.original_uri() == v1::TOGGLE_ON;
  policy.nginx_set = message.nginx_set() == v1::TOGGLE_ON;
  return policy;
}

handlers::AffinityOptions affinity_of(const v1::SessionAffinity& message) {
  using Secure = handlers::AffinityOptions::Secure;
  handlers::AffinityOptions options;
  options.cookie = message.cookie();
  options.persistent = message.persistent();
  options.change_on_failure = message.change_on_failure();
  if (!message.path().empty()) options.path = message.path();
  options.domain = message.domain();
  if (message.has_max_age()) options.max_age_s = static_cast<uint64_t>(message.max_age().seconds());
  if (message.has_expires()) options.expires_s = static_cast<uint64_t>(message.expires().seconds());
  options.same_site = message.same_site();
  options.conditional_same_site = message.conditional_same_site_none();
  switch (message.secure()) {
    case v1::TOGGLE_ON: options.secure = Secure::kAlways; break;
    case v1::TOGGLE_OFF: options.secure = Secure::kNever; break;
    default: options.secure = Secure::kTlsClients; break;
  }
  return options;
}

}  // namespace

bool Build::backend_filters(const google::protobuf::RepeatedPtrField<v1::HttpFilter>& messages,
                            handlers::ProxyBackend& backend) {
  for (const v1::HttpFilter& message : messages) {
    if (message.has_rewrite()) {
      error(check::Kind::kVirtualHost, host_name_, "proxy.backends.filters", "a rewrite for one backend is not built in yet");
      return false;
    }
    auto built = filter(message);
    if (built == nullptr) return false;
    if (message.has_response_headers()) {
      backend.response_changes.push_back(std::dynamic_pointer_cast<const http::ResponseChange>(std::move(built)));
    } else {
      backend.head_changes.push_back(std::dynamic_pointer_cast<const http::HeadChange>(std::move(built)));
    }
  }
  return true;
}

// What a route may say of its own is the key. How endpoints are chosen is a state of the Upstream, which all routes share.
std::string Build::balance_refusal(const v1::ProxyAction& action) const {
  const v1::LoadBalancing& own = action.balance();
  if (!action.has_balance()) return {};
  if (own.has_slow_start()) return "balance.slow_start belongs to the upstream";
  for (const v1::Backend& backend : action.backends()) {
    const auto* const upstream = view_.find<v1::Upstream>(backend.upstream());
    if (upstream == nullptr) continue;
    const v1::LoadBalancing& balance = upstream->balance();
    const bool other = own.policy() != v1::BALANCE_POLICY_UNSPECIFIED && own.policy() != balance.policy();
    if (other || (own.has_subset() && own.subset() != balance.subset())) {
      return "balance: the upstream " + upstream->name() + " chooses its endpoints by " +
             v1::BalancePolicy_Name(balance.policy()) + " for all its routes; a route may only have its own hash_key";
    }
    if (!own.hash_key().empty() && balance.policy() != v1::BALANCE_RING_HASH) {
      return "balance.hash_key: the upstream " + upstream->name() + " does not choose by BALANCE_RING_HASH";
    }
  }
  return {};
}

bool Build::choices(const v1::ProxyAction& action, handlers::ProxyOptions& options) {
  for (const v1::BackendChoice& message : action.choices()) {
    const bool cookie = message.has_cookie();
    const v1::HeaderMatch& mark = cookie ? message.cookie() : message.header();
    std::string why;
    auto matcher = text_matcher_of(mark.value(), &why);
    if (!matcher) {
      error(check::Kind::kVirtualHost, host_name_, "proxy.choices", why);
      return false;
    }
    const auto subject = cookie ? http::Predicate::Subject::kCookie : http::Predicate::Subject::kHeader;
    options.choices.push_back({http::Predicate(subject, mark.name(), std::move(*matcher)), message.backend()});
  }
  return true;
}

std::shared_ptr<const http::Handler> Build::proxy(const v1::ProxyAction& action, const v1::RouteTable& table,
                                                  HeadChanges changes) {
  handlers::ProxyOptions options;
  const auto refuse = [&](const std::string& why) {
    error(check::Kind::kVirtualHost, host_name_, "proxy", why);
    return std::shared_ptr<const http::Handler>();
  };
  if (action.request_buffering() == v1::TOGGLE_ON) {
    const v1::ProxySettings& settings = view_.settings();
    handlers::SpoolLimits limits;
    limits.memory = action.buffer_bytes();
    limits.worker_memory = settings.body_memory_bytes();
    if (!settings.temp_dir().empty()) limits.folder = settings.temp_dir();
    options.request_buffering = limits;
  }
  if (const std::string option = unbuilt_option(action); !option.empty()) return refuse(option);
  for (const v1::Backend& message : action.backends()) {
    handlers::ProxyBackend backend{.slot = slot_of(message.upstream()), .weight = message.weight()};
    backend.sticky = message.sticky() != v1::TOGGLE_OFF;
    if (!backend_filters(message.filters(), backend)) return nullptr;
    options.backends.push_back(std::move(backend));
  }
  if (!choices(action, options)) return nullptr;
  if (action.has_affinity()) {
    options.affinity = std::make_shared<const handlers::SessionAffinity>(affinity_of(action.affinity()));
  }
  if (!action.fallback_upstream().empty()) {
    options.fallback_slot = slot_of(action.fallback_upstream());
    v1::HttpFilter headers;
    *headers.mutable_request_headers()->mutable_set() = action.fallback_headers();
    handlers::ProxyBackend fallback;
    headers.set_phase(v1::PHASE_BACKEND);
    google::protobuf::RepeatedPtrField<v1::HttpFilter> list;
    if (!action.fallback_headers().empty()) *list.Add() = headers;
    if (!backend_filters(list, fallback)) return nullptr;
    options.fallback_changes = std::move(fallback.head_changes);
  }
  const auto pick = [](const google::protobuf::Duration& own, bool has_own, const google::protobuf::Duration& wide,
                       bool has_wide, std::optional<Duration>& into) {
    if (has_own) {
      into = to_duration(own);
    } else if (has_wide) {
      into = to_duration(wide);
    }
  };
  const v1::RouteTimeouts& own = action.timeouts();
  const v1::RouteTimeouts& wide = table.timeouts();
  pick(own.connect(), own.has_connect(), wide.connect(), wide.has_connect(), options.connect_timeout);
  pick(own.response(), own.has_response(), wide.response(), wide.has_response(), options.response_timeout);
  pick(own.send(), own.has_send(), wide.send(), wide.has_send(), options.send_timeout);
  pick(own.tunnel_idle(), own.has_tunnel_idle(), wide.tunnel_idle(), wide.has_tunnel_idle(), options.tunnel_idle);
  options.request_timeout = to_duration(own.has_request() ? own.request() : wide.request());
  if (action.has_retry()) {
    options.retry = retry_policy_of(action.retry());
  } else if (table.has_retry()) {
    options.retry = retry_policy_of(table.retry());
  }
  const auto& per_try = own.has_per_try() ? own.per_try() : wide.per_try();
  options.per_try_timeout = to_duration(per_try);
  std::string why;
  if (!action.host_rewrite().empty()) {
    auto parsed = http::TextTemplate::parse(action.host_rewrite(), &why);
    if (!parsed) return refuse(why);
    options.host = std::move(*parsed);
  }
  if (const std::string why_not = balance_refusal(action); !why_not.empty()) return refuse(why_not);
  std::string hash_key = action.balance().hash_key();
  if (hash_key.empty() && !action.backends().empty()) {
    const auto* const upstream = view_.find<v1::Upstream>(action.backends(0).upstream());
    if (upstream != nullptr) hash_key = upstream->balance().hash_key();
  }
  if (!hash_key.empty()) {
    auto parsed = http::TextTemplate::parse(hash_key, &why);
    if (!parsed) return refuse(why);
    options.hash_key = std::move(*parsed);
  }
  options.strip_prefix = without_final_slash(action.strip_prefix());
  options.websocket = action.websocket() != v1::TOGGLE_OFF;
  options.forwarded = forwarded_of(action.forwarded());
  options.head_changes = std::move(changes);
  return std::make_shared<const handlers::Proxy>(std::move(options));
}

}  // namespace headgate::snapshot
