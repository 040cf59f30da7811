#include <algorithm>

#include "dataplane/dns/record.h"
#include "dataplane/dns/zone_builder.h"
#include "dataplane/dns/zone_file.h"
#include "dataplane/handlers/dns_server.h"
#include "dataplane/snapshot/build_parts.h"

namespace headgate::snapshot {
namespace {

Result<dns::Rdata> address_data(const std::string& text) {
  const auto address = IpAddress::parse(text);
  if (!address) return address.error();
  return dns::make_address(*address);
}

Result<dns::Rdata> name_data(const std::string& text) {
  const auto name = dns::Name::parse(text);
  if (!name) return name.error();
  return dns::make_name(name->view());
}

Result<dns::Rdata> soa_data(const v1::DnsSoa& message) {
  const auto mname = dns::Name::parse(message.mname());
  const auto rname = dns::Name::parse(message.rname());
  if (!mname) return mname.error();
  if (!rname) return rname.error();
  dns::Soa soa{.mname = *mname, .rname = *rname};
  if (message.serial() != 0) soa.serial = message.serial();
  if (message.has_refresh()) soa.refresh_s = message.refresh();
  if (message.has_retry()) soa.retry_s = message.retry();
  if (message.has_expire()) soa.expire_s = message.expire();
  if (message.has_minimum()) soa.minimum_s = message.minimum();
  return dns::make_soa(soa);
}

Result<dns::Rdata> binding_data(const v1::DnsServiceBinding& message) {
  const auto target = dns::Name::parse(message.target());
  if (!target) return target.error();
  std::vector<std::pair<std::string_view, std::string_view>> params;
  for (const v1::NameValue& param : message.params()) params.emplace_back(param.name(), param.value());
  return dns::make_svcb(static_cast<uint16_t>(message.priority()), target->view(), params);
}

Result<dns::Rdata> txt_data(const v1::DnsTxt& message) {
  const std::vector<std::string_view> strings(message.strings().begin(), message.strings().end());
  return dns::make_txt(strings);
}

struct TypedRecord {
  uint16_t type = 0;
  Result<dns::Rdata> rdata;
};

TypedRecord data_of(const v1::DnsRecord& record) {
  switch (record.data_case()) {
    case v1::DnsRecord::kA: return {dns::kTypeA, address_data(record.a())};
    case v1::DnsRecord::kAaaa: return {dns::kTypeAaaa, address_data(record.aaaa())};
    case v1::DnsRecord::kCname: return {dns::kTypeCname, name_data(record.cname())};
    case v1::DnsRecord::kNs: return {dns::kTypeNs, name_data(record.ns())};
    case v1::DnsRecord::kPtr: return {dns::kTypePtr, name_data(record.ptr())};
    case v1::DnsRecord::kTxt: return {dns::kTypeTxt, txt_data(record.txt())};
    case v1::DnsRecord::kSoa: return {dns::kTypeSoa, soa_data(record.soa())};
    case v1::DnsRecord::kHttps: return {dns::kTypeHttps, binding_data(record.https())};
    case v1::DnsRecord::kSvcb: return {dns::kTypeSvcb, binding_data(record.svcb())};
    case v1::DnsRecord::kCaa:
      return {dns::kTypeCaa,
              dns::make_caa(static_cast<uint8_t>(record.caa().flags()), record.caa().tag(), record.caa().value())};
    case v1::DnsRecord::kMx: {
      const auto host = dns::Name::parse(record.mx().host());
      if (!host) return {dns::kTypeMx, host.error()};
      return {dns::kTypeMx, dns::make_mx(static_cast<uint16_t>(record.mx().priority()), host->view())};
    }
    case v1::DnsRecord::kSrv: {
      const auto target = dns::Name::parse(record.srv().target());
      if (!target) return {dns::kTypeSrv, target.error()};
      return {dns::kTypeSrv,
              dns::make_srv(static_cast<uint16_t>(record.srv().priority()), static_cast<uint16_t>(record.srv().weight()),
                            static_cast<uint16_t>(record.srv().port()), target->view())};
    }
    case v1::DnsRecord::DATA_NOT_SET: break;
  }
  return {0, Error{.code = Errc::kInvalid, .detail = "a record without data"}};
}

// One message into the builder; what is wrong is told by fn(name, text).
template <typename Fn>
void add_zone(const v1::DnsZone& zone, dns::ZoneSetBuilder& builder, Fn problem) {
  const bool auto_ptr = zone.auto_ptr() == v1::TOGGLE_ON;
  const uint32_t default_ttl = zone.has_default_ttl() ? zone.default_ttl() : 300;
  dns::Name origin;
  if (!zone.origin().empty()) {
    const auto parsed = dns::Name::parse(zone.origin());
    if (!parsed) return problem(zone.origin(), to_string(parsed.error()));
    origin = *parsed;
  }
  if (!zone.master_file().empty()) {
    std::vector<dns::ZoneFileProblem> problems;
    dns::read_zone_file(zone.master_file(), origin.view(),
                        {.default_ttl_s = default_ttl, .falls_through = zone.fall_through(), .auto_ptr = auto_ptr},
                        builder, problems);
    for (const dns::ZoneFileProblem& one : problems) problem("master_file", one.to_string());
    return;
  }
  if (!zone.origin().empty()) {
    if (auto opened = builder.open_zone(origin.view(), zone.fall_through()); !opened) {
      problem(zone.origin(), to_string(opened.error()));
    }
  }
  for (const v1::DnsName& name : zone.names()) {
    const auto owner = dns::Name::parse(name.name());
    if (!owner) {
      problem(name.name(), to_string(owner.error()));
      continue;
    }
    const uint32_t ttl = name.has_ttl() ? name.ttl() : default_ttl;
    for (const v1::DnsRecord& record : name.records()) {
      const TypedRecord data = data_of(record);
      if (!data.rdata) {
        problem(name.name(), to_string(data.rdata.error()));
        continue;
      }
      const auto added = builder.add(owner->view(), data.type, record.has_ttl() ? record.ttl() : ttl, *data.rdata, 0,
                                     auto_ptr);
      if (!added) problem(name.name(), to_string(added.error()));
    }
  }
}

}  // namespace

std::shared_ptr<const dns::ZoneSet> Build::zone_set(const v1::DnsService& service) {
  const auto wanted = [&service](const v1::DnsZone& zone) {
    return service.zones().empty() ||
           std::find(service.zones().begin(), service.zones().end(), zone.name()) != service.zones().end();
  };
  std::string key;
  for (const std::string& name : service.zones()) key += name + "\n";
  std::string fingerprint;
  view_.visit<v1::DnsZone>([&](const v1::DnsZone& zone) {
    if (wanted(zone)) fingerprint += print_of(zone) + "|";
  });
  auto& remembered = parts_.zone_sets[key];
  if (remembered.built != nullptr && remembered.fingerprint == fingerprint) return remembered.built;

  dns::ZoneSetBuilder::Options options;
  // Grows with every change and never goes back: secondaries and caches compare serials (RFC 1982).
  options.implied_soa.serial = static_cast<uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(system_clock().wall().time_since_epoch()).count());
  view_.visit<v1::DnsZone>([&](const v1::DnsZone& zone) {
    if (wanted(zone) && zone.origin().empty() && zone.fall_through()) options.implied_fall_through = true;
  });
  dns::ZoneSetBuilder builder(options);
  view_.visit<v1::DnsZone>([&](const v1::DnsZone& zone) {
    if (!wanted(zone)) return;
    add_zone(zone, builder, [&](const std::string& name, const std::string& why) {
      error(check::Kind::kDnsZone, zone.name(), name, why);
    });
  });
  std::vector<dns::ZoneProblem> problems;
  auto built = builder.build(problems);
  for (const dns::ZoneProblem& problem : problems) {
    if (!problem.is_warning) error(check::Kind::kDnsZone, problem.name, "", problem.to_string());
  }
  if (!built) return nullptr;
  remembered = {std::move(fingerprint), std::make_shared<const dns::ZoneSet>(std::move(*built))};
  return remembered.built;
}

std::shared_ptr<const handlers::DnsForwardSettings> Build::resolvers(const v1::DnsService& service) {
  if (service.forward().empty()) return nullptr;
  std::string key;
  for (const std::string& resolver : service.forward()) key += resolver + "\n";
  key += std::to_string(service.cache_entries()) + fingerprint_of(service.query_timeout());
  // Listeners that name the same resolvers share their cache, across reloads, too.
  auto& remembered = parts_.dns_resolvers[key];
  if (remembered.built != nullptr) return remembered.built;
  auto settings = std::make_shared<handlers::DnsForwardSettings>();
  for (const std::string& resolver : service.forward()) {
    const auto address = SocketAddress::parse(resolver);
    if (address) settings->resolvers.push_back(*address);
  }
  settings->query_timeout = to_duration(service.query_timeout());
  constexpr size_t kBytesPerEntry = 512;  // a small answer with its book-keeping
  settings->cache_bytes = size_t{service.cache_entries()} * kBytesPerEntry;
  remembered = {key, std::move(settings)};
  return remembered.built;
}

void Build::add_dns(const v1::Listener& message, Listener& listener) {
  const v1::DnsService& service = message.dns();
  handlers::DnsServer::Options options{.listener = message.name(),
                                       .zones = zone_set(service),
                                       .forward = resolvers(service),
                                       .ttl_cap_s = parts_.dns_ttl_cap_s,
                                       .udp_payload = static_cast<uint16_t>(service.udp_payload_bytes()),
                                       .any_full = service.any_full() == v1::TOGGLE_ON,
                                       .responses_per_second = service.responses_per_second(),
                                       .slip = service.slip(),
                                       .idle = to_duration(service.idle())};
  if (options.zones == nullptr) return;  // told already
  if (options.forward != nullptr) {
    for (const SocketAddress& resolver : options.forward->resolvers) {
      const bool self = resolver == listener.address ||
                        (listener.address.is_ip() && listener.address.address().is_any() &&
                         resolver.port() == listener.address.port() && resolver.address().is_loopback());
      if (self) {
        error(check::Kind::kListener, message.name(), "dns.forward",
              resolver.to_string() + " is this listener itself: its questions would come back to it");
        return;
      }
    }
  }
  // Equal texts and the same zones: the same handler.
  const std::string fingerprint = fingerprint_of(service) + "|" +
                                  std::to_string(reinterpret_cast<uintptr_t>(options.zones.get())) + "|" +
                                  std::to_string(reinterpret_cast<uintptr_t>(options.forward.get()));
  if (listener.kind == Listener::Kind::kDatagram) {
    auto& remembered = parts_.datagram_handlers[message.name()];
    if (remembered.built == nullptr || remembered.fingerprint != fingerprint) {
      remembered = {fingerprint, std::make_shared<const handlers::DnsServer>(std::move(options))};
    }
    listener.datagram_handler = remembered.built;
    return;
  }
  auto& remembered = parts_.stream_handlers[message.name()];
  if (remembered.built == nullptr || remembered.fingerprint != fingerprint) {
    remembered = {fingerprint, std::make_shared<const handlers::DnsServer>(std::move(options))};
  }
  listener.stream_handler = remembered.built;
}

}  // namespace headgate::snapshot
