#include "controlplane/controller/file_source.h"

#include <unistd.h>

#include <climits>
#include <ctime>
#include <utility>

#include "controlplane/controller/read_file.h"
#include "proto/json/config_file.h"

namespace headgate::controller {

namespace {

std::string working_directory() {
  char path[PATH_MAX];
  return getcwd(path, sizeof path) == nullptr ? "/" : path;
}

template <typename Message>
void add(control::v1::Kind kind, const google::protobuf::RepeatedPtrField<Message>& messages, translate::Output& into) {
  for (const Message& message : messages) into.resources.set(translate::encode(kind, message.name(), message));
}

std::shared_ptr<const translate::Output> output_of(const config::v1::ResourceSet& set) {
  auto output = std::make_shared<translate::Output>();
  if (set.has_settings()) {
    output->resources.set(translate::encode(control::v1::KIND_PROXY_SETTINGS, set.settings().name(), set.settings()));
  }
  add(control::v1::KIND_LISTENER, set.listeners(), *output);
  add(control::v1::KIND_ROUTE_TABLE, set.route_tables(), *output);
  add(control::v1::KIND_VIRTUAL_HOST, set.virtual_hosts(), *output);
  add(control::v1::KIND_UPSTREAM, set.upstreams(), *output);
  add(control::v1::KIND_ENDPOINT_SHARD, set.endpoint_shards(), *output);
  add(control::v1::KIND_TLS_SECRET, set.tls_secrets(), *output);
  add(control::v1::KIND_TICKET_KEYS, set.ticket_keys(), *output);
  add(control::v1::KIND_DNS_ZONE, set.dns_zones(), *output);
  return output;
}

}  // namespace

bool FileSource::has_changed() {
  const bool changed = !refresh(prints_).empty();
  return !std::exchange(read_once_, true) || changed;
}

std::shared_ptr<const translate::Output> FileSource::poll(std::vector<std::string>& problems) {
  if (!has_changed()) return nullptr;
  // Before it is read: a change while we read is a change at the next call.
  prints_ = {{path_, FilePrint::of(path_)}};
  const Result<std::string> text = read_file(path_);
  if (!text) {
    problems.push_back(path_ + ": " + to_string(text.error()));
    return nullptr;
  }
  json::ReadOptions options;
  options.file_name = path_;
  options.folder = json::folder_of(path_, working_directory());
  options.now = std::time(nullptr);
  options.read_file = [this](const std::string& path) {
    prints_.emplace(path, FilePrint::of(path));
    return read_file(path);
  };
  const json::ConfigFile file = json::read_config(*text, options);
  for (const json::Diagnostic& diagnostic : file.diagnostics) problems.push_back(to_string(diagnostic));
  return file.ok() ? output_of(file.resources) : nullptr;
}

}  // namespace headgate::controller
