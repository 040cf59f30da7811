#include "dataplane/control/admin_reply.h"

#include "dataplane/base/number.h"
#include "proto/json/json_text.h"

namespace headgate::control {
namespace {

using json::Document;
using json::kNoNode;
using json::NodeId;
using json::NodeKind;

constexpr Error kNotOurs{.code = Errc::kMalformed, .detail = "answer of the admin listener"};

std::string text_of(const Document& document, NodeId object, std::string_view key) {
  const NodeId id = document.find(object, key);
  if (id == kNoNode || document.node(id).kind != NodeKind::kString) return "";
  return std::string(document.node(id).text);
}
uint64_t number_of(const Document& document, NodeId object, std::string_view key) {
  const NodeId id = document.find(object, key);
  if (id == kNoNode || document.node(id).kind != NodeKind::kNumber) return 0;
  return parse_decimal(document.node(id).text).value_or(0);
}
bool boolean_of(const Document& document, NodeId object, std::string_view key) {
  const NodeId id = document.find(object, key);
  return id != kNoNode && document.node(id).kind == NodeKind::kBoolean && document.node(id).boolean;
}
template <typename Fn>
void for_each(const Document& document, NodeId object, std::string_view key, Fn&& fn) {
  const NodeId list = document.find(object, key);
  if (list == kNoNode || document.node(list).kind != NodeKind::kArray) return;
  for (NodeId id = document.first(list); id != kNoNode; id = document.next(id)) fn(id);
}
bool read_object(Document& document, std::string_view json) {
  if (!document.read(std::string(json)) || document.root() == kNoNode) return false;
  return document.node(document.root()).kind == NodeKind::kObject;
}

}  // namespace

Result<ActionOutcome> read_outcome(std::string_view json) {
  Document document;
  if (!read_object(document, json) || document.find(document.root(), "ok") == kNoNode) return kNotOurs;
  const NodeId root = document.root();
  ActionOutcome outcome{.ok = boolean_of(document, root, "ok"), .message = text_of(document, root, "message")};
  for_each(document, root, "problems", [&](NodeId id) {
    outcome.problems.push_back({.file = text_of(document, id, "file"),
                                .line = static_cast<uint32_t>(number_of(document, id, "line")),
                                .column = static_cast<uint32_t>(number_of(document, id, "column")),
                                .path = text_of(document, id, "path"),
                                .message = text_of(document, id, "message")});
  });
  return outcome;
}

Result<StatsReply> read_stats(std::string_view json) {
  Document document;
  if (!read_object(document, json) || document.find(document.root(), "version") == kNoNode) return kNotOurs;
  const NodeId root = document.root();
  StatsReply reply;
  reply.version = text_of(document, root, "version");
  reply.pid = number_of(document, root, "pid");
  reply.stats.state = text_of(document, root, "state");
  reply.stats.uptime_s = static_cast<double>(number_of(document, root, "uptime_s"));
  reply.stats.workers = static_cast<uint32_t>(number_of(document, root, "workers"));
  reply.stats.restarts = static_cast<uint32_t>(number_of(document, root, "restarts"));
  reply.stats.config = text_of(document, root, "config");
  reply.stats.config_time_s = static_cast<int64_t>(number_of(document, root, "config_time_s"));
  reply.stats.listeners = number_of(document, root, "listeners");
  reply.log_lines_dropped = number_of(document, root, "log_lines_dropped");
  const NodeId connections = document.find(root, "connections");
  if (connections != kNoNode) {
    reply.connections_active = number_of(document, connections, "active");
    reply.connections_accepted = number_of(document, connections, "accepted");
    reply.connections_refused = number_of(document, connections, "refused");
  }
  const NodeId requests = document.find(root, "requests");
  if (requests != kNoNode) {
    reply.requests_active = number_of(document, requests, "active");
    reply.requests_received = number_of(document, requests, "received");
    reply.responses_2xx = number_of(document, requests, "status_2xx");
    reply.responses_3xx = number_of(document, requests, "status_3xx");
    reply.responses_4xx = number_of(document, requests, "status_4xx");
    reply.responses_5xx = number_of(document, requests, "status_5xx");
  }
  for_each(document, root, "upstreams", [&](NodeId id) {
    UpstreamStats upstream{.name = text_of(document, id, "name"), .endpoints = {}};
    for_each(document, id, "endpoints", [&](NodeId endpoint) {
      upstream.endpoints.push_back({.address = text_of(document, endpoint, "address"),
                                    .healthy = boolean_of(document, endpoint, "healthy"),
                                    .reason = text_of(document, endpoint, "reason")});
    });
    reply.stats.upstreams.push_back(std::move(upstream));
  });
  return reply;
}

}  // namespace headgate::control
