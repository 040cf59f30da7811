// tree.h -- the files of this repository as the tests in this folder read them.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace headgate::repo {

inline const std::filesystem::path kRoot = HEADGATE_SOURCE_DIR;

struct Line {
  size_t number;  // 1-based
  std::string text;
};

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline std::vector<Line> read_lines(const std::filesystem::path& path) {
  std::vector<Line> lines;
  std::ifstream file(path);
  std::string text;
  while (std::getline(file, text)) lines.push_back({lines.size() + 1, text});
  return lines;
}

inline bool has_extension(const std::string& path, std::initializer_list<std::string_view> extensions) {
  for (const auto extension : extensions) {
    if (path.ends_with(extension)) return true;
  }
  return false;
}

// Relative paths, sorted, of what belongs to the project: no build folder, nothing hidden except .ci.
inline std::vector<std::string> project_files() {
  std::vector<std::string> files;
  for (auto entry = std::filesystem::recursive_directory_iterator(kRoot); entry != std::filesystem::end(entry); ++entry) {
    const std::string name = entry->path().filename().string();
    const bool hidden = name.starts_with('.') && name != ".ci";
    const bool built = (entry.depth() == 0 && name.starts_with("build")) || name == "__pycache__" || name == "node_modules";
    if (hidden || built) {
      entry.disable_recursion_pending();
      continue;
    }
    if (entry->is_regular_file()) files.push_back(std::filesystem::relative(entry->path(), kRoot).generic_string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

inline std::vector<std::string> files_under(std::initializer_list<std::string_view> folders,
                                            std::initializer_list<std::string_view> extensions) {
  std::vector<std::string> files;
  for (auto& file : project_files()) {
    for (const auto folder : folders) {
      if (file.starts_with(folder) && has_extension(file, extensions)) files.push_back(file);
    }
  }
  return files;
}

}  // namespace headgate::repo
