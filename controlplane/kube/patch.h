// patch.h -- changes of objects that others change, too: read, change, write with the version read; or a patch.
// Thread: any; blocks.   Owner: -.
#pragma once

#include <functional>
#include <string>

#include "controlplane/kube/json.h"
#include "controlplane/kube/rest.h"

namespace headgate::kube {

// False: nothing is to be written. Called again with the newer object when somebody else was faster.
using Change = std::function<bool(Json& object)>;

struct UpdateOutcome {
  bool written = false;
  Answer answer;  // the last one; its body is the object as it is now
};

// GET `path`, change, PUT `path` + `subresource` ("" or "/status"); on 409 again, five times.
UpdateOutcome update(const Rest& rest, const std::string& path, const std::string& subresource, const Change& change);

// RFC 6902. `operations`: [{"op": "test", ...}, {"op": "replace", ...}].
Answer json_patch(const Rest& rest, const std::string& path, const Json& operations);

// Server-side apply: the fields in `object` are ours from then on, under the name of `manager`; what we applied before
// and leave out now is removed. `force` takes fields that other managers have; without it a conflict is a 409 that
// names them.
Answer server_side_apply(const Rest& rest, const std::string& path, const Json& object, const std::string& manager,
                         bool force);

}  // namespace headgate::kube
