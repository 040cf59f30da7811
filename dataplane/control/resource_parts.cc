// resource_parts.cc -- the part of ResourceStore that leaves out less than a resource: routes, certificates.
#include <algorithm>
#include <optional>

#include "dataplane/base/number.h"
#include "dataplane/control/resource_store.h"
#include "proto/check/normalize.h"

namespace headgate::control {

namespace cv = control::v1;
using check::Problem;
using config::v1::Listener;
using config::v1::Route;
using config::v1::VirtualHost;

namespace {

// "routes[12].match.regex", "routes" -> 12, ".match.regex"
std::optional<int> index_in(std::string_view path, std::string_view list, std::string_view* rest = nullptr) {
  if (!path.starts_with(list)) return std::nullopt;
  path.remove_prefix(list.size());
  if (!path.starts_with('[')) return std::nullopt;
  const size_t end = path.find(']');
  if (end == std::string_view::npos) return std::nullopt;
  const auto index = parse_decimal<uint32_t>(path.substr(1, end - 1));
  if (!index || *index > 1'000'000) return std::nullopt;
  if (rest != nullptr) *rest = path.substr(end + 1);
  return static_cast<int>(*index);
}

// The builder names a route, the checks count it.
std::optional<int> route_at_fault(const VirtualHost& host, const Problem& problem, std::string_view& rest) {
  if (const auto index = index_in(problem.field_path, "routes", &rest)) {
    return *index < host.routes_size() ? index : std::nullopt;
  }
  if (problem.rule != "build") return std::nullopt;
  for (int i = 0; i < host.routes_size(); ++i) {
    if (host.routes(i).name() == problem.field_path) return i;
  }
  return std::nullopt;
}

const Route* route_named(const VirtualHost* host, const std::string& name) {
  if (host == nullptr) return nullptr;
  const auto found =
      std::find_if(host->routes().begin(), host->routes().end(), [&](const Route& route) { return route.name() == name; });
  return found == host->routes().end() ? nullptr : &*found;
}

// The match stays, so that no wider Route takes what this one should have.
void answer_500(Route& route) {
  route.clear_filters();
  route.mutable_respond()->Clear();
  route.mutable_respond()->set_status(500);
}

}  // namespace

// False: something else than routes is at fault, nothing was done.
bool ResourceStore::lower_routes(const ResourceKey& key, Trial& trial, const std::vector<const Problem*>& problems) {
  const auto& before = static_cast<const VirtualHost&>(*trial.message);
  struct Fault {
    const Problem* problem;
    bool in_match;
  };
  std::map<int, Fault, std::greater<>> faults;  // from the last, so that leaving out moves none that is still to come
  for (const Problem* problem : problems) {
    std::string_view rest;
    const auto index = route_at_fault(before, *problem, rest);
    if (!index) return false;
    const bool in_match = rest.starts_with(".match") || rest.starts_with(".name");
    const auto [known, fresh] = faults.try_emplace(*index, Fault{problem, in_match});
    if (!fresh && in_match) known->second.in_match = true;
  }
  const MessagePtr previous = previous_of(key);
  const auto* previous_host = static_cast<const VirtualHost*>(previous.get());
  auto host = std::make_shared<VirtualHost>(before);  // what serves is shared: change a copy
  trial.routes.resize(static_cast<size_t>(host->routes_size()));
  for (const auto& [index, fault] : faults) {
    Route& route = *host->mutable_routes(index);
    RouteTrial& state = trial.routes[static_cast<size_t>(index)];
    if (state.level == RouteLevel::kGiven) {
      state.reject = reject_of(key, trial, *fault.problem);
      // A Route made from a few of the objects names them.
      if (trial.given != nullptr && route.origin_size() > 0) {
        state.reject.clear_origin();
        for (const uint32_t origin : route.origin()) {
          if (origin < trial.given->origin.size()) *state.reject.add_origin() = trial.given->origin[origin];
        }
      }
    }
    const Route* const fallback = route_named(previous_host, route.name());
    if (state.level == RouteLevel::kGiven && fallback != nullptr &&
        fallback->SerializeAsString() != route.SerializeAsString()) {
      state.level = RouteLevel::kPrevious;
      route = *fallback;
    } else if (state.level < RouteLevel::kAnswers500 && !fault.in_match) {
      state.level = RouteLevel::kAnswers500;
      answer_500(route);
    } else {
      trial.left_out.push_back(state.reject);
      trial.routes.erase(trial.routes.begin() + index);
      host->mutable_routes()->DeleteSubrange(index, 1);
    }
  }
  trial.message = std::move(host);
  return true;
}

// Only for certificates that cannot be found: of several, one tenant's must not take the listener from all others.
bool ResourceStore::leave_out_certificates(const ResourceKey& key, Trial& trial,
                                           const std::vector<const Problem*>& problems) {
  const auto& before = static_cast<const Listener&>(*trial.message);
  std::map<int, const Problem*, std::greater<>> faults;
  for (const Problem* problem : problems) {
    const auto index = index_in(problem->field_path, "tls.certificates");
    if (!index || *index >= before.tls().certificates_size()) return false;
    if (problem->rule != "reference" && problem->rule != "protocol") return false;
    faults.emplace(*index, problem);
  }
  if (faults.empty() || faults.size() == static_cast<size_t>(before.tls().certificates_size())) return false;
  auto listener = std::make_shared<Listener>(before);
  for (const auto& [index, problem] : faults) {
    trial.left_out.push_back(reject_of(key, trial, *problem));
    listener->mutable_tls()->mutable_certificates()->DeleteSubrange(index, 1);
  }
  // One of the others becomes the default when that was left out.
  check::normalize_listener(*listener, *settings_);
  trial.message = std::move(listener);
  return true;
}

}  // namespace headgate::control
