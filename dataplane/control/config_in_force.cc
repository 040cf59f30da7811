#include "dataplane/control/config_in_force.h"

#include "dataplane/base/check.h"
#include "proto/json/print.h"

namespace headgate::control {

void ConfigInForce::set(const json::ConfigFile& file) {
  text_.set(file.document->text());
  resources_.set(file.resources.SerializeAsString());
  admin_ = file.resources.settings().admin();
}

std::string ConfigInForce::print() const {
  json::ConfigFile file;
  file.document = std::make_unique<json::Document>();
  const std::string text = text_.get();
  HG_CHECK(file.document->read(text) || text.empty());  // it was read before
  return json::print_config(file);
}

std::shared_ptr<const config::v1::ResourceSet> ConfigInForce::resources() const {
  auto set = std::make_shared<config::v1::ResourceSet>();
  HG_CHECK(set->ParseFromString(resources_.get()));
  return set;
}

}  // namespace headgate::control
