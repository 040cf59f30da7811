// lease_test.cc -- one leads, never two; whoever sleeps, loses; who leaves, gives back.
#include "controlplane/kube/lease.h"

#include <gtest/gtest.h>

#include "controlplane/kube/timestamp.h"
#include "tests/controlplane/kube/api_fixture.h"

namespace headgate::kube {
namespace {

using std::chrono::seconds;

class LeaseTest : public ApiTest {
 protected:
  struct Candidate {
    Candidate(LeaseTest& test, const std::string& identity)
        : lease(test.transport, options_of(identity), [this](bool leads) { changes.push_back(leads); }, clock) {}
    std::vector<bool> changes;
    FakeClock clock;  // of its own: those of two machines differ
    Lease lease;
  };
  LeaseTest() : transport(config_of(server)) {}
  static LeaseOptions options_of(const std::string& identity) {
    return {.name_space = "headgate", .name = "leader", .identity = identity, .annotations = {{"address", "at-" + identity}}};
  }
  FakeApiServer::Json spec() { return (*server.find("leases", "headgate", "leader"))["spec"]; }

  Transport transport;
};

TEST_F(LeaseTest, TheFirstCreatesItAndRenews) {
  Candidate a(*this, "a");
  EXPECT_FALSE(a.lease.leads());
  a.lease.tick();
  EXPECT_TRUE(a.lease.leads());
  EXPECT_EQ(a.changes, std::vector<bool>{true});
  EXPECT_EQ(spec()["holderIdentity"], "a");
  EXPECT_EQ(spec()["leaseDurationSeconds"], 15);
  EXPECT_EQ(spec()["leaseTransitions"], 0);
  const auto first = spec();
  a.clock.advance(seconds(2));
  a.lease.tick();
  EXPECT_EQ(spec()["acquireTime"], first["acquireTime"]);
  EXPECT_NE(spec()["renewTime"], first["renewTime"]);
  EXPECT_EQ(a.lease.leader().identity, "a");
  EXPECT_EQ(a.lease.leader().annotations.at("address"), "at-a");
}

TEST_F(LeaseTest, TheSecondWaitsByItsOwnClock) {
  Candidate a(*this, "a");
  Candidate b(*this, "b");
  b.clock.step_wall(std::chrono::hours(24));  // the times in the lease look long gone
  a.lease.tick();
  b.lease.tick();
  EXPECT_FALSE(b.lease.leads());
  EXPECT_EQ(b.lease.leader().annotations.at("address"), "at-a");
  b.clock.advance(seconds(14));
  b.lease.tick();
  EXPECT_FALSE(b.lease.leads());
  a.clock.advance(seconds(2));
  a.lease.tick();  // renewed: b waits anew
  b.clock.advance(seconds(2));
  b.lease.tick();
  EXPECT_FALSE(b.lease.leads());
  b.clock.advance(seconds(15));
  b.lease.tick();
  EXPECT_TRUE(b.lease.leads());
  EXPECT_EQ(spec()["leaseTransitions"], 1);
}

TEST_F(LeaseTest, WhoSleepsDoesNotLeadWhenItWakes) {
  Candidate a(*this, "a");
  Candidate b(*this, "b");
  a.lease.tick();
  b.lease.tick();
  // a is stopped (SIGSTOP); b takes over.
  a.clock.advance(seconds(16));
  b.clock.advance(seconds(16));
  EXPECT_FALSE(a.lease.leads());  // without a tick
  b.lease.tick();
  EXPECT_TRUE(b.lease.leads());
  a.lease.tick();
  EXPECT_FALSE(a.lease.leads());
  EXPECT_EQ(a.changes, (std::vector<bool>{true, false}));
  EXPECT_EQ(spec()["holderIdentity"], "b");
}

TEST_F(LeaseTest, NobodyAnswers) {
  Candidate a(*this, "a");
  a.lease.tick();
  server.stop();
  a.clock.advance(seconds(9));
  a.lease.tick();
  EXPECT_TRUE(a.lease.leads());
  a.clock.advance(seconds(1));
  EXPECT_FALSE(a.lease.leads());
  a.lease.tick();
  EXPECT_EQ(a.changes, (std::vector<bool>{true, false}));
  server.start();
  a.lease.tick();
  EXPECT_TRUE(a.lease.leads());
}

TEST_F(LeaseTest, ARaceHasOneWinner) {
  Candidate a(*this, "a");
  Candidate b(*this, "b");
  a.lease.tick();
  b.lease.tick();
  b.clock.advance(seconds(16));
  // a renews between b's look and b's write.
  bool once = true;
  server.on_request([&](const std::string& line) {
    if (line.starts_with("PUT") && std::exchange(once, false)) a.lease.tick();
  });
  b.lease.tick();
  EXPECT_FALSE(b.lease.leads());
  EXPECT_TRUE(a.lease.leads());
  EXPECT_EQ(spec()["holderIdentity"], "a");
}

TEST_F(LeaseTest, LabelsOfOthersSurvive) {
  auto lease = object("headgate", "leader");
  lease["metadata"]["labels"]["team"] = "edge";
  lease["spec"] = {{"holderIdentity", ""}, {"strategy", "x"}, {"leaseTransitions", 4}};
  server.put("leases", lease);
  Candidate a(*this, "a");
  a.lease.tick();
  EXPECT_TRUE(a.lease.leads());
  EXPECT_EQ(spec()["strategy"], "x");
  EXPECT_EQ(spec()["leaseTransitions"], 5);
  EXPECT_EQ((*server.find("leases", "headgate", "leader"))["metadata"]["labels"]["team"], "edge");
}

TEST_F(LeaseTest, GivenBackWhenItStops) {
  Candidate a(*this, "a");
  Candidate b(*this, "b");
  ASSERT_TRUE(a.lease.start());
  for (int i = 0; i < 1000 && !a.lease.leads(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  a.lease.stop();
  EXPECT_EQ(a.changes, (std::vector<bool>{true, false}));
  EXPECT_EQ(spec()["holderIdentity"], "");
  b.lease.tick();  // no wait
  EXPECT_TRUE(b.lease.leads());
}

TEST_F(LeaseTest, UnsoundTimesAreRefused) {
  LeaseOptions options = options_of("a");
  options.renew_deadline = seconds(15);
  EXPECT_FALSE(Lease(transport, options, nullptr).start());
  options.renew_deadline = seconds(2);
  EXPECT_FALSE(Lease(transport, options, nullptr).start());
}

TEST(Timestamp, MicroTime) {
  EXPECT_EQ(micro_time(WallTime(std::chrono::microseconds(1'769'854'830'000'001))), "2026-01-31T10:20:30.000001Z");
  EXPECT_EQ(micro_time(WallTime()), "1970-01-01T00:00:00.000000Z");
}

}  // namespace
}  // namespace headgate::kube
