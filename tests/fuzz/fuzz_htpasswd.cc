// links: headgate_check
// Any bytes as a password file: no crash, and no name or hash that could end a line.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "proto/check/htpasswd.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;  // NOLINT: a program of its own
  google::protobuf::RepeatedPtrField<config::v1::NameValue> users;
  std::string why;
  const bool good = check::parse_htpasswd({reinterpret_cast<const char*>(data), size}, users, why);
  if (good != why.empty()) std::abort();
  for (const config::v1::NameValue& user : users) {
    if (user.name().empty() || user.name().find_first_of(":\n") != std::string::npos) std::abort();
    if (user.value().find_first_of(":\n") != std::string::npos) std::abort();
  }
  return 0;
}
