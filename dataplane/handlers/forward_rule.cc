#include "dataplane/handlers/forward_rule.h"

#include <algorithm>

#include "dataplane/base/host_name.h"

namespace headgate::handlers {

std::optional<uint32_t> ForwardRule::choose(Random& random) const {
  if (total_weight == 0) return std::nullopt;
  if (targets.size() == 1) return targets.front().slot;
  uint64_t at = random.below(total_weight);
  for (const ForwardTarget& target : targets) {
    if (at < target.weight) return target.slot;
    at -= target.weight;
  }
  return std::nullopt;
}

bool takes_hello(const ForwardRule& rule, const HelloView& hello) {
  if (!rule.sni.empty()) {
    const bool named = !hello.server_name.empty() &&
                       std::any_of(rule.sni.begin(), rule.sni.end(), [&](const std::string& pattern) {
                         return host_matches(pattern, hello.server_name, false);
                       });
    if (!named) return false;
  }
  if (rule.alpn.empty()) return true;
  return hello.protocols != nullptr &&
         std::any_of(rule.alpn.begin(), rule.alpn.end(), [&](const std::string& wanted) {
           return std::find(hello.protocols->begin(), hello.protocols->end(), wanted) != hello.protocols->end();
         });
}

}  // namespace headgate::handlers
