#include "dataplane/control/config_in_force.h"

#include "dataplane/base/check.h"
#include "proto/json/print.h"

namespace headgate::control {

void ConfigInForce::set(const json::ConfigFile& file) {
  text_ = std::string(file.document->text());
  resources_ = file.resources.SerializeAsString();
  admin_ = file.resources.settings().admin();
  files_ = file.files;
}

std::string ConfigInForce::print() const {
  json::ConfigFile file;
  file.document = std::make_unique<json::Document>();
  HG_CHECK(file.document->read(text_) || text_.empty());  // it was read before
  return json::print_config(file);
}

std::shared_ptr<const config::v1::ResourceSet> ConfigInForce::resources() const {
  auto set = std::make_shared<config::v1::ResourceSet>();
  HG_CHECK(set->ParseFromString(resources_));
  return set;
}

}  // namespace headgate::control
