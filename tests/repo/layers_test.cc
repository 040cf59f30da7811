// layers_test.cc -- every #include of the tree against layers.txt.
#include <fnmatch.h>
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "tests/repo/tree.h"

namespace headgate::repo {
namespace {

struct Layers {
  std::map<std::string, std::vector<std::string>> allowed;   // folder or file -> folders and headers
  std::vector<std::string> everywhere;                       // external headers
  std::vector<std::pair<std::string, std::vector<std::string>>> external;  // header pattern -> files
  std::vector<std::string> opaque;
};

bool matches(const std::string& pattern, const std::string& text) { return fnmatch(pattern.c_str(), text.c_str(), 0) == 0; }

Layers read_layers() {
  Layers layers;
  for (const auto& line : read_lines(kRoot / "tests/repo/layers.txt")) {
    if (line.text.empty() || line.text[0] == '#') continue;
    std::istringstream words(line.text);
    std::string kind, name, word;
    words >> kind;
    std::vector<std::string> list;
    if (kind != "everywhere") words >> name;
    if (kind != "opaque") {
      words >> word;
      EXPECT_EQ(word, ":") << "layers.txt:" << line.number;
    }
    while (words >> word) list.push_back(word);
    if (kind == "layer") {
      EXPECT_TRUE(layers.allowed.emplace(name, list).second) << "layers.txt:" << line.number << ": a second row for " << name;
    } else if (kind == "everywhere") {
      layers.everywhere.insert(layers.everywhere.end(), list.begin(), list.end());
    } else if (kind == "external") {
      layers.external.emplace_back(name, list);
    } else if (kind == "opaque") {
      layers.opaque.push_back(name);
    } else {
      ADD_FAILURE() << "layers.txt:" << line.number << ": unknown row " << kind;
    }
  }
  return layers;
}

// "dataplane/filters/lua/state.cc" -> "dataplane/filters"; a file right in dataplane/ is a layer of its own, and
// controller.cc with controller.h are the layer "controlplane/controller".
std::string layer_of(const std::string& file) {
  const size_t first = file.find('/');
  const size_t second = file.find('/', first + 1);
  if (second != std::string::npos) return file.substr(0, second);
  if (file.starts_with("controlplane/controller.")) return "controlplane/controller";
  return file;
}

struct Include {
  size_t line;
  std::string name;
  bool quoted;
};

std::vector<Include> includes_of(const std::string& file) {
  std::vector<Include> includes;
  for (const auto& line : read_lines(kRoot / file)) {
    size_t at = line.text.find_first_not_of(" \t");
    if (at == std::string::npos || line.text[at] != '#') continue;
    at = line.text.find("include", at);
    if (at == std::string::npos) continue;
    const size_t open = line.text.find_first_of("<\"", at);
    if (open == std::string::npos) continue;
    const char close = line.text[open] == '<' ? '>' : '"';
    const size_t end = line.text.find(close, open + 1);
    if (end == std::string::npos) continue;
    includes.push_back({line.number, line.text.substr(open + 1, end - open - 1), close == '"'});
  }
  return includes;
}

bool is_generated(const std::string& header) { return header.ends_with(".pb.h"); }
bool is_project(const std::string& header) {
  return header.starts_with("dataplane/") || header.starts_with("controlplane/") || header.starts_with("proto/") ||
         is_generated(header);
}

// Empty: allowed. Otherwise what is wrong.
std::string judge(const Layers& layers, const std::string& file, const Include& include) {
  const std::string layer = layer_of(file);
  const auto row = layers.allowed.find(layer);
  if (row == layers.allowed.end()) return "no row for " + layer + " in layers.txt";
  if (is_project(include.name)) {
    const std::string target = is_generated(include.name) ? "generated" : layer_of(include.name);
    if (target == layer) return {};
    for (const auto& allowed : row->second) {
      if (allowed == target || allowed == include.name) return {};
    }
    return layer + " may not include " + target;
  }
  if (include.quoted) return "project headers are included by their path from the top";
  for (const auto& [pattern, files] : layers.external) {
    if (!matches(pattern, include.name)) continue;
    for (const auto& allowed : files) {
      if (matches(allowed, file)) return {};
    }
    return include.name + " is allowed elsewhere only (layers.txt: external " + pattern + ")";
  }
  for (const auto& pattern : layers.everywhere) {
    if (matches(pattern, include.name)) return {};
  }
  const bool standard = include.name.find('/') == std::string::npos && !include.name.ends_with(".h");
  return standard ? std::string() : "external header without a row in layers.txt";
}

// The way from `file` to a generated message, if there is one.
std::optional<std::string> path_to_generated(const std::string& file, std::set<std::string>& seen) {
  for (const auto& include : includes_of(file)) {
    if (is_generated(include.name)) return file + " -> " + include.name;
    if (!is_project(include.name) || !include.name.ends_with(".h") || !seen.insert(include.name).second) continue;
    if (const auto rest = path_to_generated(include.name, seen)) return file + " -> " + *rest;
  }
  return std::nullopt;
}

const Layers& layers() {
  static const Layers read = read_layers();
  return read;
}

TEST(Layers, EveryIncludeIsAllowed) {
  size_t checked = 0;
  for (const auto& file : files_under({"dataplane/", "controlplane/", "proto/"}, {".cc", ".h", ".inc"})) {
    for (const auto& include : includes_of(file)) {
      const std::string problem = judge(layers(), file, include);
      EXPECT_TRUE(problem.empty()) << file << ":" << include.line << ": " << include.name << ": " << problem;
      ++checked;
    }
  }
  EXPECT_GT(checked, 100U) << "the tree was not found";
}

TEST(Layers, NoMessageReachesTheWorkers) {
  for (const auto& file : files_under({"dataplane/"}, {".cc", ".h"})) {
    const auto& opaque = layers().opaque;
    if (std::find(opaque.begin(), opaque.end(), layer_of(file)) == opaque.end()) continue;
    std::set<std::string> seen;
    const auto path = path_to_generated(file, seen);
    EXPECT_FALSE(path.has_value()) << *path;
  }
}

TEST(Layers, TheTableHasNoCircle) {
  // Layers are listed from below: each may name only rows that stand above its own.
  std::set<std::string> known = {"generated"};
  for (const auto& line : read_lines(kRoot / "tests/repo/layers.txt")) {
    if (!line.text.starts_with("layer ")) continue;
    std::istringstream words(line.text.substr(6));
    std::string name, word;
    words >> name >> word;
    while (words >> word) {
      const std::string layer = word.ends_with(".h") ? layer_of(word) : word;
      const bool shared_code = name.starts_with("dataplane/") && layer.starts_with("proto/");
      EXPECT_TRUE(known.contains(layer) || shared_code) << "layers.txt:" << line.number << ": " << name << " -> " << word;
    }
    known.insert(name);
  }
}

TEST(Layers, TheCheckSeesWhatIsForbidden) {
  const struct {
    const char* file;
    Include include;
    bool allowed;
  } kCases[] = {
      {"dataplane/base/text.cc", {1, "dataplane/net/socket.h", true}, false},
      {"dataplane/net/socket.cc", {1, "dataplane/base/text.h", true}, true},
      {"dataplane/net/socket.cc", {1, "dataplane/net/socket.h", true}, true},
      {"dataplane/filters/jwt.cc", {1, "dataplane/tls/crypto.h", true}, true},
      {"dataplane/filters/jwt.cc", {1, "dataplane/tls/tls_stream.h", true}, false},
      {"dataplane/base/text.cc", {1, "re2/re2.h", false}, false},
      {"dataplane/base/regex.cc", {1, "re2/re2.h", false}, true},
      {"dataplane/handlers/proxy.cc", {1, "openssl/ssl.h", false}, false},
      {"dataplane/worker/worker.cc", {1, "headgate/config/v1/tls.pb.h", true}, false},
      {"dataplane/snapshot/build.cc", {1, "headgate/config/v1/tls.pb.h", true}, true},
      {"dataplane/http/uri.cc", {1, "uri.h", true}, false},
      {"dataplane/http/uri.cc", {1, "vector", false}, true},
      {"dataplane/http/uri.cc", {1, "boost/any.hpp", false}, false},
      {"dataplane/elsewhere/uri.cc", {1, "vector", false}, false},
      {"controlplane/translate/ingress.cc", {1, "controlplane/kube/watch.h", true}, false},
  };
  for (const auto& test : kCases) {
    EXPECT_EQ(judge(layers(), test.file, test.include).empty(), test.allowed) << test.file << " " << test.include.name;
  }
}

}  // namespace
}  // namespace headgate::repo
