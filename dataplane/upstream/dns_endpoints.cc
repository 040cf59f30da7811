#include "dataplane/upstream/dns_endpoints.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

namespace headgate::upstream {
namespace {

constexpr Duration kRetry = std::chrono::seconds(5);
constexpr Duration kLongest = std::chrono::seconds(300);  // literals never expire, but a hosts file may gain the name

}  // namespace

std::vector<Endpoint> expand_endpoint(const Endpoint& configured, const std::vector<IpAddress>& addresses) {
  std::vector<IpAddress> larger;
  std::vector<IpAddress> smaller;
  for (const IpAddress& address : addresses) (address.is_v4() ? larger : smaller).push_back(address);
  if (smaller.size() > larger.size()) std::swap(smaller, larger);
  std::vector<Endpoint> endpoints;
  if (larger.empty()) {
    endpoints.push_back(configured);
    endpoints.back().finish();
    return endpoints;
  }
  // The order of preference is that of the answer: which family comes first there goes first.
  const bool larger_first = smaller.empty() || addresses.front().is_v4() == larger.front().is_v4();
  for (size_t i = 0; i < larger.size(); ++i) {
    Endpoint endpoint = configured;
    endpoint.text.clear();
    endpoint.addresses = {SocketAddress::ip(larger[i], configured.port)};
    endpoint.finish();
    if (!smaller.empty()) {
      const SocketAddress other = SocketAddress::ip(smaller[i % smaller.size()], configured.port);
      endpoint.addresses.insert(larger_first ? endpoint.addresses.end() : endpoint.addresses.begin(), other);
    }
    endpoints.push_back(std::move(endpoint));
  }
  return endpoints;
}

// One host name that is kept fresh.
class DnsEndpoints::Name final : public ResolveWaiter {
 public:
  Name(DnsEndpoints& parent, std::string host)
      : parent_(parent), host_(std::move(host)), timer_(parent.loop_.timers(), event::Timer::call<&Name::ask>, this) {
    if (const auto known = parent_.resolver_.resolve(host_, *this)) take(*known);
  }
  [[nodiscard]] const std::vector<IpAddress>& addresses() const { return addresses_; }

 private:
  void on_resolved(const Resolved& resolved) override {
    if (take(resolved)) parent_.on_name_changed(host_);
  }
  void on_resolve_failed(const Error&) override { timer_.arm(kRetry); }

  void ask() {
    const auto known = parent_.resolver_.resolve(host_, *this);
    if (known != nullptr) on_resolved(*known);
  }
  bool take(const Resolved& resolved) {
    const MonotonicTime now = parent_.loop_.now();
    timer_.arm(std::clamp<Duration>(resolved.expires > now + kLongest ? kLongest : resolved.expires - now,
                                    std::chrono::milliseconds(100), kLongest));
    // Servers rotate their answers: that is no change.
    std::vector<IpAddress> sorted = resolved.addresses;
    std::sort(sorted.begin(), sorted.end());
    if (sorted == sorted_) return false;
    sorted_ = std::move(sorted);
    addresses_ = resolved.addresses;
    return true;
  }

  DnsEndpoints& parent_;
  const std::string host_;
  event::Timer timer_;
  std::vector<IpAddress> addresses_;  // in the order of the answer
  std::vector<IpAddress> sorted_;
};

DnsEndpoints::DnsEndpoints(event::Loop& loop, Resolver& resolver, DnsEndpointsObserver& observer)
    : loop_(loop), resolver_(resolver), observer_(observer) {}

DnsEndpoints::~DnsEndpoints() = default;

void DnsEndpoints::set_upstream(std::string_view upstream, std::vector<Endpoint> configured) {
  for (const Endpoint& endpoint : configured) {
    if (endpoint.resolved()) continue;
    auto& name = names_[endpoint.host];
    if (name == nullptr) name = std::make_unique<Name>(*this, endpoint.host);
  }
  upstreams_[std::string(upstream)] = std::move(configured);
  drop_unused_names();
}

void DnsEndpoints::remove_upstream(std::string_view upstream) {
  const auto found = upstreams_.find(upstream);
  if (found == upstreams_.end()) return;
  upstreams_.erase(found);
  drop_unused_names();
}

void DnsEndpoints::drop_unused_names() {
  std::unordered_set<std::string_view> used;
  for (const auto& [upstream, configured] : upstreams_) {
    for (const Endpoint& endpoint : configured) {
      if (!endpoint.resolved()) used.insert(endpoint.host);
    }
  }
  std::erase_if(names_, [&](const auto& entry) { return !used.contains(entry.first); });
}

std::vector<Endpoint> DnsEndpoints::endpoints(std::string_view upstream) const {
  std::vector<Endpoint> result;
  const auto found = upstreams_.find(upstream);
  if (found == upstreams_.end()) return result;
  std::unordered_set<std::string> seen;
  for (const Endpoint& configured : found->second) {
    if (configured.resolved()) {
      result.push_back(configured);
      result.back().finish();
      seen.insert(result.back().text);
      continue;
    }
    // Two names of one host count once.
    for (Endpoint& endpoint : expand_endpoint(configured, names_.find(configured.host)->second->addresses())) {
      if (seen.insert(endpoint.text).second) result.push_back(std::move(endpoint));
    }
  }
  return result;
}

void DnsEndpoints::on_name_changed(const std::string& host) {
  // The observer may set and remove Upstreams: the names first, then the calls.
  std::vector<std::string> changed;
  for (const auto& [upstream, configured] : upstreams_) {
    const bool has = std::any_of(configured.begin(), configured.end(), [&](const Endpoint& endpoint) {
      return !endpoint.resolved() && endpoint.host == host;
    });
    if (has) changed.push_back(upstream);
  }
  for (const std::string& upstream : changed) observer_.on_endpoints_changed(upstream);
}

}  // namespace headgate::upstream
