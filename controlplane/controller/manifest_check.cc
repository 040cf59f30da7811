#include "controlplane/controller/manifest_check.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <utility>

#include "controlplane/translate/explain.h"
#include "controlplane/translate/translator.h"
#include "controlplane/world/world.h"

namespace headgate::controller {

namespace {

namespace fs = std::filesystem;

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

// Ingresses of the classes that nobody defined: their classes, made ours.
std::set<std::string> assume_classes(world::World& world, const translate::Settings& settings) {
  std::set<std::string> assumed;
  world.visit<kubernetes::Ingress>([&](const world::ObjectKey&, const kubernetes::Ingress& ingress) {
    const auto legacy = ingress.metadata().annotations().find("kubernetes.io/ingress.class");
    const bool old = legacy != ingress.metadata().annotations().end() && !legacy->second.empty();
    const std::string name = old ? legacy->second : ingress.spec().ingress_class_name();
    if (!name.empty() && world.find<kubernetes::IngressClass>("", name) == nullptr) assumed.insert(name);
  });
  for (const std::string& name : assumed) {
    auto object = std::make_shared<kubernetes::IngressClass>();
    object->mutable_metadata()->set_name(name);
    object->mutable_spec()->set_controller(settings.controller);
    world.set(world::ObjectKind::kIngressClass, object);
  }
  return assumed;
}

std::string count(size_t number, const std::string& thing) {
  return std::to_string(number) + " " + thing + (number == 1 ? "" : thing.ends_with('s') ? "es" : "s");
}

}  // namespace

ManifestCheck check_manifests(const std::vector<kube::ManifestFile>& files, translate::Settings settings) {
  ManifestCheck result;
  const kube::Manifests read = kube::read_manifests(files);
  world::World world;
  for (const kube::ManifestObject& object : read.objects) {
    if (world.objects(object.kind).find(world::key_of(*object.object)) != nullptr) {
      result.text += object.where + ": " + std::string(world::kind_name(object.kind)) + " " +
                     world::key_of(*object.object).name + " is there a second time; this one counts\n";
      result.exit_status = 1;
    }
    world.set(object.kind, object.object);
  }
  for (const std::string& error : read.errors) result.text += error + "\n";
  settings.watch_without_class = true;
  for (const std::string& name : assume_classes(world, settings)) {
    result.text += "IngressClass " + name + ": in no file; taken as ours\n";
  }
  const translate::Output output = translate::translate(world, settings);
  if (!result.text.empty()) result.text += "\n";
  result.text += translate::explain(output);
  if (!read.ignored.empty()) {
    result.text += "\nnot looked at: " + count(read.ignored.size(), "object") + " of other kinds\n";
  }

  const auto warnings = static_cast<size_t>(std::count_if(output.notes.begin(), output.notes.end(),
                                                          [](const translate::Note& note) { return note.warning; }));
  const size_t ingresses = world.objects(world::ObjectKind::kIngress).size();
  result.text += "\n" + std::to_string(output.admitted.size()) + " of " + count(ingresses, "Ingress") + " served, " +
                 count(warnings, "warning") + "\n";
  if (warnings > 0) result.exit_status = 1;
  if (!read.errors.empty()) result.exit_status = 2;
  return result;
}

int check_manifests(const Options& options) {
  std::vector<std::string> problems;
  const ManifestCheck check = check_manifests(read_files(options.manifests, problems), options.translation);
  std::printf("%s", check.text.c_str());
  for (const std::string& problem : problems) std::fprintf(stderr, "%s\n", problem.c_str());
  return problems.empty() ? check.exit_status : 2;
}

}  // namespace headgate::controller
