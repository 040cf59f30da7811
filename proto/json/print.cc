#include "proto/json/print.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include "dataplane/base/text.h"
#include "proto/json/json_writer.h"
#include "proto/json/shape.h"

namespace headgate::json {

void JsonWriter::string(std::string_view text) { out_ += quote_json(text); }

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

// 1e3, 1000.0 and 1000 print as 1000; the shortest text that reads back as the same number.
std::string canonical_number(std::string_view text) {
  double value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  std::array<char, 40> buffer{};
  if (value == std::floor(value) && std::fabs(value) < 9007199254740992.0) {
    const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), static_cast<int64_t>(value)).ptr;
    return {buffer.data(), end};
  }
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  return {buffer.data(), end};
}

class ConfigPrinter {
 public:
  explicit ConfigPrinter(const Document& document) : doc_(document) {}

  std::string print() {
    value(doc_.root(), file_shape());
    return out_.take();
  }

 private:
  void value(NodeId id, const Shape& shape) {
    switch (shape.kind) {
      case ShapeKind::kBoolean:
      case ShapeKind::kInteger:
      case ShapeKind::kNumber:
      case ShapeKind::kString: scalar(id); return;
      case ShapeKind::kList:
      case ShapeKind::kOneOrMany: list(id, shape); return;
      case ShapeKind::kObject: object(id, shape); return;
      case ShapeKind::kMap: map(id, *shape.item); return;
      case ShapeKind::kEither: either(id, shape); return;
    }
  }

  void scalar(NodeId id) {
    const Node& node = doc_.node(id);
    if (node.kind == NodeKind::kString) out_.string(node.text);
    if (node.kind == NodeKind::kNumber) out_.raw(canonical_number(node.text));
    if (node.kind == NodeKind::kBoolean) out_.raw(node.boolean ? "true" : "false");
  }

  void either(NodeId id, const Shape& shape) {
    const Shape* choice = choose(shape, doc_.node(id).kind);
    if (choice == nullptr) return;
    if (doc_.node(id).kind != NodeKind::kString || shape.string_keys.empty()) {
      value(id, *choice);
      return;
    }
    // A string that stands for an object: written out with the defaults of that object.
    const Shape* object_shape = choose(shape, NodeKind::kObject);
    out_.open('{');
    for (const std::string_view key : shape.string_keys) {
      out_.key(key);
      out_.string(doc_.node(id).text);
    }
    for (const Key& key : object_shape->keys) {
      const bool given =
          std::find(shape.string_keys.begin(), shape.string_keys.end(), key.name) != shape.string_keys.end();
      if (!given) default_value(key);
    }
    out_.close('}');
  }

  std::string_view sort_key(NodeId id) const {
    const NodeId name = doc_.find(id, "name");
    return name == kNoNode ? doc_.node(id).text : doc_.node(name).text;
  }

  void list(NodeId id, const Shape& shape) {
    std::vector<NodeId> items;
    if (doc_.node(id).kind == NodeKind::kArray) {
      for (NodeId child = doc_.first(id); child != kNoNode; child = doc_.next(child)) items.push_back(child);
    } else {
      items.push_back(id);
    }
    if (shape.sorted) {
      std::stable_sort(items.begin(), items.end(), [&](NodeId a, NodeId b) { return sort_key(a) < sort_key(b); });
    }
    out_.open('[');
    for (const NodeId item : items) {
      out_.element();
      value(item, *shape.item);
    }
    out_.close(']');
  }

  void map(NodeId id, const Shape& item) {
    std::vector<NodeId> members;
    for (NodeId child = doc_.first(id); child != kNoNode; child = doc_.next(child)) members.push_back(child);
    std::sort(members.begin(), members.end(), [&](NodeId a, NodeId b) { return doc_.node(a).key < doc_.node(b).key; });
    out_.open('{');
    for (const NodeId member : members) {
      out_.key(doc_.node(member).key);
      value(member, item);
    }
    out_.close('}');
  }

  void object(NodeId id, const Shape& shape) {
    out_.open('{');
    std::vector<std::string_view> known;
    each_key(doc_, id, shape, [&](const Key& key) {
      known.push_back(key.name);
      const NodeId member = doc_.find(id, key.name);
      if (member == kNoNode) {
        default_value(key);
      } else {
        out_.key(key.name);
        value(member, *key.shape);
      }
    });
    if (shape.item != nullptr) other_members(id, *shape.item, known);
    out_.close('}');
  }

  void other_members(NodeId id, const Shape& item, const std::vector<std::string_view>& known) {
    std::vector<NodeId> members;
    for (NodeId child = doc_.first(id); child != kNoNode; child = doc_.next(child)) {
      if (std::find(known.begin(), known.end(), doc_.node(child).key) == known.end()) members.push_back(child);
    }
    std::sort(members.begin(), members.end(), [&](NodeId a, NodeId b) { return doc_.node(a).key < doc_.node(b).key; });
    for (const NodeId member : members) {
      out_.key(doc_.node(member).key);
      value(member, item);
    }
  }

  void default_value(const Key& key) {
    if (key.default_text.empty()) return;
    out_.key(key.name);
    // The default may be an object or a list with defaults of its own: print it like text that was there.
    Document document;
    document.read(std::string(key.default_text));
    ConfigPrinter nested(document);
    std::swap(nested.out_, out_);
    nested.value(document.root(), *key.shape);
    std::swap(nested.out_, out_);
  }

  const Document& doc_;
  JsonWriter out_;
};

constexpr std::string_view kRedacted = "[redacted]";

void redact_filters(google::protobuf::RepeatedPtrField<HttpFilter>& filters) {
  for (HttpFilter& filter : filters) {
    if (filter.has_basic_auth()) {
      for (NameValue& user : *filter.mutable_basic_auth()->mutable_users()) user.set_value(std::string(kRedacted));
    }
    if (filter.has_api_key_auth()) {
      for (NameValue& key : *filter.mutable_api_key_auth()->mutable_keys()) key.set_value(std::string(kRedacted));
    }
  }
}

// What stands for bytes that are secret or long. Bytes fields print as base64, so the marks are put back afterwards.
struct Mark {
  std::string_view text;
  std::string_view base64;
};
constexpr std::array<Mark, 3> kMarks{
    {{kRedacted, "W3JlZGFjdGVkXQ=="}, {"[certificates]", "W2NlcnRpZmljYXRlc10="}, {"[zone file]", "W3pvbmUgZmlsZV0="}}};

void redact(ResourceSet& set) {
  for (TlsSecret& secret : *set.mutable_tls_secrets()) {
    if (!secret.key_pem().empty()) secret.set_key_pem(std::string(kRedacted));
    if (!secret.chain_pem().empty()) secret.set_chain_pem(std::string(kMarks[1].text));
    if (!secret.ca_pem().empty()) secret.set_ca_pem(std::string(kMarks[1].text));
  }
  for (TicketKeys& keys : *set.mutable_ticket_keys()) {
    for (TicketKey& key : *keys.mutable_keys()) key.set_secret(std::string(kRedacted));
  }
  for (DnsZone& zone : *set.mutable_dns_zones()) {
    if (!zone.master_file().empty()) zone.set_master_file(std::string(kMarks[2].text));
  }
  for (RouteTable& table : *set.mutable_route_tables()) redact_filters(*table.mutable_filters());
  for (VirtualHost& host : *set.mutable_virtual_hosts()) {
    redact_filters(*host.mutable_filters());
    for (Route& route : *host.mutable_routes()) redact_filters(*route.mutable_filters());
  }
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

}  // namespace

std::string print_config(const ConfigFile& file) { return ConfigPrinter(*file.document).print(); }

std::string print_resources(const ResourceSet& resources) {
  ResourceSet copy = resources;
  redact(copy);
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  std::string out;
  if (!google::protobuf::util::MessageToJsonString(copy, &out, options).ok()) return "";
  for (const Mark& mark : kMarks) replace_all(out, quote_json(mark.base64), quote_json(mark.text));
  return out;
}

}  // namespace headgate::json
