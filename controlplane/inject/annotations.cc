#include "controlplane/inject/annotations.h"

#include <algorithm>
#include <array>

#include "dataplane/base/log.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::inject {
namespace {

constexpr uint32_t kMaxDrainSeconds = 3600;
constexpr size_t kMaxMounts = 16;

bool is_lower_alnum(char c) { return (c >= 'a' && c <= 'z') || is_digit(c); }

// "10m", "0.5", "64Mi".
bool is_quantity(std::string_view text) {
  constexpr std::array<std::string_view, 10> kSuffixes = {"Ki", "Mi", "Gi", "Ti", "m", "k", "M", "G", "T", ""};
  for (const std::string_view suffix : kSuffixes) {
    if (!text.ends_with(suffix)) continue;
    text.remove_suffix(suffix.size());
    break;
  }
  const size_t dot = text.find('.');
  const std::string_view fraction = dot == std::string_view::npos ? "0" : text.substr(dot + 1);
  return parse_decimal(text.substr(0, dot)).has_value() && parse_decimal(fraction).has_value() && text.size() <= 20;
}

bool read_quantity(std::string_view value, std::string& into) {
  into = value;
  return is_quantity(value);
}

bool read_config_map(std::string_view value, Wishes& wishes) {
  const size_t colon = value.find(':');
  wishes.config_map = value.substr(0, colon);
  if (colon != std::string_view::npos) wishes.config_key = value.substr(colon + 1);
  const bool good_key = !wishes.config_key.empty() && wishes.config_key.size() <= 253 && wishes.config_key != "." &&
                        wishes.config_key != ".." && std::ranges::all_of(wishes.config_key, [](char c) {
                          return is_alpha(c) || is_digit(c) || c == '-' || c == '_' || c == '.';
                        });
  wishes.source = Source::kConfigMap;
  return is_object_name(wishes.config_map) && good_key;
}

bool read_inline(std::string_view value, Wishes& wishes) {
  wishes.source = Source::kInline;
  wishes.inline_config = value;
  return value.size() <= kMaxInlineConfig;
}

bool read_preset(std::string_view value, Wishes& wishes) {
  wishes.source = Source::kPreset;
  wishes.preset = value;
  return !trim(value).empty() && value.size() <= kMaxInlineConfig;
}

bool read_tls_secret(std::string_view value, Wishes& wishes) {
  wishes.tls_secret = value;
  return is_object_name(value);
}

bool read_image(std::string_view value, Wishes& wishes) {
  wishes.image = value;
  return !value.empty() && value.size() <= 512 && (is_alpha(value.front()) || is_digit(value.front())) &&
         std::ranges::all_of(value, [](char c) {
           return is_alpha(c) || is_digit(c) || std::string_view("._-/:@").find(c) != std::string_view::npos;
         });
}

bool read_log_level(std::string_view value, Wishes& wishes) {
  LogLevel level{};
  wishes.log_level = value;
  return parse_level(value, level);
}

bool read_drain(std::string_view value, Wishes& wishes) {
  wishes.drain_seconds = parse_decimal<uint32_t>(value);
  return wishes.drain_seconds && *wishes.drain_seconds <= kMaxDrainSeconds;
}

bool read_native(std::string_view value, Wishes& wishes) {
  wishes.native = value == "true" ? NativeSidecar::kYes : value == "false" ? NativeSidecar::kNo : NativeSidecar::kAuto;
  return value == "true" || value == "false" || value == "auto";
}

bool read_mounts(std::string_view value, Wishes& wishes) {
  for (const std::string_view piece : split(value, ',')) {
    const std::vector<std::string_view> parts = split(trim(piece), ':');
    if (parts.size() < 2 || parts.size() > 3 || (parts.size() == 3 && parts[2] != "ro")) return false;
    if (!is_object_name(parts[0]) || !is_clean_path(parts[1])) return false;
    wishes.mounts.push_back({std::string(parts[0]), std::string(parts[1]), parts.size() == 3});
  }
  return wishes.mounts.size() <= kMaxMounts;
}

using ReadValue = bool (*)(std::string_view value, Wishes& wishes);

constexpr std::array kRows = {
    AnnotationRow{"config-map", true,
                  "NAME[:KEY] of a ConfigMap in the Pod's namespace; KEY is config.json unless given"},
    AnnotationRow{"config", false, "a configuration file in JSON, at most 64 KiB"},
    AnnotationRow{"preset", true, "presets separated by commas, like tls:8443->8080"},
    AnnotationRow{"tls-secret", true, "the name of a Secret with tls.crt and tls.key"},
    AnnotationRow{"mounts", false, "VOLUME:PATH[:ro], separated by commas; at most 16"},
    AnnotationRow{"image", true, "an image reference"},
    AnnotationRow{"cpu-request", true, "a quantity like 10m"},
    AnnotationRow{"cpu-limit", true, "a quantity like 500m"},
    AnnotationRow{"memory-request", true, "a quantity like 20Mi"},
    AnnotationRow{"memory-limit", true, "a quantity like 64Mi"},
    AnnotationRow{"log-level", true, "trace, debug, info, warn, error or off"},
    AnnotationRow{"drain-seconds", true, "a number of seconds from 0 to 3600"},
    AnnotationRow{"native-sidecar", true, "auto, true or false"},
};
// In the order of kRows.
constexpr std::array<ReadValue, kRows.size()> kReaders = {
    read_config_map,
    read_inline,
    read_preset,
    read_tls_secret,
    read_mounts,
    read_image,
    [](std::string_view value, Wishes& wishes) { return read_quantity(value, wishes.cpu_request); },
    [](std::string_view value, Wishes& wishes) { return read_quantity(value, wishes.cpu_limit); },
    [](std::string_view value, Wishes& wishes) { return read_quantity(value, wishes.memory_request); },
    [](std::string_view value, Wishes& wishes) { return read_quantity(value, wishes.memory_limit); },
    read_log_level,
    read_drain,
    read_native,
};

constexpr std::array<std::string_view, 10> kMeshOnly = {
    "skip-inbound-ports",   "skip-outbound-ports", "skip-outbound-cidrs", "include-outbound-cidrs", "opaque-ports",
    "dns",                  "mtls",                "egress",              "rewrite-probes",         "await"};

bool is_source(std::string_view key) { return key == "config-map" || key == "config" || key == "preset"; }

std::string known_keys() {
  std::string list;
  for (const AnnotationRow& row : kRows) list += (list.empty() ? "" : ", ") + std::string(row.key);
  return list;
}

std::string judge_unknown(std::string_view key) {
  const std::string name = std::string(kPrefix) + std::string(key);
  if (key == "inject") return name + " is a label, not an annotation";
  if (std::ranges::find(kMeshOnly, key) != kMeshOnly.end()) {
    return name + " belongs to mesh mode, which this version does not have";
  }
  return "unknown annotation " + name + "; there are " + known_keys();
}

}  // namespace

std::optional<Mode> parse_mode(std::string_view text) {
  if (text == "explicit") return Mode::kExplicit;
  if (text == "mesh") return Mode::kMesh;
  if (text == "disabled") return Mode::kDisabled;
  return std::nullopt;
}

ReadWishes read_wishes(const TextMap& pod, const TextMap& name_space) {
  ReadWishes read;
  size_t sources = 0;
  for (const auto& [key, value] : pod) {
    if (!key.starts_with(kPrefix) || key == kStatusAnnotation || key == kCompiledAnnotation) continue;
    const std::string_view name = std::string_view(key).substr(kPrefix.size());
    if (is_source(name)) ++sources;
    if (std::ranges::find(kRows, name, &AnnotationRow::key) == kRows.end()) {
      read.problems.push_back(judge_unknown(name));
    }
  }
  if (sources > 1) {
    read.problems.emplace_back("give one of headgate.dev/config-map, headgate.dev/config and headgate.dev/preset");
  }
  for (size_t i = 0; i < kRows.size(); ++i) {
    const AnnotationRow& row = kRows[i];
    const std::string key = std::string(kPrefix) + std::string(row.key);
    auto found = pod.find(key);
    if (found == pod.end()) {
      found = name_space.find(key);
      if (found == name_space.end()) continue;
      // A Pod that names a source of its own takes nothing of its namespace's.
      if (is_source(row.key) && sources > 0) continue;
      if (!row.on_namespaces) {
        read.warnings.push_back(key + " does not count on a namespace");
        continue;
      }
      if (is_source(row.key) && read.wishes.source != Source::kNone) {
        read.problems.emplace_back("the namespace gives both headgate.dev/config-map and headgate.dev/preset");
        continue;
      }
    }
    if (!kReaders[i](found->second, read.wishes)) {
      const std::string shown = found->second.size() > 80 ? found->second.substr(0, 80) + "..." : found->second;
      read.problems.push_back(key + ": " + quote_json(shown) + ": expected " + std::string(row.expected));
    }
  }
  return read;
}

std::span<const AnnotationRow> annotation_rows() { return kRows; }

bool is_object_name(std::string_view text) {
  if (text.empty() || text.size() > 253) return false;
  return std::ranges::all_of(split(text, '.'), [](std::string_view label) {
    return !label.empty() && is_lower_alnum(label.front()) && is_lower_alnum(label.back()) &&
           std::ranges::all_of(label, [](char c) { return is_lower_alnum(c) || c == '-'; });
  });
}

bool is_clean_path(std::string_view text) {
  if (text.size() < 2 || text.size() > 1024 || text.front() != '/' || text.find(',') != std::string_view::npos) {
    return false;
  }
  if (!is_field_value(text) || text.find('\t') != std::string_view::npos) return false;
  return std::ranges::none_of(split(text.substr(1), '/'), [](std::string_view segment) {
    return segment.empty() || segment == "." || segment == "..";
  });
}

bool is_below(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) &&
         (path.size() == folder.size() || folder.ends_with('/') || path[folder.size()] == '/');
}

}  // namespace headgate::inject
