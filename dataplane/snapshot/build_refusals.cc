// What the language can say and nothing here acts on: refused, so that nobody believes that it is done. Filters that are
// not built are refused where the others are made (build_filters.cc), protocols in build_listeners.cc and
// build_upstreams.cc.
#include "dataplane/snapshot/build_parts.h"

namespace headgate::snapshot {
namespace {

constexpr uint32_t kResponseHeadBytes = 65536;
constexpr const char* kNotBuilt = "is not built in: only the default can be had";

}  // namespace

void Build::refuse_what_is_not_built() {
  const v1::ProxySettings& settings = view_.settings();
  const auto of_settings = [&](bool said, std::string_view field) {
    if (said) error(check::Kind::kSettings, settings.name(), field, kNotBuilt);
  };
  of_settings(!settings.resolvers().empty(), "resolvers");
  of_settings(settings.tracing().propagate() == v1::TOGGLE_OFF, "tracing.propagate");
  of_settings(settings.metrics().enabled() == v1::TOGGLE_OFF, "metrics.enabled");
  of_settings(settings.metrics().host_labels(), "metrics.host_labels");
  of_settings(settings.metrics().route_labels(), "metrics.route_labels");
  view_.visit<v1::Listener>([&](const v1::Listener& listener) {
    const auto of_listener = [&](bool said, std::string_view field) {
      if (said) error(check::Kind::kListener, listener.name(), field, kNotBuilt);
    };
    of_listener(listener.original_destination(), "original_destination");
    of_listener(!listener.tls().ticket_keys().empty(), "tls.ticket_keys");
  });
  view_.visit<v1::RouteTable>([&](const v1::RouteTable& table) {
    if (table.normalize_path() == v1::TOGGLE_OFF) {
      error(check::Kind::kRouteTable, table.name(), "normalize_path", kNotBuilt);
    }
  });
}

std::string Build::unbuilt_option(const v1::ProxyAction& action) {
  if (action.response_buffering() == v1::TOGGLE_ON) return "response_buffering is not built in";
  if (action.auto_http() == v1::TOGGLE_ON) return "auto_http is not built in";
  if (action.has_max_response_header_bytes() && action.max_response_header_bytes() != kResponseHeadBytes) {
    return "max_response_header_bytes is not built in: heads may have 65536 bytes";
  }
  return {};
}

}  // namespace headgate::snapshot
