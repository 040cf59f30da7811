// privileges.h -- serving as another user than the one that may bind low ports (-user).
// Thread: control, before any other thread starts (identity is per thread below the C library).
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "dataplane/base/result.h"

namespace headgate::control {

struct UserIdentity {
  uid_t user = 0;
  gid_t group = 0;
  std::string name;  // for the supplementary groups; empty when given by number
};

// "NAME", "NAME:GROUP", numbers allowed for both. kNotFound when there is no such user or group.
Result<UserIdentity> find_user(std::string_view text);
// For good: supplementary groups, group and user. Checks that the way back is closed.
Result<void> become_user(const UserIdentity& identity);

}  // namespace headgate::control
