#include "dataplane/control/config_loader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <ctime>

#include "dataplane/base/unique_fd.h"
#include "proto/json/command_line.h"

namespace headgate::control {
namespace {

constexpr size_t kLargestFile = size_t{64} * 1024 * 1024;

std::string working_directory() {
  std::array<char, 4096> path{};
  return ::getcwd(path.data(), path.size()) == nullptr ? "." : path.data();
}

}  // namespace

Result<std::string> read_whole_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return system_error("open");
  struct stat facts{};
  if (::fstat(fd.get(), &facts) != 0) return system_error("stat");
  if (!S_ISREG(facts.st_mode)) return Error{.code = Errc::kInvalid, .detail = "not a regular file"};
  std::string text;
  std::array<char, 65536> piece{};
  for (;;) {
    const ssize_t count = ::read(fd.get(), piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("read");
    if (count == 0) return text;
    text.append(piece.data(), static_cast<size_t>(count));
    if (text.size() > kLargestFile) return Error{.code = Errc::kTooLarge, .detail = "file above 64 MiB"};
  }
}

std::vector<std::string> lines_of(const std::vector<json::Diagnostic>& diagnostics) {
  std::vector<std::string> lines;
  for (const json::Diagnostic& diagnostic : diagnostics) lines.push_back(to_string(diagnostic));
  return lines;
}

ConfigLoader::ConfigLoader(const Options& options) : options_(options), path_(config_path(options)) {
  const std::string directory = working_directory();
  // Absolute, so that a later reload finds it whatever the working directory is then.
  if (!path_.empty() && path_[0] != '/') path_ = directory + "/" + path_;
  folder_ = path_.empty() ? directory : json::folder_of(path_, directory);
}

json::ConfigFile ConfigLoader::load() {
  prints_.clear();
  if (path_.empty()) {
    const json::CommandLineText translated = json::translate_command_line({.listen = options_.listen,
                                                                           .to = options_.targets,
                                                                           .root = options_.root,
                                                                           .cert = options_.cert,
                                                                           .key = options_.key,
                                                                           .backlog = options_.backlog,
                                                                           .admin = options_.admin});
    if (!translated.problems.empty()) {
      json::ConfigFile failed;
      failed.document = std::make_unique<json::Document>();
      failed.diagnostics = translated.problems;
      return failed;
    }
    return load_text(translated.json);
  }
  prints_.emplace(path_, FilePrint::of(path_));
  auto text = read_whole_file(path_);
  if (!text) {
    json::ConfigFile failed;
    failed.document = std::make_unique<json::Document>();
    failed.diagnostics.push_back({.file = path_, .rule = "file", .message = "cannot read it: " + to_string(text.error())});
    return failed;
  }
  return load_text(std::move(*text));
}

json::ConfigFile ConfigLoader::load_text(std::string text) {
  json::ReadOptions options;
  options.file_name = path_.empty() ? "command line" : path_;
  options.folder = folder_;
  options.read_file = [this](const std::string& path) {
    prints_.try_emplace(path, FilePrint::of(path));
    return read_whole_file(path);
  };
  options.now = std::time(nullptr);
  json::ConfigFile file = json::read_config(std::move(text), options);
  if (path_.empty()) json::drop_positions(file.diagnostics);
  return file;
}

}  // namespace headgate::control
