// fuzz_manifests.cc -- YAML and JSON manifests: whatever is read is an object of its kind.
// links: headgate_cp_kube
#include <cstdint>
#include <string>

#include "controlplane/kube/manifests.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const headgate::kube::Manifests read = headgate::kube::read_manifests({{"fuzz.yaml", text}});
  for (const auto& object : read.objects) {
    if (object.object == nullptr) __builtin_trap();
  }
  return 0;
}
