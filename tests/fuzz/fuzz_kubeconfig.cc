// fuzz_kubeconfig.cc -- a kubeconfig gives a host, a port and paths that stand on their own, or a reason.
// links: headgate_cp_kube
#include <cstdint>
#include <cstdlib>
#include <string>

#include "controlplane/kube/config.h"

using namespace headgate::kube;  // NOLINT

namespace {
void require(bool condition) {
  if (!condition) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  std::string problem;
  const auto config = parse_kubeconfig({{text, "/folder"}}, "", problem);
  require(config.has_value() == problem.empty());
  if (!config) return 0;
  require(!config->host.empty() && config->port != 0);
  for (const std::string* part : {&config->host, &config->path_prefix}) {
    require(part->find_first_of(" \r\n") == std::string::npos);
  }
  for (const std::string* file : {&config->authority.file, &config->certificate.file, &config->key.file, &config->token_file}) {
    require(file->empty() || file->front() == '/');
  }
  require(config->certificate.empty() == config->key.empty());
  return 0;
}
