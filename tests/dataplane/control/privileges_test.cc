#include "dataplane/control/privileges.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace headgate::control {
namespace {

TEST(Privileges, FindUser) {
  const auto root = find_user("root");
  ASSERT_TRUE(root);
  EXPECT_EQ(root->user, 0U);
  EXPECT_EQ(root->name, "root");
  const auto numbers = find_user("54321:54322");
  ASSERT_TRUE(numbers);
  EXPECT_EQ(numbers->user, 54321U);
  EXPECT_EQ(numbers->group, 54322U);
  const auto alone = find_user("54321");
  ASSERT_TRUE(alone);
  EXPECT_EQ(alone->group, 54321U);
  EXPECT_EQ(find_user("root:0")->group, 0U);
  for (const char* bad : {"", "no-such-user-here", "root:no-such-group-here", "root:", ":0", "4294967295", "-1"}) {
    const auto found = find_user(bad);
    ASSERT_FALSE(found) << bad;
    EXPECT_EQ(found.error().code, Errc::kNotFound);
  }
}

TEST(Privileges, BecomeUserIsForGood) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const pid_t child = ::fork();
  if (child == 0) {
    const auto identity = find_user("54321:54322");
    if (!identity || !become_user(*identity)) ::_exit(1);
    gid_t group = 0;
    const bool dropped = ::getuid() == 54321 && ::geteuid() == 54321 && ::getegid() == 54322 &&
                         ::getgroups(1, &group) == 1 && group == 54322 && ::seteuid(0) != 0;
    ::_exit(dropped ? 0 : 2);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace headgate::control
