// fuzz_preset.cc -- presets and other wishes of Pods: what is accepted becomes a file that the sidecar takes or is refused.
// links: headgate_cp_inject
#include <cstdint>
#include <cstdlib>
#include <string>

#include "controlplane/inject/annotations.h"
#include "controlplane/inject/configuration.h"
#include "controlplane/inject/preset.h"

using namespace headgate::inject;  // NOLINT

namespace {
void require(bool condition) {
  if (!condition) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  for (const bool secret : {false, true}) {
    const CompiledPreset compiled = compile_presets(text, secret);
    require(compiled.problems.empty() != compiled.json.empty());
    for (const std::string& folder : compiled.folders) require(is_clean_path(folder));
    if (compiled.json.empty()) continue;
    const auto checked = check_configuration(compiled.json, "preset", {"/etc/headgate/tls"});
    if (checked.problems.empty()) require(checked.ports.size() <= kMaxPresets && !checked.ports.empty());
  }
  for (const AnnotationRow& row : annotation_rows()) {
    const ReadWishes read = read_wishes({{std::string(kPrefix) + std::string(row.key), text}}, {});
    if (!read.problems.empty()) continue;
    for (const MountWish& mount : read.wishes.mounts) require(is_clean_path(mount.path) && is_object_name(mount.volume));
    require(read.wishes.image.find_first_of(" \n\"") == std::string::npos);
    require(read.wishes.config_map.empty() || is_object_name(read.wishes.config_map));
  }
  return 0;
}
