// listen.cc -- the section `listen`, and `backlog`.
#include "dataplane/base/text.h"
#include "proto/json/reading.h"

namespace headgate::json {

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

constexpr size_t kMaxName = 253;

ListenerTransport transport_of(Scheme scheme) {
  switch (scheme) {
    case Scheme::kUdp: return LISTENER_UDP;
    case Scheme::kUnix: return LISTENER_UNIX;
    case Scheme::kUnixgram: return LISTENER_UNIXGRAM;
    default: return LISTENER_TCP;  // schemes of targets are refused before
  }
}

// unix:// is HTTP until a rule makes it a stream (dispatch.cc).
ListenerProtocol protocol_of(Scheme scheme) {
  switch (scheme) {
    case Scheme::kHttps: return LISTENER_HTTPS;
    case Scheme::kTcp: return LISTENER_STREAM;
    case Scheme::kSsl: return LISTENER_TLS_STREAM;
    case Scheme::kUdp:
    case Scheme::kUnixgram: return LISTENER_DATAGRAM;
    default: return LISTENER_HTTP;
  }
}

void read_proxy_protocol(Reading& reading, NodeId node, Listener& listener) {
  if (!reading.is_object(node)) return;
  const NodeId trusted = reading.member(node, "trusted");
  ProxyProtocolIn& in = *listener.mutable_proxy_protocol();
  for (const NodeId range : reading.each(trusted)) {
    if (const auto text = reading.text(range)) in.add_trusted(std::string(*text));
  }
  reading.positions.add(check::Kind::kListener, listener.name(), "proxy_protocol", node);
  reading.positions.add_list(check::Kind::kListener, listener.name(), "proxy_protocol.trusted", reading.each(trusted));
}

void read_one(Reading& reading, NodeId node, uint32_t backlog) {
  const bool object = reading.is_object(node);
  const NodeId uri_node = object ? reading.member(node, "uri") : node;
  const auto text = reading.text(uri_node);
  const auto name = object ? reading.text(node, "name") : text;
  if (!name) return;
  if (name->empty() || name->size() > kMaxName) {
    // For an object the shape has said so; a string is name and address in one.
    if (!object) reading.error(node, "uri", "expected an address such as \"http://:8080\", of at most 253 characters");
    return;
  }
  if (const ListenerEntry* other = reading.listener(*name)) {
    reading.error(object ? reading.member(node, "name") : node, "duplicate",
                  "the listener " + reading.doc.path(other->node) + " is named " + quote_json(*name) + ", too");
    return;
  }
  ListenerEntry entry;
  entry.name = *name;
  entry.node = node;
  std::string why;
  if (text && !parse_listen_uri(*text, entry.uri, why)) reading.error(uri_node, "uri", why);
  entry.usable = text && why.empty();
  if (entry.usable) {
    Listener& listener = *reading.set.add_listeners();
    entry.index = reading.set.listeners_size() - 1;
    listener.set_name(entry.name);
    listener.set_transport(transport_of(entry.uri.scheme));
    listener.set_protocol(protocol_of(entry.uri.scheme));
    listener.set_backlog(backlog);
    if (is_path_scheme(entry.uri.scheme)) {
      listener.set_unix_path(entry.uri.path);
    } else {
      listener.set_address(entry.uri.host);
      listener.set_port(entry.uri.port);
    }
    reading.positions.add(check::Kind::kListener, entry.name, "", node);
    for (const std::string_view field : {"address", "port", "unix_path", "protocol"}) {
      reading.positions.add(check::Kind::kListener, entry.name, field, uri_node);
    }
    if (object) read_proxy_protocol(reading, reading.member(node, "proxy_protocol"), listener);
  }
  reading.listeners.push_back(std::move(entry));
}

}  // namespace

void read_listen(Reading& reading, NodeId root) {
  const auto backlog = reading.whole<uint32_t>(root, "backlog").value_or(1024);
  for (const NodeId node : reading.each(reading.member(root, "listen"))) read_one(reading, node, backlog);
}

}  // namespace headgate::json
