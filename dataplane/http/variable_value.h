// variable_value.h -- the value of one variable of an exchange. variables.h is what the rest of the program includes.
// Thread: worker.
#pragma once

#include <string_view>

#include "dataplane/http/variables.h"

namespace headgate::http {

// For all variables but literals, groups and families. In the exchange's arena, its head, or static.
std::string_view variable_value(Variable variable, Exchange& exchange);

}  // namespace headgate::http
