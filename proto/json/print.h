// print.h -- the users' format in one canonical form, the messages as JSON, and the schema for editors.
// Thread: any (pure).   Owner: the caller.
#pragma once

#include <string>

#include "headgate/config/v1/resources.pb.h"
#include "proto/json/config_file.h"

namespace headgate::json {

// The file in canonical form: keys in the order of the documentation, names of dns, zones and upstreams sorted,
// listeners sorted by name, rules in their order (it has a meaning), short forms written out, constant defaults filled
// in, two spaces. Comments are gone. What it prints is accepted again and prints the same.
// `file` must be ok(): its text has passed the checks.
std::string print_config(const ConfigFile& file);

// The messages as protobuf JSON with the field names of the .proto files; private keys, password hashes and ticket
// secrets are replaced by "[redacted]", and certificates by their size.
std::string print_resources(const config::v1::ResourceSet& resources);

// JSON Schema (draft-07) of the file: what schema.json must be.
std::string print_schema();

}  // namespace headgate::json
