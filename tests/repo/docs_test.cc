// docs_test.cc -- every configuration in a README and in manifests/standalone is read by the real reader.
#include <gtest/gtest.h>

#include "proto/json/config_file.h"
#include "tests/repo/tree.h"

namespace headgate::repo {
namespace {

struct Snippet {
  std::string file;
  size_t line;
  std::string language;
  std::string text;
  bool marked;  // <!-- fragment --> stood on the line before: not a whole file
};

// Fenced blocks of a Markdown file.
std::vector<Snippet> snippets_of(const std::string& file) {
  std::vector<Snippet> snippets;
  bool inside = false;
  std::string before;
  for (const auto& line : read_lines(kRoot / file)) {
    if (line.text.starts_with("```")) {
      if (!inside) snippets.push_back({file, line.number, line.text.substr(3), "", before == "<!-- fragment -->"});
      inside = !inside;
    } else if (inside) {
      snippets.back().text += line.text + "\n";
    }
    if (!line.text.empty()) before = line.text;
  }
  EXPECT_FALSE(inside) << file << ": a code block without an end";
  return snippets;
}

std::vector<std::string> documents() {
  std::vector<std::string> found;
  for (const auto& file : project_files()) {
    if (file.ends_with(".md")) found.push_back(file);
  }
  return found;
}

bool is_configuration(const Snippet& snippet) {
  return (snippet.language == "jsonc" || snippet.language == "json") && !snippet.marked &&
         snippet.text.find("\"listen\"") != std::string::npos;
}

// Certificates, keys and zones that an example names: any good one will do.
Result<std::string> read_named_file(const std::string& path) {
  if (path.ends_with(".key")) return read_file(kRoot / "tests/repo/site.key");
  if (path.ends_with(".pem") || path.ends_with(".crt")) return read_file(kRoot / "tests/repo/site.pem");
  if (path.ends_with(".zone")) {
    return std::string("$TTL 300\n@ SOA ns1 admin 1 3600 600 86400 300\n@ NS ns1\nns1 A 192.0.2.1\n");
  }
  return Error{};
}

void expect_accepted(const std::string& text, const std::string& name, const std::string& folder) {
  json::ReadOptions options;
  options.file_name = name;
  options.folder = folder;
  options.read_file = read_named_file;
  const auto read = json::read_config(text, options);
  std::string problems;
  for (const auto& diagnostic : read.diagnostics) problems += json::to_string(diagnostic) + "\n";
  EXPECT_TRUE(read.ok()) << problems;
}

TEST(Docs, EveryConfigurationInADocumentIsAccepted) {
  size_t seen = 0;
  for (const auto& file : documents()) {
    for (const auto& snippet : snippets_of(file)) {
      if (!is_configuration(snippet)) continue;
      expect_accepted(snippet.text, snippet.file + "+" + std::to_string(snippet.line), kRoot / "manifests/standalone");
      ++seen;
    }
  }
  EXPECT_GE(seen, 5U) << "the README shows the configuration by example";
}

TEST(Docs, EveryExampleFileIsAccepted) {
  size_t seen = 0;
  for (const auto& file : files_under({"manifests/standalone/"}, {".json"})) {
    expect_accepted(read_file(kRoot / file), file, kRoot / "manifests/standalone");
    ++seen;
  }
  EXPECT_GE(seen, 8U);
}

// [text](path): a path that does not begin with a scheme or # is in the tree.
TEST(Docs, LinksLeadSomewhere) {
  for (const auto& file : documents()) {
    const std::string text = read_file(kRoot / file);
    for (size_t at = text.find("]("); at != std::string::npos; at = text.find("](", at + 1)) {
      std::string target = text.substr(at + 2, text.find(')', at) - at - 2);
      if (target.find("://") != std::string::npos || target.starts_with('#') || target.find(' ') != std::string::npos) continue;
      target = target.substr(0, target.find('#'));
      const auto path = kRoot / std::filesystem::path(file).parent_path() / target;
      EXPECT_TRUE(std::filesystem::exists(path)) << file << ": " << target;
    }
  }
}

// The map of the tree in the README names every folder that is there, and nothing that is not.
TEST(Docs, TheMapShowsTheTree) {
  const std::string readme = read_file(kRoot / "README.md");
  for (const char* top : {"dataplane", "proto", "charts", "manifests", "tests", "e2e"}) {
    for (const auto& entry : std::filesystem::directory_iterator(kRoot / top)) {
      if (!entry.is_directory() || entry.path().filename().string().starts_with("__")) continue;
      if (entry.path().filename() == "headgate") continue;  // a package path
      const std::string name = entry.path().filename().string() + "/";
      EXPECT_NE(readme.find(name), std::string::npos) << top << "/" << name << " is missing in the map of the README";
    }
  }
}

}  // namespace
}  // namespace headgate::repo
