// sidecar.h -- the container that is injected, and its volumes, as Kubernetes wants them written.
//
// It passes the Pod Security Standard "restricted": no root, no capability, no privilege escalation, a read-only root
// file system, the runtime's seccomp profile.
// Thread: any (pure).
#pragma once

#include <string>
#include <vector>

#include "controlplane/inject/annotations.h"
#include "controlplane/inject/configuration.h"
#include "controlplane/inject/pod_editor.h"
#include "controlplane/inject/settings.h"

namespace headgate::inject {

struct Sidecar {
  Json container;
  std::vector<Json> volumes;
};

// `native`: an init container that goes on running. `mounts`: of the Pod's own volumes.
Sidecar build_sidecar(const Wishes& wishes, const Settings& settings, const std::vector<ListeningPort>& ports,
                      const std::vector<MountWish>& mounts, bool native);

}  // namespace headgate::inject
