#include "dataplane/control/privileges.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <array>

#include "dataplane/base/number.h"

namespace headgate::control {
namespace {

constexpr size_t kRecord = 16 * 1024;
constexpr uint32_t kNoId = UINT32_MAX;  // (uid_t)-1 means "leave as it is" to the kernel

Error not_found(const char* detail) { return {.code = Errc::kNotFound, .detail = detail}; }

Result<gid_t> find_group(const std::string& name) {
  if (const auto number = parse_decimal<uint32_t>(name); number && *number != kNoId) return gid_t{*number};
  std::array<char, kRecord> storage{};
  group record{};
  group* found = nullptr;
  ::getgrnam_r(name.c_str(), &record, storage.data(), storage.size(), &found);
  if (found == nullptr) return not_found("no such group");
  return found->gr_gid;
}

}  // namespace

Result<UserIdentity> find_user(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string name(text.substr(0, colon));
  UserIdentity identity;
  std::array<char, kRecord> storage{};
  passwd record{};
  passwd* found = nullptr;
  const auto number = parse_decimal<uint32_t>(name);
  if (number && *number != kNoId) {
    ::getpwuid_r(*number, &record, storage.data(), storage.size(), &found);
    identity.user = *number;
  } else {
    ::getpwnam_r(name.c_str(), &record, storage.data(), storage.size(), &found);
    if (found == nullptr) return not_found("no such user");
    identity.user = found->pw_uid;
  }
  if (found != nullptr) {
    identity.group = found->pw_gid;
    identity.name = found->pw_name;
  } else if (colon == std::string_view::npos) {
    // A number without an account, as containers use them: the group of the same number.
    identity.group = identity.user;
  }
  if (colon == std::string_view::npos) return identity;
  const auto group = find_group(std::string(text.substr(colon + 1)));
  if (!group) return group.error();
  identity.group = *group;
  return identity;
}

Result<void> become_user(const UserIdentity& identity) {
  const bool named = !identity.name.empty();
  const int groups = named ? ::initgroups(identity.name.c_str(), identity.group) : ::setgroups(1, &identity.group);
  if (groups != 0) return system_error("setgroups");
  if (::setgid(identity.group) != 0) return system_error("setgid");
  if (::setuid(identity.user) != 0) return system_error("setuid");
  if (identity.user != 0 && ::setuid(0) == 0) return Error{.code = Errc::kInternal, .detail = "still root"};
  return {};
}

}  // namespace headgate::control
