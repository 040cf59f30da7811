#include "controlplane/publish/proxy_session.h"

#include <gtest/gtest.h>

namespace headgate::publish {
namespace {

namespace cv = control::v1;
using std::chrono::milliseconds;

translate::ResourcePtr one(const std::string& name, uint64_t version, const std::string& body = "x") {
  auto made = std::make_shared<translate::Resource>();
  made->kind = cv::KIND_UPSTREAM;
  made->name = name;
  made->version = version;
  made->body = body;
  return made;
}

ResourceSetPtr set_of(std::vector<translate::ResourcePtr> resources, const ResourceSetPtr& previous = nullptr) {
  translate::Output output;
  for (auto& resource : resources) output.resources.set(std::move(resource));
  return ResourceSet::make(previous, output);
}

class ProxySessionTest : public ::testing::Test {
 protected:
  void hello(std::vector<std::pair<std::string, uint64_t>> known = {}) {
    cv::Hello hello;
    hello.mutable_node()->set_id("n");
    for (const auto& [name, version] : known) {
      cv::KnownVersion& entry = *hello.add_known();
      entry.mutable_key()->set_kind(cv::KIND_UPSTREAM);
      entry.mutable_key()->set_name(name);
      entry.set_version(version);
    }
    ASSERT_TRUE(session_.on_hello(hello));
  }
  bool due() const { return session_.due() && *session_.due() <= now_; }
  cv::Push take() {
    EXPECT_TRUE(due());
    cv::ServerMessage message;
    const std::string bytes = session_.take_part(now_);
    EXPECT_TRUE(message.ParseFromString(bytes));
    EXPECT_EQ(message.message_case(), cv::ServerMessage::kPush);
    return message.push();
  }
  bool ack(uint64_t id) {
    cv::Ack ack;
    ack.set_push_id(id);
    ack.set_digest(99);
    return session_.on_ack(ack);
  }
  static std::vector<std::string> names(const cv::Push& push) {
    std::vector<std::string> list;
    for (const auto& resource : push.upsert()) list.push_back(resource.key().name());
    return list;
  }
  static std::vector<std::string> removed(const cv::Push& push) {
    std::vector<std::string> list;
    for (const auto& key : push.remove()) list.push_back(key.name());
    return list;
  }

  ProxySession session_{"replica-1"};
  MonotonicTime now_{std::chrono::hours(5)};
};

using Names = std::vector<std::string>;

TEST_F(ProxySessionTest, TheFirstPushIsEverything) {
  session_.want(set_of({one("a", 1), one("b", 2, "body of b")}));
  EXPECT_FALSE(due()) << "nothing before Hello";
  hello();
  const cv::Push push = take();
  EXPECT_EQ(push.push_id(), 1U);
  EXPECT_FALSE(push.more());
  EXPECT_TRUE(push.initial_complete());
  EXPECT_EQ(names(push), (Names{"a", "b"}));
  EXPECT_EQ(push.upsert(1).version(), 2U);
  EXPECT_EQ(push.upsert(1).body(), "body of b");
  EXPECT_FALSE(due());
  EXPECT_TRUE(session_.unanswered_since());
  ASSERT_TRUE(ack(1));
  EXPECT_FALSE(session_.unanswered_since());
  EXPECT_EQ(session_.facts().digest(), 99U);
  EXPECT_EQ(session_.facts().replica(), "replica-1");
}

TEST_F(ProxySessionTest, WhatIsKnownIsNotSentAgain) {
  session_.want(set_of({one("a", 1), one("b", 2), one("c", 3)}));
  hello({{"c", 3}, {"a", 7}, {"gone", 1}, {"b", 2}});
  const cv::Push push = take();
  EXPECT_EQ(names(push), Names{"a"});
  EXPECT_EQ(removed(push), Names{"gone"});
}

// Two replicas with caches of different age, but the same objects: moving from one to the other moves nothing.
TEST_F(ProxySessionTest, AnotherReplicaWithTheSameVersionsSendsNothing) {
  session_.want(set_of({one("a", 1), one("b", 2)}));
  hello({{"a", 1}, {"b", 2}});
  const cv::Push push = take();
  EXPECT_TRUE(names(push).empty());
  EXPECT_TRUE(removed(push).empty());
  EXPECT_TRUE(push.initial_complete()) << "but it is told that this is all";
  // The same content encoded again is no change.
  ASSERT_TRUE(ack(1));
  now_ += milliseconds(50);
  session_.want(set_of({one("a", 1), one("b", 2)}));
  if (due()) {
    EXPECT_EQ(session_.take_part(now_), "");
  }
  EXPECT_FALSE(due());
}

TEST_F(ProxySessionTest, ChangesMergeWhileAPushIsUnanswered) {
  ResourceSetPtr set = set_of({one("a", 1), one("b", 2)});
  session_.want(set);
  hello();
  take();
  set = set_of({one("a", 10), one("b", 2)}, set);
  session_.want(set);
  set = set_of({one("a", 11), one("c", 3)}, set);
  session_.want(set);
  now_ += std::chrono::seconds(1);
  EXPECT_FALSE(due());
  ASSERT_TRUE(ack(1));
  const cv::Push push = take();
  EXPECT_EQ(push.push_id(), 2U);
  EXPECT_EQ(names(push), (Names{"a", "c"}));
  EXPECT_EQ(push.upsert(0).version(), 11U);
  EXPECT_EQ(removed(push), Names{"b"});
}

TEST_F(ProxySessionTest, TheFirstChangeAfterAPauseIsSentAtOnceTheNextWaits) {
  ResourceSetPtr set = set_of({one("a", 1)});
  session_.want(set);
  hello();
  take();
  ASSERT_TRUE(ack(1));
  now_ += milliseconds(20);
  session_.want(set = set_of({one("a", 2)}, set));
  EXPECT_TRUE(due());
  take();
  ASSERT_TRUE(ack(2));
  now_ += milliseconds(1);
  session_.want(set = set_of({one("a", 3)}, set));
  EXPECT_FALSE(due());
  EXPECT_EQ(*session_.due(), now_ + milliseconds(9));
  now_ += milliseconds(9);
  EXPECT_TRUE(due());
}

TEST_F(ProxySessionTest, PartsOfAMebibyte) {
  std::vector<translate::ResourcePtr> all;
  for (int i = 0; i < 50; ++i) {
    all.push_back(one("r" + std::to_string(100 + i), static_cast<uint64_t>(i) + 1, std::string(100'000, 'x')));
  }
  session_.want(set_of(all));
  hello({{"old", 5}});
  size_t resources = 0;
  int parts = 0;
  for (;; ++parts) {
    const cv::Push push = take();
    EXPECT_EQ(push.push_id(), 1U);
    EXPECT_LT(push.ByteSizeLong(), ProxySession::kPartBytes + 110'000);
    resources += static_cast<size_t>(push.upsert_size());
    EXPECT_EQ(push.initial_complete(), !push.more());
    EXPECT_EQ(push.remove_size(), push.more() ? 0 : 1);
    EXPECT_FALSE(ack(1) && push.more()) << "an Ack before the end";
    if (!push.more()) break;
    // The set changes while parts of the older one are on their way: they stay of one piece.
    session_.want(set_of({one("r100", 1000)}));
  }
  EXPECT_EQ(resources, 50U);
  EXPECT_GE(parts, 4);
}

TEST_F(ProxySessionTest, ViolationsEndTheStream) {
  EXPECT_FALSE(session_.on_report({}));
  EXPECT_FALSE(ack(1));
  EXPECT_FALSE(session_.on_hello({})) << "no node";
  hello();
  cv::Hello again;
  again.mutable_node()->set_id("n");
  EXPECT_FALSE(session_.on_hello(again));
  session_.want(set_of({}));
  take();
  EXPECT_FALSE(ack(2));
  EXPECT_TRUE(ack(1));
  EXPECT_FALSE(ack(1));
}

TEST_F(ProxySessionTest, FactsHoldTheLatestOfEverything) {
  auto listener = std::make_shared<translate::Resource>();
  listener->kind = cv::KIND_LISTENER;
  listener->name = "web";
  listener->version = 5;
  session_.want(set_of({listener}));
  hello();
  take();
  cv::Report report;
  report.add_listeners()->set_name("web");
  report.mutable_listeners(0)->set_state(cv::ListenerState::BIND_FAILED);
  report.add_listeners()->set_name("old");
  report.set_lifecycle(cv::LIFECYCLE_READY);
  ASSERT_TRUE(session_.on_report(report));
  report.Clear();
  report.add_listeners()->set_name("web");
  report.mutable_listeners(0)->set_state(cv::ListenerState::BOUND);
  ASSERT_TRUE(session_.on_report(report));
  ASSERT_TRUE(ack(1));
  ASSERT_EQ(session_.facts().listeners_size(), 1) << "what is not in its set is forgotten";
  EXPECT_EQ(session_.facts().listeners(0).state(), cv::ListenerState::BOUND);
  EXPECT_EQ(session_.facts().lifecycle(), cv::LIFECYCLE_READY);
}

TEST(ResourceSet, SharesWhatDidNotChange) {
  const auto a = one("a", 1);
  const ResourceSetPtr first = set_of({a, one("b", 2)});
  const ResourceSetPtr second = set_of({a, one("b", 2), one("c", 3)}, first);
  EXPECT_EQ(*first->resources().begin(), *second->resources().begin());
  EXPECT_EQ(*std::next(first->resources().begin()), *std::next(second->resources().begin()))
      << "equal content in another object";
  EXPECT_EQ(second->digest(), 1U ^ 2U ^ 3U);
  EXPECT_EQ(second->difference_from(first)->upsert.size(), 1U);
  EXPECT_EQ(first->difference_from(second)->remove.size(), 1U);
  EXPECT_EQ(second->difference_from(ResourceSetPtr())->upsert.size(), 3U);
  EXPECT_TRUE(second->has(cv::KIND_UPSTREAM, "c"));
  EXPECT_FALSE(second->has(cv::KIND_UPSTREAM, "d"));
}

TEST(ResourceSet, ContradictingKnownVersionsAreNotBelieved) {
  google::protobuf::RepeatedPtrField<cv::KnownVersion> known;
  for (const uint64_t version : {1, 2}) {
    known.Add()->mutable_key()->set_name("a");
    known.rbegin()->set_version(version);
  }
  const auto list = known_resources(known);
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(list[0].version, 0U);
}

}  // namespace
}  // namespace headgate::publish
