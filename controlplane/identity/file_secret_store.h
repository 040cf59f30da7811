// file_secret_store.h -- secrets as files, for a controller outside a cluster: FOLDER/NAME/KEY.
//
// FOLDER/NAME is a link to FOLDER/.NAME.N, and a new version replaces the link in one step, so that a reader never sees
// half of a secret. Files are 0600, folders 0700. A lock file makes save() atomic among processes.
// Thread: any.   Owner: main.
#pragma once

#include <string>
#include <utility>

#include "controlplane/identity/secret_store.h"

namespace headgate::identity {

class FileSecretStore final : public SecretStore {
 public:
  explicit FileSecretStore(std::string folder) : folder_(std::move(folder)) {}

  Result<StoredSecret> load(const std::string& name) override;
  Result<std::string> save(const std::string& name, const SecretData& data, const std::string& version) override;

 private:
  std::string folder_;
};

}  // namespace headgate::identity
