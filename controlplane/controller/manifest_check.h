// manifest_check.h -- `headgate-controller check -f MANIFESTS`: what would these objects do, what is refused and why?
// Thread: main; the first function is pure.
#pragma once

#include <string>
#include <vector>

#include "controlplane/controller/options.h"
#include "controlplane/kube/manifests.h"
#include "controlplane/translate/settings.h"

namespace headgate::controller {

struct ManifestCheck {
  std::string text;
  // 0: every object is served as it says; 1: something is refused or not supported; 2: a file cannot be read
  int exit_status = 0;
};

// Classes that Ingresses name and no file defines count as ours, and so do Ingresses without a class: people check the
// manifests of their application, not those of the cluster.
ManifestCheck check_manifests(const std::vector<kube::ManifestFile>& files, translate::Settings settings);

// Reads the files and folders of the command line and prints to standard output; the exit status.
int check_manifests(const Options& options);

}  // namespace headgate::controller
