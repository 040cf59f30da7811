#include "dataplane/upstream/resolver.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "dataplane/base/host_name.h"
#include "dataplane/base/log.h"
#include "dataplane/base/text.h"

namespace headgate::upstream {
namespace {

constexpr Duration kMinTtl = std::chrono::seconds(1);
constexpr Duration kMaxTtl = std::chrono::seconds(300);
constexpr Duration kPartialTtl = std::chrono::seconds(30);  // one of the two families has no answer
constexpr Duration kPatience = std::chrono::milliseconds(500);  // for the second family after the first
constexpr Duration kFailureTtl = std::chrono::seconds(5);
constexpr Duration kMaxStale = std::chrono::hours(24);
constexpr size_t kMaxAddresses = 256;

std::shared_ptr<const Resolved> make_resolved(std::vector<IpAddress> addresses, MonotonicTime expires) {
  std::stable_partition(addresses.begin(), addresses.end(), [&](const IpAddress& address) {
    return address.is_loopback() ? address.is_v4() : !address.is_v4();
  });
  auto resolved = std::make_shared<Resolved>();
  resolved->addresses = std::move(addresses);
  resolved->expires = expires;
  return resolved;
}

bool is_localhost(std::string_view name) {
  return name == "localhost" || (name.size() > 10 && name.substr(name.size() - 10) == ".localhost");
}

// The names to ask for, in order (resolv.conf(5), ndots).
std::vector<std::string> candidates(const std::string& name, bool absolute, const ResolvConf& conf) {
  std::vector<std::string> names;
  if (absolute) return {name};
  const auto dots = static_cast<uint32_t>(std::count(name.begin(), name.end(), '.'));
  if (dots >= conf.ndots) names.push_back(name);
  for (const std::string& domain : conf.search) {
    std::string full = name + "." + domain;
    if (is_valid_host_name(full)) names.push_back(std::move(full));
  }
  if (dots < conf.ndots) names.push_back(name);
  return names;
}

}  // namespace

std::vector<SocketAddress> with_port(const Resolved& resolved, uint16_t port) {
  std::vector<SocketAddress> addresses;
  addresses.reserve(resolved.addresses.size());
  for (const IpAddress& address : resolved.addresses) addresses.push_back(SocketAddress::ip(address, port));
  return addresses;
}

// One name being looked up: a pair of questions per candidate.
class Resolver::Lookup {
 public:
  Lookup(Resolver& resolver, std::string key, std::vector<std::string> names)
      : resolver_(resolver),
        key_(std::move(key)),
        names_(std::move(names)),
        conf_(resolver.conf_),
        next_(resolver.loop_, event::Timer::call<&Lookup::ask_next>, this),
        patience_(resolver.loop_.timers(), event::Timer::call<&Lookup::on_impatient>, this) {
    ++resolver_.running_;
    next_.schedule();
  }
  ~Lookup() { --resolver_.running_; }

  IntrusiveList<ResolveWaiter> waiters;

 private:
  struct Half final : public DnsExchangeObserver {
    Half(Lookup& owner, uint16_t query_type) : lookup(owner), type(query_type) {}
    void on_dns_answer(const dns::Message& answer) override { lookup.on_answer(*this, answer); }
    void on_dns_failure(const Error& error) override {
      lookup.error_ = error;
      lookup.failed_ = true;
      lookup.half_done();
    }
    Lookup& lookup;
    uint16_t type;
    std::unique_ptr<DnsExchange> exchange{};
  };

  // The deferred step after both halves of the last candidate.
  void ask_next() {
    if (!addresses_.empty()) {
      const Duration ttl = std::clamp<Duration>(std::chrono::seconds(ttl_s_), kMinTtl, failed_ ? kPartialTtl : kMaxTtl);
      resolver_.settle(key_, make_resolved(std::move(addresses_), resolver_.loop_.now() + ttl), {});
      return;  // *this is gone
    }
    while (!failed_ && at_ < names_.size()) {
      const auto name = dns::Name::parse(names_[at_++]);
      if (!name) continue;
      open_ = 2;
      for (Half* half : {&v4_, &v6_}) {
        half->exchange = std::make_unique<DnsExchange>(resolver_.loop_, conf_, dns::Question{*name, half->type}, *half);
        half->exchange->start();
      }
      return;
    }
    // A server that could not answer is not the same as a name that does not exist: the search stops there.
    const Error none{.code = Errc::kNotFound, .detail = "no such host name, or it has no address"};
    resolver_.settle(key_, nullptr, failed_ ? error_ : none);
  }

  void on_answer(const Half& half, const dns::Message& answer) {
    std::vector<const dns::Record*> records;
    const dns::Name& asked = answer.questions.front().name;
    dns::follow_chain(answer, asked.view(), half.type, records);
    for (const dns::Record& record : answer.answers) ttl_s_ = std::min(ttl_s_, record.ttl_s);
    for (const dns::Record* record : records) {
      if (addresses_.size() >= kMaxAddresses) break;
      const auto address = read_address(half.type, record->rdata);
      if (address.has_value() && std::find(addresses_.begin(), addresses_.end(), *address) == addresses_.end()) {
        addresses_.push_back(*address);
      }
    }
    half_done();
  }
  static std::optional<IpAddress> read_address(uint16_t type, const dns::Rdata& rdata) {
    if (type == dns::kTypeA && rdata.size() == 4) {
      return IpAddress::v4(uint32_t{rdata[0]} << 24 | uint32_t{rdata[1]} << 16 | uint32_t{rdata[2]} << 8 | rdata[3]);
    }
    if (type == dns::kTypeAaaa && rdata.size() == 16) {
      std::array<uint8_t, 16> bytes{};
      std::copy(rdata.begin(), rdata.end(), bytes.begin());
      return IpAddress::v6(bytes);
    }
    return std::nullopt;
  }
  void half_done() {
    if (--open_ == 0) {
      next_.schedule();
    } else if (!addresses_.empty()) {
      patience_.arm(kPatience);
    }
  }
  // Some servers never answer questions for AAAA: one family is enough, the other is asked for again soon.
  void on_impatient() {
    failed_ = true;
    next_.schedule();
  }

  Resolver& resolver_;
  const std::string key_;
  const std::vector<std::string> names_;
  const ResolvConf conf_;
  size_t at_ = 0;
  int open_ = 0;
  bool failed_ = false;
  Error error_;
  uint32_t ttl_s_ = UINT32_MAX;
  std::vector<IpAddress> addresses_;
  Half v4_{*this, dns::kTypeA};
  Half v6_{*this, dns::kTypeAaaa};
  event::DeferredCall next_;
  event::Timer patience_;
};

// A waiter whose failure was known at once.
struct Resolver::Refusal {
  IntrusiveList<ResolveWaiter> waiter;
  Error error;
};

Resolver::Resolver(event::Loop& loop, Options options)
    : loop_(loop),
      options_(std::move(options)),
      hosts_file_(options_.hosts_path),
      conf_file_(options_.resolv_conf_path),
      tell_later_(loop, event::Timer::call<&Resolver::tell_failures>, this) {
  reread_files();
}

Resolver::~Resolver() = default;

void Resolver::reread_files() {
  std::string text;
  bool changed = false;
  if (hosts_file_.read_if_changed(loop_.now(), text)) {
    hosts_ = parse_hosts(text);
    changed = true;
  }
  if (conf_file_.read_if_changed(loop_.now(), text)) {
    conf_ = parse_resolv_conf(text);
    if (!options_.servers.empty()) conf_.servers = options_.servers;
    changed = true;
  }
  if (!changed) return;
  // What is under way is finished with the old settings; nothing else of them is kept.
  std::erase_if(entries_, [](const auto& entry) { return entry.second.lookup == nullptr; });
}

void Resolver::make_room() {
  if (entries_.size() < kMaxCached) return;
  const MonotonicTime now = loop_.now();
  std::erase_if(entries_, [&](const auto& entry) {
    const Entry& e = entry.second;
    return e.lookup == nullptr && (e.resolved == nullptr || e.resolved->expires <= now);
  });
  // All fresh: any of them has to go.
  for (auto entry = entries_.begin(); entry != entries_.end() && entries_.size() >= kMaxCached;) {
    entry = entry->second.lookup == nullptr ? entries_.erase(entry) : std::next(entry);
  }
}

std::shared_ptr<const Resolved> Resolver::resolve(std::string_view host, ResolveWaiter& waiter) {
  const MonotonicTime now = loop_.now();
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  if (const auto literal = IpAddress::parse(host)) return make_resolved({*literal}, MonotonicTime::max());
  const auto refuse = [&](const Error& error) {
    refusals_.push_back(std::make_unique<Refusal>());
    refusals_.back()->waiter.push_back(waiter);
    refusals_.back()->error = error;
    tell_later_.schedule();
    return nullptr;
  };
  if (!is_valid_host_name(host)) return refuse({.code = Errc::kInvalid, .detail = "not a host name"});
  reread_files();
  const bool absolute = host.back() == '.';
  const std::string name = normalize_host(host);
  if (is_localhost(name)) {
    std::array<uint8_t, 16> v6{};
    v6[15] = 1;
    return make_resolved({IpAddress::v4(0x7f000001), IpAddress::v6(v6)}, MonotonicTime::max());
  }
  if (const auto found = hosts_.find(name); found != hosts_.end()) return make_resolved(found->second, now + kFailureTtl);

  // "db." and "db" are different questions while there is a search list.
  const std::string key = absolute ? name + "." : name;
  auto found = entries_.find(key);
  if (found == entries_.end()) {
    make_room();
    found = entries_.try_emplace(key).first;
  }
  Entry& entry = found->second;
  if (entry.lookup != nullptr) {
    entry.lookup->waiters.push_back(waiter);
    return nullptr;
  }
  if (entry.resolved != nullptr && entry.resolved->expires > now) return entry.resolved;
  if (entry.failed_until > now) return refuse(entry.failure);
  if (running_ >= kMaxRunning) return refuse({.code = Errc::kOverloaded, .detail = "too many DNS lookups"});
  entry.lookup = std::make_unique<Lookup>(*this, key, candidates(name, absolute, conf_));
  entry.lookup->waiters.push_back(waiter);
  return nullptr;
}

void Resolver::settle(const std::string& name, std::shared_ptr<const Resolved> resolved, const Error& error) {
  const auto found = entries_.find(name);
  Entry& entry = found->second;
  const MonotonicTime now = loop_.now();
  const std::unique_ptr<Lookup> lookup = std::move(entry.lookup);  // `name` and its waiters live until we return
  if (resolved != nullptr) {
    entry.resolved = resolved;
    entry.received = now;
  } else if (error.code != Errc::kNotFound && entry.resolved != nullptr && now - entry.received < kMaxStale) {
    HG_LOG(kWarn, kDns, "host name kept although its lookup failed", {"host", name}, {"error", to_string(error)});
    resolved = make_resolved(entry.resolved->addresses, now + kFailureTtl);
    entry.resolved = resolved;
  } else {
    entry.resolved = nullptr;
    entry.failure = error;
    entry.failed_until = now + kFailureTtl;
    HG_LOG(kWarn, kDns, "host name not resolved", {"host", name}, {"error", to_string(error)});
  }
  // A waiter may ask again, for this name or others: only what is local is touched from here on.
  IntrusiveList<ResolveWaiter> waiters;
  waiters.splice_back(lookup->waiters);
  while (ResolveWaiter* waiter = waiters.pop_front()) {
    if (resolved != nullptr) {
      waiter->on_resolved(*resolved);
    } else {
      waiter->on_resolve_failed(error);
    }
  }
}

void Resolver::tell_failures() {
  const auto refusals = std::exchange(refusals_, {});
  for (const auto& refusal : refusals) {
    if (ResolveWaiter* waiter = refusal->waiter.pop_front()) waiter->on_resolve_failed(refusal->error);
  }
}

}  // namespace headgate::upstream
