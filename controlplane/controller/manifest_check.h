// manifest_check.h -- `headgate-controller check -f MANIFESTS`: what would these objects do, what is refused and why?
// Thread: main.
#pragma once

#include "controlplane/controller/options.h"

namespace headgate::controller {

// Prints to standard output. 0: every object is served as it says; 1: something is refused or not supported; 2: files
// cannot be read.
int check_manifests(const Options& options);

}  // namespace headgate::controller
