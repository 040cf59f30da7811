// control_node.h -- who this process says it is when it greets a controller.
// Thread: any (asks the kernel for the host's name).   Owner: -.
#pragma once

#include "dataplane/control/options.h"
#include "headgate/control/v1/control.pb.h"

namespace headgate::control {

// In a pod: "NAMESPACE/POD/UID"; -node-id wins; else the name of the host.
control::v1::Node control_node(const ControlOptions& options);

}  // namespace headgate::control
