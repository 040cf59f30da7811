#include "dataplane/tls/server_names.h"

#include "dataplane/base/address.h"
#include "dataplane/base/host_name.h"

namespace headgate::tls {
namespace {

// False: there is one of this kind already.
bool attach(ServerNames::Entry& entry, const Certificate& certificate) {
  const Certificate*& place = certificate.key_kind() == KeyKind::kEcdsa ? entry.ecdsa : entry.rsa;
  if (place != nullptr) return place == &certificate;
  place = &certificate;
  return true;
}

}  // namespace

std::shared_ptr<const ServerNames> ServerNames::build(std::span<const CertificateBinding> bindings,
                                                      std::string& problem, std::vector<std::string>& warnings) {
  if (bindings.empty()) {
    problem = "a TLS listener needs at least one certificate";
    return nullptr;
  }
  std::shared_ptr<ServerNames> made(new ServerNames());
  std::string first_name;
  for (const CertificateBinding& binding : bindings) {
    const Certificate& certificate = *binding.certificate;
    made->certificates_.push_back(binding.certificate);
    if (binding.is_default && !attach(made->default_, certificate)) {
      warnings.emplace_back("two certificates of the same kind are marked as default: the first is used");
    }
    const auto& names = binding.names.empty() ? certificate.names() : binding.names;
    if (names.empty() && bindings.size() > 1 && !binding.is_default && &binding != &bindings.front()) {
      warnings.emplace_back("a certificate without names that is not the default is never used");
    }
    for (const std::string& text : names) {
      const std::string name = normalize_host(text);
      const HostPatternKind kind = host_pattern_kind(name);
      if (IpAddress::parse(name).has_value() || kind == HostPatternKind::kInvalid || kind == HostPatternKind::kAny) {
        problem = "\"" + text + "\" cannot be a server name (expected a host name or *.host; mark the certificate as "
                                "default to answer the rest)";
        return nullptr;
      }
      if (first_name.empty()) first_name = name;
      Entry& entry = kind == HostPatternKind::kWildcard ? made->wildcard_[name.substr(1)] : made->exact_[name];
      if (!attach(entry, certificate)) {
        warnings.push_back("\"" + name + "\" has two certificates of the same kind: the first is used");
      }
    }
  }
  if (made->default_ == Entry()) {
    attach(made->default_, *bindings.front().certificate);
    // The same site with both kinds of key: both answer.
    const bool wildcard = first_name.starts_with('*');
    const Table& table = wildcard ? made->wildcard_ : made->exact_;
    const auto at = table.find(wildcard ? std::string_view(first_name).substr(1) : std::string_view(first_name));
    const Entry& chosen = made->default_;
    const bool same_site = at != table.end() && (chosen.ecdsa == nullptr || at->second.ecdsa == chosen.ecdsa) &&
                           (chosen.rsa == nullptr || at->second.rsa == chosen.rsa);
    if (same_site) made->default_ = at->second;
  }
  return made;
}

const ServerNames::Entry* ServerNames::find(std::string_view name) const {
  if (name.empty()) return nullptr;
  if (const auto at = exact_.find(name); at != exact_.end()) return &at->second;
  const auto dot = name.find('.');
  if (dot == std::string_view::npos || dot == 0) return nullptr;
  const auto at = wildcard_.find(name.substr(dot));
  return at == wildcard_.end() ? nullptr : &at->second;
}

}  // namespace headgate::tls
