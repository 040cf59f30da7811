// support.h -- worlds from manifests and outputs as text, for the tests of the translation.
// Thread: that of the test.   Owner: the test.
#pragma once

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "controlplane/kube/manifests.h"
#include "controlplane/translate/translator.h"
#include "headgate/config/v1/resources.pb.h"
#include "proto/check/check.h"

namespace headgate::translate {

inline world::World world_of(const std::string& yaml) {
  const kube::Manifests read = kube::read_manifests({{"test.yaml", yaml}});
  for (const std::string& error : read.errors) ADD_FAILURE() << error;
  world::World world;
  for (const kube::ManifestObject& object : read.objects) EXPECT_TRUE(world.set(object.kind, object.object));
  return world;
}

// What the lines "# settings: KEY VALUE" of a manifest say.
inline Settings settings_of(const std::string& yaml) {
  Settings settings;
  std::istringstream lines(yaml);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("# settings: ")) continue;
    std::istringstream words(line.substr(12));
    std::string key;
    std::string value;
    words >> key >> value;
    const std::map<std::string, std::string*> texts{
        {"config_map", &settings.config_map},         {"tcp_services", &settings.tcp_services},
        {"udp_services", &settings.udp_services},     {"default_certificate", &settings.default_certificate},
        {"default_backend", &settings.default_backend}, {"class_name", &settings.class_name}};
    const std::map<std::string, bool*> flags{{"allow_external_names", &settings.allow_external_names},
                                             {"allow_cross_namespace", &settings.allow_cross_namespace},
                                             {"disable_catch_all", &settings.disable_catch_all},
                                             {"watch_without_class", &settings.watch_without_class}};
    if (texts.contains(key)) {
      *texts.at(key) = value;
    } else if (flags.contains(key)) {
      *flags.at(key) = value == "true";
    } else if (key == "adopted_controller") {
      settings.adopted_controllers.push_back(value);
    } else {
      ADD_FAILURE() << "unknown setting " << key;
    }
  }
  return settings;
}

inline config::v1::ResourceSet set_of(const Output& output) {
  config::v1::ResourceSet set;
  for (const ResourcePtr& resource : output.resources) {
    const std::string& body = resource->body;
    bool parsed = false;
    switch (resource->kind) {
      case control::v1::KIND_LISTENER: parsed = set.add_listeners()->ParseFromString(body); break;
      case control::v1::KIND_ROUTE_TABLE: parsed = set.add_route_tables()->ParseFromString(body); break;
      case control::v1::KIND_UPSTREAM: parsed = set.add_upstreams()->ParseFromString(body); break;
      case control::v1::KIND_ENDPOINT_SHARD: parsed = set.add_endpoint_shards()->ParseFromString(body); break;
      case control::v1::KIND_TLS_SECRET: parsed = set.add_tls_secrets()->ParseFromString(body); break;
      case control::v1::KIND_PROXY_SETTINGS: parsed = set.mutable_settings()->ParseFromString(body); break;
      case control::v1::KIND_VIRTUAL_HOST: parsed = set.add_virtual_hosts()->ParseFromString(body); break;
      default: break;
    }
    EXPECT_TRUE(parsed) << resource->name;
  }
  return set;
}

// Everything that is emitted is legal, alone and together.
inline void expect_legal(const Output& output) {
  for (const check::Problem& problem : check::check_resources(set_of(output), 0)) {
    if (problem.severity == check::Severity::kError) ADD_FAILURE() << check::to_string(problem);
  }
}

template <typename Message>
Message parsed(const Output& output, control::v1::Kind kind, const std::string& name) {
  Message message;
  for (const ResourcePtr& resource : output.resources) {
    if (resource->kind == kind && resource->name == name) {
      EXPECT_TRUE(message.ParseFromString(resource->body));
      return message;
    }
  }
  ADD_FAILURE() << "there is no " << name;
  return message;
}

inline bool has(const Output& output, control::v1::Kind kind, const std::string& name) {
  for (const ResourcePtr& resource : output.resources) {
    if (resource->kind == kind && resource->name == name) return true;
  }
  return false;
}

inline std::string ref_text(const control::v1::ObjectRef& ref) {
  return ref.kind() + " " + (ref.namespace_().empty() ? "" : ref.namespace_() + "/") + ref.name();
}

inline std::string note_text(const Note& note) {
  return ref_text(note.object) + ": " + (note.warning ? "Warning " : "Normal ") + note.reason + ": " + note.message;
}

}  // namespace headgate::translate
