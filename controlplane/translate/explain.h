// explain.h -- an Output as text for people: what each host and path would do, what is refused, what is missing.
// Thread: any (pure).   Owner: the caller.
#pragma once

#include <string>

#include "controlplane/translate/output.h"

namespace headgate::translate {

std::string explain(const Output& output);

}  // namespace headgate::translate
