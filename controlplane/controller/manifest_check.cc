#include "controlplane/controller/manifest_check.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/kube/manifests.h"
#include "controlplane/translate/translator.h"
#include "controlplane/world/world.h"
#include "headgate/config/v1/virtual_host.pb.h"

namespace headgate::controller {

namespace {

namespace fs = std::filesystem;
using config::v1::Route;
using config::v1::VirtualHost;

bool is_manifest(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".yaml" || extension == ".yml" || extension == ".json";
}

// Files as named, and what lies in folders, in the order of their names.
std::vector<std::string> find_files(const std::vector<std::string>& names, std::vector<std::string>& problems) {
  std::vector<std::string> files;
  for (const std::string& name : names) {
    std::error_code error;
    if (!fs::is_directory(name, error)) {
      files.push_back(name);
      continue;
    }
    std::vector<std::string> found;
    for (fs::recursive_directory_iterator at(name, error), end; !error && at != end; at.increment(error)) {
      if (at->is_regular_file() && is_manifest(at->path())) found.push_back(at->path().string());
    }
    if (error) problems.push_back(name + ": " + error.message());
    std::sort(found.begin(), found.end());
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

std::vector<kube::ManifestFile> read_files(const std::vector<std::string>& names, std::vector<std::string>& problems) {
  std::vector<kube::ManifestFile> files;
  for (const std::string& name : find_files(names, problems)) {
    std::ifstream file(name, std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    if (file) {
      files.push_back({.name = name, .text = std::move(text).str()});
    } else {
      problems.push_back(name + ": cannot be read");
    }
  }
  return files;
}

std::string path_of(const Route& route) {
  using Match = config::v1::RouteMatch;
  switch (route.match().path_case()) {
    case Match::kExact: return "= " + route.match().exact();
    case Match::kPrefix: return route.match().prefix();
    case Match::kSegment: return route.match().segment() + "/*";
    case Match::kRegex: return "~ " + route.match().regex();
    case Match::kRawPrefix: return route.match().raw_prefix() + "*";
    case Match::PATH_NOT_SET: break;
  }
  return "/";
}

std::string action_of(const Route& route) {
  switch (route.action_case()) {
    case Route::kProxy: {
      std::string targets;
      for (const config::v1::Backend& backend : route.proxy().backends()) {
        targets += (targets.empty() ? "" : ", ") + backend.upstream();
        if (backend.has_weight()) targets += " weight " + std::to_string(backend.weight());
      }
      return targets.empty() ? "503 (no back end)" : targets;
    }
    case Route::kRespond: return "answers " + std::to_string(route.respond().status());
    case Route::kRedirect:
      return "redirects (" + std::to_string(route.redirect().status()) + ") to " + route.redirect().location();
    case Route::kStaticFiles: return "files of " + route.static_files().root();
    case Route::kEcho: return "echo";
    case Route::ACTION_NOT_SET: break;
  }
  return "nothing";
}

void print_hosts(const translate::Output& output) {
  for (const translate::ResourcePtr& resource : output.resources) {
    if (resource->kind != control::v1::KIND_VIRTUAL_HOST) continue;
    VirtualHost host;
    host.ParseFromString(resource->body);
    std::printf("%s", host.host() == "*" ? "every other host" : host.host().c_str());
    for (const std::string& alias : host.aliases()) std::printf(", %s", alias.c_str());
    std::printf("\n");
    for (const Route& route : host.routes()) {
      std::printf("  %-32s -> %s\n", path_of(route).c_str(), action_of(route).c_str());
    }
  }
}

// Returns whether one of them is a warning.
bool print_notes(const translate::Output& output) {
  bool warned = false;
  for (const translate::Note& note : output.notes) {
    warned |= note.warning;
    std::printf("%s: %s %s/%s: %s [%s]\n", note.warning ? "warning" : "note", note.object.kind().c_str(),
                note.object.namespace_().c_str(), note.object.name().c_str(), note.message.c_str(), note.reason.c_str());
  }
  return warned;
}

}  // namespace

int check_manifests(const Options& options) {
  std::vector<std::string> problems;
  const kube::Manifests manifests = kube::read_manifests(read_files(options.manifests, problems));
  problems.insert(problems.end(), manifests.errors.begin(), manifests.errors.end());
  world::World world;
  for (const kube::ManifestObject& object : manifests.objects) world.set(object.kind, object.object);
  const translate::Output output = translate::translate(world, options.translation);

  print_hosts(output);
  const bool warned = print_notes(output);
  for (const std::string& ignored : manifests.ignored) std::printf("not looked at: %s\n", ignored.c_str());
  for (const std::string& problem : problems) std::fprintf(stderr, "%s\n", problem.c_str());
  if (!problems.empty()) return 2;
  return warned ? 1 : 0;
}

}  // namespace headgate::controller
