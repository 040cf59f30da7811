// last_good.h -- what served last, as bytes: for the file in -state-dir, and for the parent process.
//
//   "HGLG1\n", SHA-256 of the rest, then a control.v1.Push with every resource that serves
//
// The file is replaced by rename and not synced: after a power failure it may be the older one, or torn, which the digest
// shows. Secrets are left out of the file unless -persist-secrets; what goes to the parent stays in memory and has them.
// Thread: control.   Errors: those of the file system; kMalformed for bytes that are not of this format.
#pragma once

#include <string>
#include <string_view>

#include "dataplane/base/result.h"
#include "headgate/control/v1/control.pb.h"

namespace headgate::control {

std::string encode_last_good(const control::v1::Push& push);
bool is_last_good(std::string_view bytes);
Result<control::v1::Push> decode_last_good(std::string_view bytes);

// DIR/last-good, mode 0600.
Result<void> write_last_good(const std::string& directory, std::string_view bytes);
// kNotFound: there is none.
Result<std::string> read_last_good(const std::string& directory);

}  // namespace headgate::control
