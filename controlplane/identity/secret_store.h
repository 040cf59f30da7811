// secret_store.h -- where secrets of the controller outlive it: a Secret of Kubernetes, or a folder of files.
// Thread: any; calls may block.   Owner: main.
#pragma once

#include <map>
#include <string>

#include "dataplane/base/result.h"

namespace headgate::identity {

using SecretData = std::map<std::string, std::string>;  // "ca.crt" -> bytes

struct StoredSecret {
  SecretData data;
  std::string version;  // opaque: only for save()
};

class SecretStore {
 public:
  virtual ~SecretStore() = default;
  // kNotFound: there is none. Anything else: we could not find out.
  virtual Result<StoredSecret> load(const std::string& name) = 0;
  // Replaces the data and returns the new version. `version` is that of the load() it was made from; empty: it does not
  // exist yet. kExists: somebody else was faster, load again.
  virtual Result<std::string> save(const std::string& name, const SecretData& data, const std::string& version) = 0;
};

}  // namespace headgate::identity
