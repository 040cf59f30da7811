// configuration.h -- would the sidecar take this file? Asked before the Pod exists.
// Thread: any (pure).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace headgate::inject {

struct ListeningPort {
  uint16_t port = 0;
  bool udp = false;
  bool loopback = false;  // for the application, not for others

  auto operator<=>(const ListeningPort&) const = default;
};

struct CheckedConfiguration {
  std::vector<std::string> problems;  // "headgate.dev/config:3:12: error: $.listen[0].uri: ..."; any: it is refused
  std::vector<std::string> warnings;
  std::vector<ListeningPort> ports;   // sorted, each once
};

// `name` stands for the file in messages. `folders` are what the sidecar mounts: files below them are not there yet and
// are not looked into; any other file is a problem. Certificates cannot be judged here.
CheckedConfiguration check_configuration(std::string text, const std::string& name,
                                         const std::vector<std::string>& folders);

}  // namespace headgate::inject
