#include "dataplane/control/config_in_force.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "dataplane/base/check.h"
#include "proto/json/print.h"

namespace headgate::control {
namespace {

constexpr size_t kBigText = size_t{1} << 20;

}  // namespace

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

void release_load_memory([[maybe_unused]] size_t text_bytes) {
#ifdef __GLIBC__
  if (text_bytes >= kBigText) ::malloc_trim(0);
#endif
}

}  // namespace headgate::control
