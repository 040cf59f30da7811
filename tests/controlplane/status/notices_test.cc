// notices_test.cc -- each fault is told once, again after half an hour, and when it is settled.
#include "controlplane/status/notices.h"

#include <gtest/gtest.h>

namespace headgate::status {
namespace {

translate::Note note(const std::string& message, const std::string& name = "cart") {
  translate::Note note;
  note.object.set_group("networking.k8s.io");
  note.object.set_kind("Ingress");
  note.object.set_namespace_("shop");
  note.object.set_name(name);
  note.reason = "AnnotationNotSupported";
  note.message = message;
  return note;
}

constexpr size_t kRoom = 100;

TEST(NoticesTest, NewAgainAndSettled) {
  Notices notices("Translate");
  FakeClock clock;
  EXPECT_TRUE(notices.set({note("a"), note("a")}, kRoom).empty());
  auto events = notices.due(clock.now(), kRoom);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].regarding.api_version, "networking.k8s.io/v1");
  EXPECT_EQ(events[0].action, "Translate");
  EXPECT_TRUE(events[0].warning);
  auto newer = note("a");
  newer.object.set_generation(7);
  notices.set({newer}, kRoom);
  EXPECT_TRUE(notices.due(clock.now(), kRoom).empty());
  notices.set({note("a"), note("b")}, kRoom);
  EXPECT_EQ(notices.due(clock.now(), kRoom).size(), 1U);
  clock.advance(std::chrono::minutes(29));
  EXPECT_TRUE(notices.due(clock.now(), kRoom).empty());
  clock.advance(std::chrono::minutes(1));
  EXPECT_EQ(notices.due(clock.now(), kRoom).size(), 2U);
  events = notices.set({note("b")}, kRoom);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_FALSE(events[0].warning);
  EXPECT_EQ(events[0].reason, "Resolved");
  EXPECT_EQ(events[0].note, "AnnotationNotSupported is settled: a");
}

TEST(NoticesTest, OnlyTheLeaderTells) {
  Notices notices("Translate");
  FakeClock clock;
  notices.set({note("a")}, 0);
  EXPECT_TRUE(notices.due(clock.now(), 0).empty());
  EXPECT_EQ(notices.due(clock.now(), kRoom).size(), 1U);  // it leads now
  notices.set({note("a"), note("b")}, 0);
  EXPECT_TRUE(notices.set({note("a")}, kRoom).empty());  // b was never told
}

TEST(NoticesTest, WhatHasNoRoomIsToldLater) {
  Notices notices("Translate");
  FakeClock clock;
  notices.set({note("a"), note("b"), note("c")}, kRoom);
  EXPECT_EQ(notices.due(clock.now(), 2).size(), 2U);
  EXPECT_EQ(notices.due(clock.now(), 2).size(), 1U);
  EXPECT_EQ(notices.set({}, 2).size(), 2U);
}

TEST(NoticesTest, OfRejects) {
  control::v1::Reject reject;
  reject.mutable_key()->set_name("shop/cart");
  reject.set_field_path("routes[2].match.regex");
  reject.set_message("missing )");
  reject.set_kept_previous(true);
  *reject.add_origin() = note("").object;
  const auto notes = notes_of(reject);
  ASSERT_EQ(notes.size(), 1U);
  EXPECT_EQ(notes[0].reason, "ConfigurationRejected");
  EXPECT_EQ(notes[0].message,
            "the proxies cannot use shop/cart (routes[2].match.regex): missing ); what they had before goes on serving");
}

}  // namespace
}  // namespace headgate::status
