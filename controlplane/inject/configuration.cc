#include "controlplane/inject/configuration.h"

#include <algorithm>

#include "controlplane/inject/annotations.h"
#include "controlplane/inject/settings.h"
#include "dataplane/base/address.h"
#include "proto/json/config_file.h"

namespace headgate::inject {
namespace {

namespace v1 = config::v1;

// Ends the messages about files that only the Pod will have; how they are told from the others.
constexpr const char* kInThePod = "it is in the Pod";

bool is_below_any(std::string_view path, const std::vector<std::string>& folders) {
  return std::ranges::any_of(folders, [path](const std::string& folder) { return is_below(path, folder); });
}

bool is_loopback(const std::string& address) {
  const auto parsed = IpAddress::parse(address);
  return parsed && parsed->is_loopback();
}

void read_ports(const v1::ResourceSet& resources, CheckedConfiguration& checked) {
  for (const v1::Listener& listener : resources.listeners()) {
    const bool udp = listener.transport() == v1::LISTENER_UDP;
    if ((!udp && listener.transport() != v1::LISTENER_TCP) || listener.port() == 0) continue;
    checked.ports.push_back({static_cast<uint16_t>(listener.port()), udp, is_loopback(listener.address())});
    if (listener.port() < 1024) {
      checked.warnings.push_back(
          "port " + std::to_string(listener.port()) +
          " is below 1024: the sidecar is not root, and binds it only where the runtime allows that");
    }
  }
  std::ranges::sort(checked.ports);
  checked.ports.erase(std::unique(checked.ports.begin(), checked.ports.end()), checked.ports.end());
}

// A socket where nobody else can see it is a mistake, but one that the file alone does not prove.
void look_at_sockets(const v1::ResourceSet& resources, const std::vector<std::string>& folders,
                     CheckedConfiguration& checked) {
  for (const v1::Listener& listener : resources.listeners()) {
    const std::string& path = listener.unix_path();
    if (path.empty() || path.starts_with('@') || is_below_any(path, folders)) continue;
    checked.problems.push_back("the socket " + path +
                               " is in no volume of the sidecar; name one in headgate.dev/mounts");
  }
}

}  // namespace

CheckedConfiguration check_configuration(std::string text, const std::string& name,
                                         const std::vector<std::string>& folders) {
  json::ReadOptions options{.file_name = name, .folder = kConfigFolder};
  options.read_file = [&folders](const std::string& path) -> Result<std::string> {
    return Error{
        .code = Errc::kNotFound,
        .detail = is_below_any(path, folders) ? kInThePod : "no volume of the sidecar has it; see headgate.dev/mounts"};
  };
  const json::ConfigFile file = json::read_config(std::move(text), options);
  CheckedConfiguration checked;
  for (const json::Diagnostic& diagnostic : file.diagnostics) {
    if (diagnostic.rule == "file" && diagnostic.message.ends_with(kInThePod)) continue;
    auto& list = diagnostic.severity == json::Severity::kError ? checked.problems : checked.warnings;
    list.push_back(json::to_string(diagnostic));
  }
  if (!checked.problems.empty()) return checked;
  read_ports(file.resources, checked);
  look_at_sockets(file.resources, folders, checked);
  return checked;
}

}  // namespace headgate::inject
