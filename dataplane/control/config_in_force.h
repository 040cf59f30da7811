// config_in_force.h -- the file that serves, in little: its text and its messages as bytes, compressed when that pays.
//
// The tree of a big file and its messages are ten times its size, and are needed again only when somebody asks for
// the configuration, or a name of an endpoint has other addresses. So they are made again then.
// Thread: control.   Owner: Supervisor.
#pragma once

#include <memory>
#include <string>

#include "dataplane/control/kept_text.h"
#include "proto/json/config_file.h"

namespace headgate::control {

class ConfigInForce {
 public:
  void set(const json::ConfigFile& file);

  // As `headgate print` would show it.
  [[nodiscard]] std::string print() const;
  [[nodiscard]] std::shared_ptr<const config::v1::ResourceSet> resources() const;
  // Where it wants the admin socket; empty: it does not say.
  [[nodiscard]] const std::string& admin() const { return admin_; }

 private:
  KeptText text_;
  KeptText resources_;
  std::string admin_;
};

}  // namespace headgate::control
