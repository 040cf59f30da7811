// timeouts.cc -- the sections `timeouts` and `limits`, of the file and of listeners.
#include "proto/json/reading.h"

namespace headgate::json {

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

void read_limits(const Reading& reading, NodeId node, ListenerLimits& limits) {
  if (const auto value = reading.whole<uint32_t>(node, "header")) limits.set_header_bytes(*value);
  if (const auto value = reading.whole<uint32_t>(node, "fields")) limits.set_header_fields(*value);
  if (const auto value = reading.whole<uint32_t>(node, "target")) limits.set_target_bytes(*value);
  if (const auto value = reading.whole<uint64_t>(node, "body")) limits.set_body_bytes(*value);
  if (const auto value = reading.whole<uint32_t>(node, "connections")) limits.set_connections(*value);
}

void read_times(const Reading& reading, NodeId node, ProxySettings& settings) {
  ListenerTimeouts times;
  google::protobuf::Duration value;
  if (reading.duration(node, "header", &value)) {
    *times.mutable_header() = value;
    *times.mutable_tls_handshake() = value;  // what comes before a head is waited for as long, as in nginx
  }
  if (reading.duration(node, "body", &value)) *times.mutable_body() = value;
  if (reading.duration(node, "send", &value)) *times.mutable_send() = value;
  if (reading.duration(node, "idle", &value)) *times.mutable_idle() = value;
  if (reading.duration(node, "drain", &value)) *times.mutable_drain() = value;
  if (times.ByteSizeLong() > 0) *settings.mutable_timeouts() = times;
  if (reading.duration(node, "connect", &value)) *settings.mutable_connect_timeout() = value;
  if (reading.duration(node, "response", &value)) *settings.mutable_response_timeout() = value;
  // It stands among the time-outs because it always has.
  if (const auto most = reading.whole<uint32_t>(node, "max_connections_per_ip")) {
    settings.mutable_limits()->set_connections_per_client(*most);
  }
}

}  // namespace

void read_listener_limits(const Reading& reading, NodeId listener_node, Listener& listener) {
  const NodeId node = reading.is_object(listener_node) ? reading.member(listener_node, "limits") : kNoNode;
  if (reading.is_object(node)) read_limits(reading, node, *listener.mutable_limits());
}

void read_timeouts(Reading& reading, NodeId root) {
  ProxySettings& settings = *reading.set.mutable_settings();
  if (const NodeId limits = reading.member(root, "limits"); reading.is_object(limits)) {
    read_limits(reading, limits, *settings.mutable_limits());
    reading.positions.add(check::Kind::kSettings, "default", "limits", limits);
  }
  if (const NodeId times = reading.member(root, "timeouts"); reading.is_object(times)) {
    read_times(reading, times, settings);
    reading.positions.add(check::Kind::kSettings, "default", "timeouts", times);
  }
}

}  // namespace headgate::json
