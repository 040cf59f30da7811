#pragma once
#include "dataplane/control/options.h"
namespace headgate::cli { inline int run_command(const control::Options&) { return 2; } }
