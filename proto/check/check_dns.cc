#include <algorithm>
#include <array>
#include <string>
#include <unordered_set>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/dns/zone_file.h"
#include "proto/check/check.h"
#include "proto/check/values.h"

namespace headgate::check {

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

constexpr size_t kMaxWireName = 255;
constexpr size_t kMaxLabel = 63;
constexpr uint32_t kMaxTtl = 2147483647;  // RFC 2181 8

// Takes the next label off the front of `text`, a name in master file form (RFC 1035 5.1) without its final dot;
// decoded and in lower case. False at the end and, with `broken`, where it is no name.
class LabelReader {
 public:
  explicit LabelReader(std::string_view text) : text_(text) {
    if (text_ == ".") {
      text_ = {};
      done_ = true;
    } else if (text_.ends_with('.') && !text_.ends_with("\\.")) {
      text_.remove_suffix(1);
    }
  }

  bool next() {
    if (done_ || broken) return false;
    size = 0;
    while (at_ < text_.size() && text_[at_] != '.') {
      if (!take_byte()) {
        broken = true;
        return false;
      }
    }
    wire_ += size + 1;
    broken = size == 0 || wire_ > kMaxWireName;
    done_ = at_ >= text_.size();
    ++at_;
    return !broken;
  }
  [[nodiscard]] std::string_view label() const { return {bytes_.data(), size}; }

  bool broken = false;
  size_t size = 0;

 private:
  bool take_byte() {
    char c = text_[at_++];
    if (c == '\\') {
      if (at_ >= text_.size()) return false;
      if (is_digit(text_[at_])) {
        const auto code = at_ + 3 <= text_.size() ? parse_decimal<uint8_t>(text_.substr(at_, 3)) : std::nullopt;
        if (!code) return false;
        c = static_cast<char>(*code);
        at_ += 3;
      } else {
        c = text_[at_++];
      }
    } else if (static_cast<uint8_t>(c) <= ' ' || static_cast<uint8_t>(c) >= 0x7f) {
      return false;
    }
    if (size == kMaxLabel) return false;
    bytes_[size++] = to_lower(c);
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  size_t wire_ = 1;
  bool done_ = false;
  std::array<char, kMaxLabel> bytes_{};
};

bool is_name(std::string_view text) {
  LabelReader reader(text);
  while (reader.next()) {
  }
  return !reader.broken;
}

std::vector<std::string> labels_of(std::string_view text) {
  std::vector<std::string> labels;
  LabelReader reader(text);
  while (reader.next()) labels.emplace_back(reader.label());
  return labels;
}

class ZoneChecker {
 public:
  ZoneChecker(const DnsZone& zone, Problems& problems) : zone_(zone), problems_(problems) {}

  void run() {
    if (!zone_.origin().empty() && !is_name(zone_.origin())) {
      problems_.error("origin", "dns-name", quote_json(zone_.origin()) + " is no domain name");
    } else if (!zone_.origin().empty()) {
      origin_ = labels_of(zone_.origin());
    }
    check_ttl("default_ttl", zone_.default_ttl());
    if (!zone_.master_file().empty() && !zone_.names().empty()) {
      problems_.error("names", "conflict", "a zone comes from a master file or from a list of names, not from both");
    }
    if (!zone_.master_file().empty() && zone_.origin().empty()) {
      problems_.error("origin", "missing", "a master file needs the name of its zone");
    }
    std::unordered_set<std::string> seen;
    for (int i = 0; i < zone_.names_size(); ++i) {
      const DnsName& name = zone_.names(i);
      const Field field(problems_, "names", i);
      check_owner(name);
      if (!seen.insert(lower_copy(name.name())).second)
        problems_.error("name", "duplicate", quote_json(name.name()) + " stands here twice");
      check_ttl("ttl", name.ttl());
      check_records(name);
    }
  }

 private:
  void check_ttl(std::string_view field, uint32_t ttl) {
    if (ttl > kMaxTtl) problems_.error(field, "range", "expected a TTL of at most 2147483647 seconds");
  }

  void check_owner(const DnsName& name) {
    LabelReader reader(name.name());
    for (size_t i = 0; reader.next(); ++i) {
      if (i > 0 && reader.label() == "*") {
        problems_.error("name", "dns-name", "\"*\" stands first in a wildcard name (RFC 4592 2.1.1)");
      }
    }
    if (reader.broken) {
      problems_.error(
          "name", "dns-name",
          quote_json(name.name()) + " is no domain name: labels of 1 to 63 bytes between dots, 255 bytes in all");
      return;
    }
    if (origin_.empty()) return;
    const std::vector<std::string> labels = labels_of(name.name());
    if (labels.size() < origin_.size() || !std::equal(origin_.rbegin(), origin_.rend(), labels.rbegin())) {
      problems_.error("name", "dns-zone", quote_json(name.name()) + " does not lie in " + quote_json(zone_.origin()));
    }
  }

  // A host that a record points to.
  void check_target(std::string_view field, const std::string& target) {
    if (!is_name(target)) {
      problems_.error(field, "dns-name", quote_json(target) + " is no domain name");
    } else if (IpAddress::parse(target).has_value()) {
      problems_.error(field, "dns-name", quote_json(target) + " is an address; a name is expected here");
    }
  }

  void check_records(const DnsName& name) {
    int cnames = 0;
    int soas = 0;
    for (int i = 0; i < name.records_size(); ++i) {
      const DnsRecord& record = name.records(i);
      const Field field(problems_, "records", i);
      check_ttl("ttl", record.ttl());
      check_record(record);
      cnames += record.has_cname() ? 1 : 0;
      soas += record.has_soa() ? 1 : 0;
    }
    if (cnames > 1 || (cnames == 1 && name.records_size() > 1)) {
      problems_.error("", "cname", "a CNAME stands alone at its name (RFC 1034 3.6.2)");
    }
    if (soas > 1) problems_.error("", "soa", "a zone has one SOA");
    if (name.records().empty()) problems_.warning("", "empty", "no records; the name exists and every answer is empty");
  }

  void check_record(const DnsRecord& record) {
    switch (record.data_case()) {
      case DnsRecord::kA: {
        const auto address = IpAddress::parse(record.a());
        if (!address || !address->is_v4() || record.a().find(':') != std::string::npos) {
          problems_.error("a", "address",
                          quote_json(record.a()) + " is no IPv4 address; expected for example \"192.0.2.4\"");
        }
        return;
      }
      case DnsRecord::kAaaa:
        if (!IpAddress::parse(record.aaaa()) || record.aaaa().find(':') == std::string::npos) {
          problems_.error("aaaa", "address",
                          quote_json(record.aaaa()) + " is no IPv6 address; expected for example \"2001:db8::10\"");
        }
        return;
      case DnsRecord::kCname: return check_target("cname", record.cname());
      case DnsRecord::kNs: return check_target("ns", record.ns());
      case DnsRecord::kPtr: return check_target("ptr", record.ptr());
      case DnsRecord::kMx:
        check_u16("mx.priority", record.mx().priority());
        return check_target("mx.host", record.mx().host());
      case DnsRecord::kSrv:
        check_u16("srv.priority", record.srv().priority());
        check_u16("srv.weight", record.srv().weight());
        check_u16("srv.port", record.srv().port());
        return check_target("srv.target", record.srv().target());
      case DnsRecord::kTxt: return check_txt(record.txt());
      case DnsRecord::kSoa:
        check_target("soa.mname", record.soa().mname());
        return check_target("soa.rname", record.soa().rname());
      case DnsRecord::kCaa: return check_caa(record.caa());
      case DnsRecord::kHttps: return check_svcb("https", record.https());
      case DnsRecord::kSvcb: return check_svcb("svcb", record.svcb());
      case DnsRecord::DATA_NOT_SET: problems_.error("", "missing", "expected a record"); return;
    }
  }

  void check_u16(std::string_view field, uint32_t value) {
    if (value > 65535) problems_.error(field, "range", "expected 0 to 65535");
  }

  void check_txt(const DnsTxt& txt) {
    size_t total = 0;
    for (const std::string& part : txt.strings()) {
      total += part.size() + 1;
      if (part.size() > 255) problems_.error("txt", "size", "a string of a TXT record has at most 255 bytes");
    }
    if (txt.strings().empty()) problems_.error("txt", "missing", "a TXT record has at least one string");
    if (total > 65535) problems_.error("txt", "size", "a record has at most 65535 bytes");
  }

  void check_caa(const DnsCaa& caa) {
    if (caa.flags() > 255) problems_.error("caa.flags", "range", "expected 0 to 255");
    const bool letters =
        std::all_of(caa.tag().begin(), caa.tag().end(), [](char c) { return is_alpha(c) || is_digit(c); });
    if (caa.tag().empty() || caa.tag().size() > 15 || !letters) {
      problems_.error("caa.tag", "value", "expected a tag such as \"issue\" (RFC 8659 4.1)");
    }
  }

  void check_svcb(std::string_view field, const DnsServiceBinding& binding) {
    const Field nested(problems_, field);
    check_u16("priority", binding.priority());
    check_target("target", binding.target());
    if (binding.priority() == 0 && !binding.params().empty()) {
      problems_.error("params", "conflict", "the alias form (priority 0) has no parameters (RFC 9460 2.4.2)");
    }
    std::unordered_set<std::string> seen;
    for (int i = 0; i < binding.params_size(); ++i) {
      const Field param(problems_, "params", i);
      const std::string& name = binding.params(i).name();
      if (!seen.insert(name).second) problems_.error("name", "duplicate", quote_json(name) + " stands here twice");
      check_svcb_param(name, binding.params(i).value());
    }
  }

  void check_svcb_param(const std::string& name, const std::string& value) {
    const auto all_addresses = [&](bool four) {
      const auto parts = split(value, ',');
      return std::all_of(parts.begin(), parts.end(), [&](std::string_view part) {
        const auto address = IpAddress::parse(part);
        return address.has_value() && (part.find(':') == std::string_view::npos) == four;
      });
    };
    if (name == "port") {
      if (!parse_decimal<uint16_t>(value)) problems_.error("value", "range", "expected a port up to 65535");
    } else if (name == "ipv4hint" || name == "ipv6hint") {
      if (!all_addresses(name == "ipv4hint"))
        problems_.error("value", "address", quote_json(value) + ": expected addresses for " + name);
    } else if (name == "no-default-alpn") {
      if (!value.empty()) problems_.error("value", "value", "no-default-alpn has no value (RFC 9460 7.1.1)");
    } else if (name == "alpn" || name == "mandatory" || name == "ech" || name == "dohpath" || name == "ohttp") {
      if (value.empty() && name != "ohttp")
        problems_.error("value", "missing", "the parameter " + quote_json(name) + " needs a value");
    } else if (!name.starts_with("key") || !parse_decimal<uint16_t>(std::string_view(name).substr(3))) {
      problems_.error("name", "value",
                      quote_json(name) +
                          " is no known parameter; expected alpn, port, ipv4hint, ipv6hint, no-default-alpn, "
                          "mandatory, ech, dohpath or keyN");
    }
  }

  const DnsZone& zone_;
  Problems& problems_;
  std::vector<std::string> origin_;
};

// Reads the master file as the builder will; each problem with its line and column in that file.
void check_master_file(const DnsZone& zone, Problems& problems) {
  const auto origin = dns::Name::parse(zone.origin());
  if (!origin.has_value()) return;  // reported as a name
  const std::string file = zone.master_file_path().empty() ? "line " : zone.master_file_path() + ":";
  dns::ZoneFileOptions options;
  options.default_ttl_s = zone.has_default_ttl() ? zone.default_ttl() : 300;
  options.falls_through = zone.fall_through();
  dns::ZoneSetBuilder builder;
  std::vector<dns::ZoneFileProblem> found;
  dns::read_zone_file(zone.master_file(), origin->view(), options, builder, found);
  for (const dns::ZoneFileProblem& one : found) problems.error("master_file", "zone-file", file + one.to_string());
  if (!found.empty()) return;
  std::vector<dns::ZoneProblem> whole;
  // What is built is thrown away: only the problems of the zone as a whole are wanted.
  static_cast<void>(builder.build(whole));
  for (const dns::ZoneProblem& one : whole) {
    std::string message = file + std::to_string(one.tag) + ": " + one.to_string();
    if (one.is_warning) {
      problems.warning("master_file", "zone-file", std::move(message));
    } else {
      problems.error("master_file", "zone-file", std::move(message));
    }
  }
}

}  // namespace

void check_dns_zone(const DnsZone& zone, Problems& problems) {
  check_resource_name(zone.name(), problems);
  ZoneChecker(zone, problems).run();
  if (!zone.master_file().empty() && !zone.origin().empty()) check_master_file(zone, problems);
}

}  // namespace headgate::check
