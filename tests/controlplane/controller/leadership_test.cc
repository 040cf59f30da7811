// Whom a replica follows, and what the cache of Pods says about a caller.
#include "controlplane/controller/leadership.h"

#include <gtest/gtest.h>

#include "controlplane/controller/kubernetes_source.h"

namespace headgate::controller {
namespace {

using identity::PodStanding;

kube::Lease::Leader leader(const std::string& identity, const std::string& address) {
  return {.identity = identity, .annotations = {{kStreamAnnotation, address}}};
}

TEST(Leadership, FollowsTheOtherAndOnlyTheOther) {
  Leadership ours("a_1", "10.0.0.1:8443");
  Leadership::Change change = ours.look(false, leader("b_2", "10.0.0.2:8443"));
  EXPECT_TRUE(change.target);
  EXPECT_FALSE(change.leads);
  EXPECT_EQ(ours.target(), "10.0.0.2:8443");
  change = ours.look(false, leader("b_2", "10.0.0.2:8443"));
  EXPECT_FALSE(change.target || change.leads);
  change = ours.look(true, leader("a_1", "10.0.0.1:8443"));
  EXPECT_TRUE(change.target && change.leads);
  EXPECT_EQ(ours.target(), "");
}

TEST(Leadership, ALeaseThatRanOutNamesUsButThereIsNobodyToFollow) {
  Leadership ours("a_1", "10.0.0.1:8443");
  EXPECT_TRUE(ours.look(true, leader("a_1", "10.0.0.1:8443")).leads);
  const Leadership::Change lost = ours.look(false, leader("a_1", "10.0.0.1:8443"));
  EXPECT_TRUE(lost.leads);
  EXPECT_FALSE(lost.target);
  EXPECT_EQ(ours.target(), "");
  // A life before this one, at the same address.
  EXPECT_FALSE(ours.look(false, leader("a_0", "10.0.0.1:8443")).target);
  // Given back: nobody holds it, its annotation stands.
  EXPECT_FALSE(ours.look(false, leader("", "10.0.0.2:8443")).target);
}

TEST(Leadership, LeadingIsToldWhenItChangesHoweverTheLeaseReads) {
  Leadership ours("a_1", "");
  EXPECT_FALSE(ours.look(false, {}).leads);
  EXPECT_TRUE(ours.look(true, {}).leads);
  EXPECT_FALSE(ours.look(true, leader("a_1", "")).leads);
  EXPECT_TRUE(ours.look(false, leader("b_2", "")).leads);
  EXPECT_FALSE(ours.look(false, leader("c_3", "10.0.0.3:8443")).leads);
  EXPECT_EQ(ours.target(), "10.0.0.3:8443");
}

class PodStandings : public ::testing::Test {
 protected:
  void add(const std::string& name, const std::string& uid, const std::string& account, const std::string& phase) {
    auto pod = std::make_shared<kubernetes::Pod>();
    pod->mutable_metadata()->set_namespace_("headgate");
    pod->mutable_metadata()->set_name(name);
    pod->mutable_metadata()->set_uid(uid);
    pod->mutable_spec()->set_service_account_name(account);
    pod->mutable_status()->set_phase(phase);
    ASSERT_TRUE(world_.set(kube::ObjectKind::kPod, pod));
  }
  PodStanding by_uid(const std::string& uid, const std::string& account = "proxies") {
    return pod_standing(world_, {.namespace_name = "headgate", .service_account = account, .pod_uid = uid});
  }
  world::World world_;
};

TEST_F(PodStandings, ACertificateNamesThePodByItsUid) {
  add("proxy-1", "u1", "proxies", "Running");
  add("proxy-2", "u2", "proxies", "Failed");
  add("other-1", "u3", "others", "Running");
  EXPECT_EQ(by_uid("u1"), PodStanding::kRuns);
  EXPECT_EQ(by_uid("u2"), PodStanding::kEnded);
  EXPECT_EQ(by_uid("u3"), PodStanding::kEnded) << "the Pod of another ServiceAccount";
  EXPECT_EQ(by_uid("u4"), PodStanding::kUnknown) << "gone, or not seen yet";
  EXPECT_EQ(by_uid(""), PodStanding::kRuns) << "bound to no Pod";
}

TEST_F(PodStandings, ATokenNamesItByNameAndUid) {
  add("proxy-1", "u1", "proxies", "Running");
  const auto standing = [&](const std::string& pod, const std::string& uid) {
    return pod_standing(world_, {.namespace_name = "headgate", .service_account = "proxies", .pod = pod, .pod_uid = uid});
  };
  EXPECT_EQ(standing("proxy-1", "u1"), PodStanding::kRuns);
  EXPECT_EQ(standing("proxy-1", "u0"), PodStanding::kEnded) << "a later Pod of that name";
  EXPECT_EQ(standing("proxy-9", "u1"), PodStanding::kUnknown);
}

}  // namespace
}  // namespace headgate::controller
