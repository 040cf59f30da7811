#include "dataplane/upstream/upstream.h"

#include <utility>

#include "dataplane/base/check.h"

namespace headgate::upstream {

Upstream::Upstream(std::shared_ptr<const UpstreamSettings> settings, uint32_t slot, std::vector<Endpoint> endpoints,
                   std::shared_ptr<UpstreamCell> cell)
    : settings_(std::move(settings)), slot_(slot), endpoints_(std::move(endpoints)), cell_(std::move(cell)) {
  HG_CHECK(settings_ != nullptr);
  if (cell_ == nullptr) cell_ = std::make_shared<UpstreamCell>();
  for (Endpoint& endpoint : endpoints_) {
    endpoint.finish();
    if (endpoint.cell == nullptr) endpoint.cell = std::make_shared<EndpointCell>();
  }
  if (!settings_->sticky_name.empty()) {
    std::vector<std::string_view> texts;
    texts.reserve(endpoints_.size());
    for (const Endpoint& endpoint : endpoints_) texts.push_back(endpoint.text);
    sticky_.build(settings_->sticky_name, texts);
  } else if (!is_hash_policy(settings_->balance.policy)) {
    return;
  }
  std::vector<HashRing::Member> members;
  members.reserve(endpoints_.size());
  for (uint32_t i = 0; i < endpoints_.size(); ++i) {
    // Whether it is usable now is not asked: a key must find its way back when an endpoint recovers.
    if (endpoints_[i].resolved()) members.push_back({endpoints_[i].text, endpoints_[i].weight, i});
  }
  ring_.build(std::move(members));
}

std::string_view protocol_name(Protocol protocol) {
  switch (protocol) {
    case Protocol::kHttp1: return "http1";
    case Protocol::kHttp2: return "http2";
    case Protocol::kGrpc: return "grpc";
    case Protocol::kAuto: return "auto";
    case Protocol::kStream: return "stream";
    case Protocol::kDatagram: return "datagram";
    case Protocol::kFastCgi: return "fastcgi";
  }
  return "unknown";
}

std::string_view balance_name(BalancePolicy policy) {
  switch (policy) {
    case BalancePolicy::kRoundRobin: return "round-robin";
    case BalancePolicy::kRandom: return "random";
    case BalancePolicy::kIpHash: return "ip-hash";
    case BalancePolicy::kConnHash: return "conn-hash";
    case BalancePolicy::kLeastConn: return "least-conn";
    case BalancePolicy::kLeastRequest: return "least-request";
    case BalancePolicy::kRingHash: return "ring-hash";
    case BalancePolicy::kPeakEwma: return "peak-ewma";
  }
  return "unknown";
}

}  // namespace headgate::upstream
