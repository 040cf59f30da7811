// config_in_force.h -- the file that serves, in little: its text and its messages as bytes.
//
// The tree of a big file and its messages are ten times its size, and are needed again only when somebody asks for
// the configuration, or a name of an endpoint has other addresses. So they are made again then.
// Thread: control.   Owner: Supervisor.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proto/json/config_file.h"

namespace headgate::control {

class ConfigInForce {
 public:
  void set(const json::ConfigFile& file);

  [[nodiscard]] const std::string& text() const { return text_; }
  // As `headgate print` would show it.
  [[nodiscard]] std::string print() const;
  [[nodiscard]] std::shared_ptr<const config::v1::ResourceSet> resources() const;
  // Where it wants the admin socket; empty: it does not say.
  [[nodiscard]] const std::string& admin() const { return admin_; }
  // Everything that was read for it.
  [[nodiscard]] const std::vector<std::string>& files() const { return files_; }

 private:
  std::string text_;
  std::string resources_;
  std::string admin_;
  std::vector<std::string> files_;
};

}  // namespace headgate::control
