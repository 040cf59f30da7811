// dns.cc -- the sections `dns`, `zones`, and `dns_ttl`, `dns_auto_ptr`.
// What a dns listener does is read in dispatch.cc.
#include <set>

#include "dataplane/base/text.h"
#include "proto/json/reading.h"

namespace headgate::json {

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

// Names are compared without case and final dot.
std::string owner_of(std::string_view key) {
  if (key.size() > 1 && key.ends_with('.') && !key.ends_with("\\.")) key.remove_suffix(1);
  return lower_copy(key);
}
std::string target_of(std::string_view text) { return text == "." ? "." : owner_of(text); }

class NameReader {
 public:
  NameReader(Reading& reading, DnsName& name, std::vector<NodeId>& nodes)
      : reading_(reading), name_(name), nodes_(nodes) {}

  void read(NodeId node) {
    if (const auto ttl = reading_.whole<uint32_t>(node, "TTL")) name_.set_ttl(*ttl);
    for (NodeId type = reading_.doc.first(node); type != kNoNode; type = reading_.doc.next(type)) {
      const std::string_view key = reading_.doc.node(type).key;
      if (key == "TTL") continue;
      for (const NodeId value : reading_.each(type)) read_value(key, value);
    }
  }

 private:
  DnsRecord& add(NodeId node) {
    nodes_.push_back(node);
    return *name_.add_records();
  }

  void read_value(std::string_view type, NodeId node) {
    const bool object = reading_.is_object(node);
    if (type == "MX" || type == "SRV" || type == "SOA" || type == "CAA" || type == "HTTPS" || type == "SVCB") {
      if (!object) return;
      DnsRecord& record = add(node);
      read_ttl(node, record);
      if (type == "MX") read_mx(node, *record.mutable_mx());
      if (type == "SRV") read_srv(node, *record.mutable_srv());
      if (type == "SOA") read_soa(node, *record.mutable_soa());
      if (type == "CAA") read_caa(node, *record.mutable_caa());
      if (type == "HTTPS") read_binding(node, *record.mutable_https());
      if (type == "SVCB") read_binding(node, *record.mutable_svcb());
      return;
    }
    const auto text = object ? reading_.text(node, "value") : reading_.text(node);
    if (!text) return;
    const std::string value(*text);
    DnsRecord record;
    if (type == "A") {
      record.set_a(value);
    } else if (type == "AAAA") {
      record.set_aaaa(value);
    } else if (type == "CNAME") {
      record.set_cname(target_of(value));
    } else if (type == "NS") {
      record.set_ns(target_of(value));
    } else if (type == "PTR") {
      record.set_ptr(target_of(value));
    } else if (type == "TXT") {
      DnsTxt& txt = *record.mutable_txt();
      for (size_t at = 0; at < value.size() || at == 0; at += 255) txt.add_strings(value.substr(at, 255));
    } else {
      return;  // an unknown type; reported by the shape
    }
    if (object) read_ttl(node, record);
    add(node) = record;
  }

  void read_ttl(NodeId node, DnsRecord& record) {
    if (const auto ttl = reading_.whole<uint32_t>(node, "TTL")) record.set_ttl(*ttl);
  }
  uint32_t count(NodeId node, std::string_view key, uint32_t standard = 0) {
    return reading_.whole<uint32_t>(node, key).value_or(standard);
  }
  std::string name(NodeId node, std::string_view key, std::string_view standard = ".") {
    return target_of(reading_.text(node, key).value_or(standard));
  }

  void read_mx(NodeId node, DnsMx& mx) {
    mx.set_priority(count(node, "priority"));
    mx.set_host(name(node, "host"));
  }
  void read_srv(NodeId node, DnsSrv& srv) {
    srv.set_priority(count(node, "priority"));
    srv.set_weight(count(node, "weight"));
    srv.set_port(count(node, "port"));
    srv.set_target(name(node, "target"));
  }
  void read_soa(NodeId node, DnsSoa& soa) {
    soa.set_mname(name(node, "mname"));
    soa.set_rname(name(node, "rname"));
    soa.set_serial(count(node, "serial", 1));
    if (const auto value = reading_.whole<uint32_t>(node, "refresh")) soa.set_refresh(*value);
    if (const auto value = reading_.whole<uint32_t>(node, "retry")) soa.set_retry(*value);
    if (const auto value = reading_.whole<uint32_t>(node, "expire")) soa.set_expire(*value);
    if (const auto value = reading_.whole<uint32_t>(node, "minimum")) soa.set_minimum(*value);
  }
  void read_caa(NodeId node, DnsCaa& caa) {
    caa.set_flags(count(node, "flags"));
    caa.set_tag(lower_copy(reading_.text(node, "tag").value_or("")));
    caa.set_value(std::string(reading_.text(node, "value").value_or("")));
  }
  void read_binding(NodeId node, DnsServiceBinding& binding) {
    binding.set_priority(count(node, "priority", 1));
    binding.set_target(name(node, "target"));
    const NodeId params = reading_.member(node, "params");
    if (!reading_.is_object(params)) return;
    for (NodeId param = reading_.doc.first(params); param != kNoNode; param = reading_.doc.next(param)) {
      NameValue entry;
      entry.set_name(std::string(reading_.doc.node(param).key));
      const Node& value = reading_.doc.node(param);
      if (value.kind == NodeKind::kBoolean) {
        if (!value.boolean) continue;  // "no-default-alpn": false
      } else if (value.kind == NodeKind::kNumber) {
        entry.set_value(std::string(value.text));
      } else {
        std::string joined;
        for (const NodeId one : reading_.each(param)) {
          if (const auto text = reading_.text(one)) joined += (joined.empty() ? "" : ",") + std::string(*text);
        }
        entry.set_value(joined);
      }
      *binding.add_params() = entry;
    }
  }

  Reading& reading_;
  DnsName& name_;
  std::vector<NodeId>& nodes_;
};

void read_names(Reading& reading, NodeId section, uint32_t ttl, bool auto_ptr) {
  DnsZone& zone = *reading.set.add_dns_zones();
  zone.set_name("dns");
  zone.set_default_ttl(ttl);
  zone.set_auto_ptr(auto_ptr ? TOGGLE_ON : TOGGLE_OFF);
  std::vector<NodeId> name_nodes;
  for (NodeId node = reading.doc.first(section); node != kNoNode; node = reading.doc.next(node)) {
    if (!reading.is_object(node)) continue;
    DnsName& name = *zone.add_names();
    name.set_name(owner_of(reading.doc.node(node).key));
    std::vector<NodeId> record_nodes;
    NameReader(reading, name, record_nodes).read(node);
    name_nodes.push_back(node);
    // A hundred thousand names with one record each: the place of the name is near enough.
    if (record_nodes.size() > 1 || (record_nodes.size() == 1 && reading.is_object(record_nodes.front()))) {
      reading.positions.add_list(check::Kind::kDnsZone, "dns",
                                 "names[" + std::to_string(zone.names_size() - 1) + "].records",
                                 std::move(record_nodes));
    }
  }
  reading.positions.add(check::Kind::kDnsZone, "dns", "", section);
  reading.positions.add_list(check::Kind::kDnsZone, "dns", "names", std::move(name_nodes));
}

void read_zone_file(Reading& reading, NodeId node, uint32_t ttl, bool auto_ptr) {
  const std::string origin = owner_of(reading.doc.node(node).key);
  auto text = reading.contents(node);
  if (!text) return;
  if (origin.empty() || origin == "dns") {
    reading.error_at_key(node, "dns-name", "expected the name of a zone such as \"lan.example\"");
    return;
  }
  DnsZone& zone = *reading.set.add_dns_zones();
  zone.set_name(origin);
  zone.set_origin(origin);
  zone.set_default_ttl(ttl);
  zone.set_auto_ptr(auto_ptr ? TOGGLE_ON : TOGGLE_OFF);
  zone.set_master_file_path(reading.resolve(*reading.text(node)));
  if (text->empty()) reading.error(node, "file", "the zone file is empty");
  zone.set_master_file(std::move(*text));
  reading.positions.add(check::Kind::kDnsZone, origin, "", node);
}

}  // namespace

void read_dns(Reading& reading, NodeId root) {
  const auto ttl = reading.whole<uint32_t>(root, "dns_ttl").value_or(300);
  const bool auto_ptr = reading.truth(root, "dns_auto_ptr").value_or(false);
  if (const NodeId names = reading.member(root, "dns"); reading.is_object(names))
    read_names(reading, names, ttl, auto_ptr);
  const NodeId zones = reading.member(root, "zones");
  if (!reading.is_object(zones)) return;
  for (NodeId node = reading.doc.first(zones); node != kNoNode; node = reading.doc.next(node)) {
    read_zone_file(reading, node, ttl, auto_ptr);
  }
}

}  // namespace headgate::json
