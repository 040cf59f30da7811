// annotations.h -- what a Pod asks of its sidecar: the keys headgate.dev/... of Pods and namespaces.
//
// One table says which keys there are; README.md shows it to users. A key that is not in it is an error: a misspelt
// wish would otherwise be a silent one.
// Thread: any (pure).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace headgate::inject {

inline constexpr std::string_view kPrefix = "headgate.dev/";
inline constexpr std::string_view kInjectLabel = "headgate.dev/inject";
inline constexpr std::string_view kConfigAnnotation = "headgate.dev/config";
// Written by the injector.
inline constexpr std::string_view kCompiledAnnotation = "headgate.dev/compiled-config";
inline constexpr std::string_view kStatusAnnotation = "headgate.dev/status";

inline constexpr size_t kMaxInlineConfig = 64 * 1024;

using TextMap = std::map<std::string, std::string, std::less<>>;

enum class Mode : uint8_t { kUnset, kExplicit, kMesh, kDisabled };
// nullopt: no such mode.
std::optional<Mode> parse_mode(std::string_view text);

enum class Source : uint8_t { kNone, kConfigMap, kInline, kPreset };
enum class NativeSidecar : uint8_t { kAuto, kYes, kNo };

// A volume of the Pod that the sidecar is to see.
struct MountWish {
  std::string volume;
  std::string path;
  bool read_only = false;
};

struct Wishes {
  Source source = Source::kNone;
  std::string config_map;
  std::string config_key = "config.json";
  std::string inline_config;
  std::string preset;
  std::string tls_secret;
  std::string image;
  std::string cpu_request;
  std::string cpu_limit;
  std::string memory_request;
  std::string memory_limit;
  std::string log_level;
  std::optional<uint32_t> drain_seconds;
  NativeSidecar native = NativeSidecar::kAuto;
  std::vector<MountWish> mounts;
};

struct ReadWishes {
  Wishes wishes;
  std::vector<std::string> problems;  // any: the Pod is refused
  std::vector<std::string> warnings;
};
// What the Pod does not say, its namespace may.
ReadWishes read_wishes(const TextMap& pod, const TextMap& name_space);

struct AnnotationRow {
  std::string_view key;        // without the prefix
  bool on_namespaces;          // as a default for its Pods
  std::string_view expected;   // "name[:key] of a ConfigMap"
};
// Without those written by the injector.
std::span<const AnnotationRow> annotation_rows();

// Shapes that more than one file judges.
bool is_object_name(std::string_view text);    // DNS labels with dots, at most 253
bool is_clean_path(std::string_view text);     // absolute, no empty, "." or ".." segment, no comma
bool is_below(std::string_view path, std::string_view folder);  // or the folder itself

}  // namespace headgate::inject
