#include "controlplane/identity/spiffe.h"

#include <algorithm>
#include <vector>

#include "dataplane/base/text.h"

namespace headgate::identity {
namespace {

constexpr std::string_view kScheme = "spiffe://";

bool is_lower_alnum(char c) { return (c >= 'a' && c <= 'z') || is_digit(c); }

}  // namespace

std::string to_uri(const WorkloadName& name) {
  return std::string(kScheme) + name.trust_domain + "/ns/" + name.namespace_name + "/sa/" + name.service_account;
}

std::optional<WorkloadName> parse_workload_uri(std::string_view uri) {
  if (!uri.starts_with(kScheme)) return std::nullopt;
  const std::vector<std::string_view> parts = split(uri.substr(kScheme.size()), '/');
  if (parts.size() != 5 || parts[1] != "ns" || parts[3] != "sa") return std::nullopt;
  if (!is_trust_domain(parts[0]) || !is_namespace_name(parts[2]) || !is_object_name(parts[4])) return std::nullopt;
  return WorkloadName{std::string(parts[0]), std::string(parts[2]), std::string(parts[4])};
}

bool is_trust_domain(std::string_view text) {
  return !text.empty() && text.size() <= 255 &&
         std::ranges::all_of(text, [](char c) { return is_lower_alnum(c) || c == '.' || c == '-' || c == '_'; });
}

bool is_namespace_name(std::string_view text) {
  return !text.empty() && text.size() <= 63 && is_lower_alnum(text.front()) && is_lower_alnum(text.back()) &&
         std::ranges::all_of(text, [](char c) { return is_lower_alnum(c) || c == '-'; });
}

bool is_object_name(std::string_view text) {
  if (text.size() > 253) return false;
  return std::ranges::all_of(split(text, '.'), [](std::string_view label) {
    // Labels of an object's name may be longer than those of DNS.
    return !label.empty() && is_lower_alnum(label.front()) && is_lower_alnum(label.back()) &&
           std::ranges::all_of(label, [](char c) { return is_lower_alnum(c) || c == '-'; });
  });
}

}  // namespace headgate::identity
