#include "dataplane/tls/client_rules.h"

namespace headgate::tls {

const ClientRule* ClientRules::find(std::string_view server_name) const {
  if (rules_.empty()) return nullptr;
  if (const auto exact = hosts_.find(server_name); exact != hosts_.end()) return rule_of(exact->second);
  std::string pattern;
  bool first = true;
  for (size_t dot = server_name.find('.'); dot != std::string_view::npos; dot = server_name.find('.', dot + 1)) {
    pattern.assign("*").append(server_name.substr(dot));
    const auto wildcard = hosts_.find(pattern);
    if (wildcard != hosts_.end() && (first || !wildcard->second.single_label)) return rule_of(wildcard->second);
    first = false;
  }
  const auto others = hosts_.find(std::string_view("*"));
  return others == hosts_.end() ? nullptr : rule_of(others->second);
}

}  // namespace headgate::tls
