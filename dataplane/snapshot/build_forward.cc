#include "dataplane/handlers/datagram_forward.h"
#include "dataplane/handlers/stream_forward.h"
#include "dataplane/snapshot/build_parts.h"

namespace headgate::snapshot {
namespace {

net::Framing framing_of(const v1::ForwardRule& rule) {
  if (rule.mode() == v1::FORWARD_STREAM) return net::Framing::kRead;
  switch (rule.framing()) {
    case v1::FRAMING_LINE: return net::Framing::kLine;
    case v1::FRAMING_LENGTH: return net::Framing::kLength;
    default: return net::Framing::kRead;
  }
}

}  // namespace

void Build::add_handlers(const v1::Listener& message, Listener& listener) {
  listener.kind = listener.bind.transport == net::Transport::kDatagram ? Listener::Kind::kDatagram
                                                                       : Listener::Kind::kStream;
  if (message.has_dns()) {
    add_dns(message, listener);
  } else {
    add_forward(message, listener);
  }
}

handlers::ForwardRule Build::forward_rule(const v1::Listener& listener, const v1::ForwardRule& message) {
  handlers::ForwardRule rule;
  rule.name = message.name().empty() ? listener.name() : message.name();
  rule.sni.assign(message.sni().begin(), message.sni().end());
  rule.alpn.assign(message.alpn().begin(), message.alpn().end());
  for (const std::string& range : message.source()) {
    if (auto cidr = Cidr::parse(range)) rule.source.add(*cidr);
  }
  const auto add_target = [&](const std::string& name, uint32_t weight) {
    const uint32_t slot = slot_of(name);
    if (snapshot_->upstreams.at_or_none(slot) == nullptr) {
      error(check::Kind::kListener, listener.name(), "forward", "there is no upstream \"" + name + "\"");
      return;
    }
    if (weight == 0) return;
    rule.targets.push_back({.slot = slot, .weight = weight});
    rule.total_weight += weight;
  };
  if (!message.upstream().empty()) add_target(message.upstream(), 1);
  for (const v1::WeightedUpstream& one : message.upstreams()) add_target(one.upstream(), one.weight());
  rule.framing = framing_of(message);
  rule.timeout = to_duration(message.timeout());
  rule.connect_timeout = to_duration(message.connect_timeout());
  rule.max_connections = message.max_connections();
  rule.buffer_bytes = message.buffer_bytes();
  rule.counts = parts_.process_cells.find_or_make<ConnectionCounts>(CellKind::kConnections,
                                                                    listener.name() + "\nforward\n" + rule.name);
  return rule;
}

// A rule that did not change keeps its handler, and with it the flows of a datagram listener.
void Build::add_forward(const v1::Listener& message, Listener& listener) {
  std::string fingerprint = std::to_string(message.limits().flows()) + "|" +
                            std::to_string(message.limits().flows_per_client()) + "|" +
                            fingerprint_of(message.timeouts().proxy_header());
  std::vector<handlers::ForwardRule> rules;
  for (const v1::ForwardRule& rule : message.forward()) {
    fingerprint += "|" + fingerprint_of(rule);
    rules.push_back(forward_rule(message, rule));
    for (const handlers::ForwardTarget& target : rules.back().targets) fingerprint += "," + std::to_string(target.slot);
  }
  if (listener.kind == Listener::Kind::kDatagram) {
    auto& remembered = parts_.datagram_handlers[message.name()];
    if (remembered.built == nullptr || remembered.fingerprint != fingerprint) {
      handlers::DatagramForward::Options options{
          .listener = message.name(),
          .rules = std::move(rules),
          .flows = message.limits().flows(),
          .flows_per_client = message.limits().flows_per_client(),
          .flow_counts = parts_.process_cells.find_or_make<ConnectionCounts>(CellKind::kConnections,
                                                                             message.name() + "\nflows")};
      remembered = {fingerprint, std::make_shared<const handlers::DatagramForward>(std::move(options))};
    }
    listener.datagram_handler = remembered.built;
    return;
  }
  auto& remembered = parts_.stream_handlers[message.name()];
  if (remembered.built == nullptr || remembered.fingerprint != fingerprint) {
    handlers::StreamForward::Options options{.listener = message.name(),
                                             .rules = std::move(rules),
                                             .hello_timeout = to_duration(message.timeouts().proxy_header())};
    remembered = {fingerprint, std::make_shared<const handlers::StreamForward>(std::move(options))};
  }
  listener.stream_handler = remembered.built;
}

}  // namespace headgate::snapshot
