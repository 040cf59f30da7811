#include "dataplane/routing/route.h"

#include <algorithm>

namespace headgate::routing {

bool Route::conditions_hold(const http::RequestHead& request, const IpAddress& client) const {
  if (!methods.empty() || !other_methods.empty()) {
    const bool known = request.method != http::Method::kOther;
    const bool listed = known ? std::find(methods.begin(), methods.end(), request.method) != methods.end()
                              : std::find(other_methods.begin(), other_methods.end(), request.method_text) !=
                                    other_methods.end();
    if (!listed) return false;
  }
  for (const Predicate& predicate : predicates) {
    if (!predicate.holds(request)) return false;
  }
  return sources.empty() || sources.contains(client);
}

}  // namespace headgate::routing
