#include "dataplane/handlers/dns_forward.h"

#include <algorithm>

#include "dataplane/base/counters.h"
#include "dataplane/base/log.h"
#include "dataplane/dns/answer.h"

namespace headgate::handlers {
namespace {

// Name in lower case, type and class: what makes two questions one.
std::string key_of(const dns::QueryView& view) {
  const dns::Name folded = dns::Name(view.name).folded();
  std::string key(as_text(folded.view().bytes()));
  for (const uint16_t value : {view.type, view.klass}) {
    key += static_cast<char>(value >> 8);
    key += static_cast<char>(value & 0xff);
  }
  return key;
}

}  // namespace

class DnsForwarder::Lookup final : public event::Disposable, private upstream::DnsExchangeObserver {
 public:
  Lookup(DnsForwarder& forwarder, std::string key, const dns::QueryView& view)
      : forwarder_(forwarder),
        key_(std::move(key)),
        exchange_(forwarder.worker_.loop, forwarder.conf_,
                  dns::Question{.name = dns::Name(view.name), .type = view.type, .klass = view.klass},
                  static_cast<upstream::DnsExchangeObserver&>(*this)) {}

  void start() { exchange_.start(); }
  IntrusiveList<DnsAsker> askers;
  size_t count = 0;
  [[nodiscard]] const std::string& key() const { return key_; }

 private:
  void on_dns_answer(const dns::Message& answer) override { forwarder_.on_answer(*this, &answer); }
  void on_dns_failure(const Error& error) override {
    HG_LOG(kInfo, kDns, "no resolver answered", {"error", to_string(error)});
    forwarder_.on_answer(*this, nullptr);
  }

  DnsForwarder& forwarder_;
  std::string key_;
  upstream::DnsExchange exchange_;
};

DnsForwarder::DnsForwarder(std::shared_ptr<const DnsForwardSettings> settings, WorkerContext& worker)
    : settings_(std::move(settings)),
      worker_(worker),
      cache_(dns::AnswerCache::Options{.max_bytes = settings_->cache_bytes}),
      scratch_(dns::kMaxMessageBytes) {
  conf_.servers = settings_->resolvers;
  conf_.timeout = settings_->query_timeout;
  conf_.attempts = 1;
}

DnsForwarder::~DnsForwarder() = default;

size_t DnsForwarder::find(Bytes query, const dns::QueryView& view, std::span<uint8_t> out, bool is_udp) {
  const size_t size = cache_.find(query, view, out, is_udp, worker_.loop.now());
  if (size > 0) worker_.counters.add(Counter::kDnsCacheHits);
  return size;
}

bool DnsForwarder::ask(const dns::QueryView& view, DnsAsker& asker) {
  std::string key = key_of(view);
  auto at = lookups_.find(key);
  if (at == lookups_.end()) {
    if (lookups_.size() >= kMaxLookups) return false;
    auto lookup = std::make_unique<Lookup>(*this, key, view);
    lookup->start();
    worker_.counters.add(Counter::kDnsForwarded);
    at = lookups_.emplace(std::move(key), std::move(lookup)).first;
  }
  Lookup& lookup = *at->second;
  if (lookup.count >= kMaxAskers) return false;
  ++lookup.count;
  lookup.askers.push_back(asker);
  return true;
}

void DnsForwarder::on_answer(Lookup& lookup, const dns::Message* answer) {
  const auto at = lookups_.find(lookup.key());
  if (at == lookups_.end()) return;
  std::unique_ptr<Lookup> done = std::move(at->second);
  lookups_.erase(at);
  bool kept = false;
  while (DnsAsker* asker = done->askers.pop_front()) {
    if (answer != nullptr && !kept) {
      kept = true;
      // Kept under the question as the first asker put it; case and EDNS are those of each asker again when it is found.
      dns::Message as_asked = *answer;
      const dns::QueryView view = dns::parse_query(asker->query);
      if (!as_asked.questions.empty()) as_asked.questions[0].name = dns::Name(view.name);
      cache_.store(view, dns::write_message(as_asked), worker_.loop.now());
    }
    reply(*asker, answer);
  }
  worker_.loop.defer_delete(std::move(done));
}

void DnsForwarder::reply(DnsAsker& asker, const dns::Message* answer) {
  const dns::QueryView view = dns::parse_query(asker.query);
  const dns::AnswerOptions options{.is_udp = asker.is_udp, .recursion_available = true};
  if (answer == nullptr) {
    const size_t size = dns::write_error(asker.query, view, dns::kRcodeServFail, scratch_, options);
    asker.on_dns_reply(Bytes(scratch_).first(size));
    return;
  }
  if (const size_t size = cache_.find(asker.query, view, scratch_, asker.is_udp, worker_.loop.now())) {
    asker.on_dns_reply(Bytes(scratch_).first(size));
    return;
  }
  // Not to be kept (a TTL of 0, for example): written for this one.
  dns::Message message;
  message.id = view.id;
  message.is_response = true;
  message.rcode = answer->rcode;
  message.questions = answer->questions;
  message.answers = answer->answers;
  message.authorities = answer->authorities;
  message.additionals = answer->additionals;
  message.recursion_desired = (view.flags & dns::kFlagRecursionDesired) != 0;
  message.recursion_available = true;
  if (!message.questions.empty()) message.questions[0].name = dns::Name(view.name);
  if (view.has_edns) message.edns.emplace();
  const size_t limit = asker.is_udp ? std::min<size_t>(view.udp_payload, dns::kUdpPayload) : dns::kMaxMessageBytes;
  asker.on_dns_reply(dns::write_message(message, limit));
}

std::shared_ptr<DnsForwarder> DnsForwarders::find(const std::shared_ptr<const DnsForwardSettings>& settings,
                                                  WorkerContext& worker) {
  if (worker.dns_forwarders == nullptr) {
    worker.dns_forwarders = std::make_unique<DnsForwarders>().release();
    worker.release_dns_forwarders = [](WorkerContext& context) {
      const std::unique_ptr<DnsForwarders> owned(std::exchange(context.dns_forwarders, nullptr));
    };
  }
  auto& all = worker.dns_forwarders->forwarders_;
  for (const auto& forwarder : all) {
    if (forwarder->settings() == settings) return forwarder;
  }
  // What no listener and no Snapshot refers to any more makes room.
  std::erase_if(all, [](const auto& one) { return one.use_count() == 1 && one->settings().use_count() == 1; });
  all.push_back(std::make_shared<DnsForwarder>(settings, worker));
  return all.back();
}

}  // namespace headgate::handlers
