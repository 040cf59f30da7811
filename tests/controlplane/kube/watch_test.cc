// watch_test.cc -- whatever the API server does, the sink ends up with its objects, and hears of no change twice.
#include "controlplane/kube/watch.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <map>
#include <mutex>

#include "kubernetes/core.pb.h"
#include "tests/controlplane/kube/api_fixture.h"
#include "tests/support/temp_folder.h"

namespace headgate::kube {
namespace {

// name -> the annotation "v" of each object, and a log of what was told.
class RecordingSink final : public ObjectSink {
 public:
  void on_replace(ObjectKind, std::vector<ObjectPtr> objects) override {
    const std::lock_guard lock(mutex_);
    objects_.clear();
    for (const auto& object : objects) keep(*object);
    log_.push_back("replace " + std::to_string(objects.size()));
    changed_.notify_all();
  }
  void on_upsert(ObjectKind, ObjectPtr object) override {
    const std::lock_guard lock(mutex_);
    log_.push_back("upsert " + keep(*object));
    changed_.notify_all();
  }
  void on_delete(ObjectKind, std::string_view name_space, std::string_view name) override {
    const std::lock_guard lock(mutex_);
    const std::string key = std::string(name_space) + "/" + std::string(name);
    objects_.erase(key);
    log_.push_back("delete " + key);
    changed_.notify_all();
  }

  template <typename Condition>
  bool wait(const Condition& condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10), [&] { return condition(objects_); });
  }
  bool wait_for(const std::map<std::string, std::string>& expected) {
    return wait([&](const auto& objects) { return objects == expected; });
  }
  bool wait_for_log(const std::string& line, size_t times = 1) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(10),
                             [&] { return static_cast<size_t>(std::count(log_.begin(), log_.end(), line)) >= times; });
  }
  std::vector<std::string> log() {
    const std::lock_guard lock(mutex_);
    return log_;
  }

 private:
  std::string keep(const google::protobuf::Message& object) {
    const auto& service = static_cast<const kubernetes::Service&>(object);
    const std::string key = service.metadata().namespace_() + "/" + service.metadata().name();
    const auto& annotations = service.metadata().annotations();
    const auto found = annotations.find("v");
    objects_[key] = found == annotations.end() ? "" : found->second;
    return key;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> objects_;
  std::vector<std::string> log_;
};

class WatchTest : public ApiTest {
 protected:
  WatchTest() : transport(config_of(server)) {
    options.kind = ObjectKind::kService;
    options.backoff = kQuick;
    options.absent = std::chrono::milliseconds(20);
    options.short_watch = std::chrono::milliseconds(1);
  }
  std::string put(const std::string& name, const std::string& value, const std::string& name_space = "shop") {
    auto json = object(name_space, name);
    json["metadata"]["annotations"]["v"] = value;
    return server.put("services", json);
  }
  void start() {
    watch = std::make_unique<Watch>(transport, sink, options);
    ASSERT_TRUE(watch->start());
  }

  Transport transport;
  RecordingSink sink;
  WatchOptions options;
  std::unique_ptr<Watch> watch;  // the first to go
};

TEST_F(WatchTest, ListThenChanges) {
  put("a", "1");
  start();
  EXPECT_TRUE(sink.wait_for({{"shop/a", "1"}}));
  put("b", "1");
  put("a", "2");
  EXPECT_TRUE(sink.wait_for({{"shop/a", "2"}, {"shop/b", "1"}}));
  server.remove("services", "shop", "a");
  EXPECT_TRUE(sink.wait_for({{"shop/b", "1"}}));
  const auto requests = server.requests();
  ASSERT_EQ(requests.size(), 2U);
  EXPECT_EQ(requests[0], "GET /api/v1/services?resourceVersion=0");
  EXPECT_TRUE(requests[1].starts_with("GET /api/v1/services?watch=1&allowWatchBookmarks=true&resourceVersion=101&timeoutSeconds="));
  EXPECT_EQ(sink.log(), (std::vector<std::string>{"replace 1", "upsert shop/b", "upsert shop/a", "delete shop/a"}));
}

TEST_F(WatchTest, OneNamespaceAndSelectors) {
  put("a", "1");
  put("a", "1", "other");
  options.name_space = "shop";
  options.label_selector = "app=web";
  options.field_selector = "type=x/y";
  start();
  EXPECT_TRUE(sink.wait_for({{"shop/a", "1"}}));
  put("b", "1", "other");
  put("b", "1");
  EXPECT_TRUE(sink.wait_for({{"shop/a", "1"}, {"shop/b", "1"}}));
  EXPECT_EQ(server.requests()[0], "GET /api/v1/namespaces/shop/services?resourceVersion=0&labelSelector=app%3Dweb"
                                  "&fieldSelector=type%3Dx/y");
}

TEST_F(WatchTest, EventsSplitAtEveryByte) {
  put("a", "äöü€");
  server.split_at(1);
  start();
  EXPECT_TRUE(sink.wait_for({{"shop/a", "äöü€"}}));
  put("a", "𝄞\\\"}");
  EXPECT_TRUE(sink.wait_for({{"shop/a", "𝄞\\\"}"}}));
}

TEST_F(WatchTest, AnEndInOrderGoesOnWithoutAGap) {
  start();
  EXPECT_TRUE(sink.wait_for_log("replace 0"));
  EXPECT_TRUE(server.wait_for_watches(1));
  const std::string version = put("a", "1");
  EXPECT_TRUE(sink.wait_for({{"shop/a", "1"}}));
  server.on_request([&](const std::string& line) {
    if (line.find("resourceVersion=" + version) != std::string::npos) put("a", "2");
  });
  server.end_watches();
  EXPECT_TRUE(sink.wait_for({{"shop/a", "2"}}));
  EXPECT_EQ(server.count("?resourceVersion"), 1U);  // one list
  EXPECT_EQ(sink.log(), (std::vector<std::string>{"replace 0", "upsert shop/a", "upsert shop/a"}));
}

TEST_F(WatchTest, BookmarksMoveTheVersion) {
  start();
  EXPECT_TRUE(server.wait_for_watches(1));
  server.bookmark();
  for (int i = 0; i < 1000 && watch->counts().bookmarks == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  const std::string version = server.version();
  server.end_watches();
  EXPECT_TRUE(server.wait_for("watch=1&allowWatchBookmarks=true&resourceVersion=" + version + "&", 1));
  EXPECT_EQ(sink.log(), (std::vector<std::string>{"replace 0"}));
}

TEST_F(WatchTest, GoneInTheStreamListsTheNewest) {
  put("a", "1");
  put("b", "1");
  start();
  EXPECT_TRUE(sink.wait_for({{"shop/a", "1"}, {"shop/b", "1"}}));
  EXPECT_TRUE(server.wait_for_watches(1));
  // Deleted while nobody watched: what a list does not have is gone.
  bool once = true;
  server.on_request([&](const std::string& line) {
    if (line.find("watch=1") == std::string::npos && std::exchange(once, false)) server.remove("services", "shop", "a");
  });
  server.compact();
  EXPECT_TRUE(sink.wait_for({{"shop/b", "1"}}));
  EXPECT_EQ(server.count("GET /api/v1/services?resourceVersion="), 2U);
  EXPECT_EQ(server.count("GET /api/v1/services?resourceVersion=0"), 1U);
  put("c", "1");
  EXPECT_TRUE(sink.wait_for({{"shop/b", "1"}, {"shop/c", "1"}}));
}

TEST_F(WatchTest, GoneAsAnAnswerListsTheNewest) {
  server.answer("watch=1", 1, 410, R"({"kind":"Status","code":410,"reason":"Expired"})");
  start();
  EXPECT_TRUE(sink.wait_for_log("replace 0", 2));
  EXPECT_TRUE(server.requests()[2].ends_with("?resourceVersion="));
}

TEST_F(WatchTest, OverloadDoesNotListAgain) {
  server.answer("watch=1", 2, 429, "", "1");
  server.answer("watch=1", 2, 500, "");
  start();
  EXPECT_TRUE(server.wait_for_watches(1));
  EXPECT_EQ(server.count("watch=1"), 5U);
  EXPECT_EQ(server.count("services?resourceVersion"), 1U);
  EXPECT_EQ(watch->counts().failures, 4U);
}

TEST_F(WatchTest, OverloadAsAnEventDoesNotListAgain) {
  start();
  EXPECT_TRUE(server.wait_for_watches(1));
  server.send_to_watches(R"({"type":"ERROR","object":{"kind":"Status","code":500,"reason":"InternalError"}})" "\n");
  EXPECT_TRUE(server.wait_for("watch=1", 2));
  EXPECT_EQ(server.count("services?resourceVersion"), 1U);
}

TEST_F(WatchTest, OtherRefusalsListAgain) {
  server.answer("services?resourceVersion", 2, 403, R"({"kind":"Status","reason":"Forbidden"})");
  server.answer("watch=1", 1, 400, "");
  start();
  EXPECT_TRUE(sink.wait_for_log("replace 0", 2));
  EXPECT_EQ(server.count("services?resourceVersion"), 4U);
  EXPECT_FALSE(watch->counts().failures == 0);
}

TEST_F(WatchTest, ARestartOfTheServerLosesNothing) {
  put("a", "1");
  start();
  EXPECT_TRUE(sink.wait_for({{"shop/a", "1"}}));
  EXPECT_TRUE(server.wait_for_watches(1));
  server.stop();
  put("b", "1");
  server.remove("services", "shop", "a");
  for (int i = 0; i < 1000 && watch->counts().failures < 2; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  server.start();
  EXPECT_TRUE(sink.wait_for({{"shop/b", "1"}}));
  EXPECT_EQ(server.count("services?resourceVersion"), 1U);
}

TEST_F(WatchTest, ABrokenConnectionGoesOn) {
  start();
  for (int i = 1; i <= 5; ++i) {
    EXPECT_TRUE(server.wait_for_watches(1));
    put("a", std::to_string(i));
    EXPECT_TRUE(sink.wait_for({{"shop/a", std::to_string(i)}}));
    server.break_watches();
  }
  EXPECT_EQ(server.count("services?resourceVersion"), 1U);
}

TEST_F(WatchTest, VeryShortWatchesBackOff) {
  options.short_watch = std::chrono::hours(1);
  start();
  EXPECT_TRUE(server.wait_for_watches(1));
  server.end_watches();
  EXPECT_TRUE(server.wait_for("watch=1", 2));
  EXPECT_EQ(watch->counts().failures, 1U);
}

TEST_F(WatchTest, WatchesThatEndAfterEachEvent) {
  server.end_watches_after(1);
  start();
  EXPECT_TRUE(sink.wait_for_log("replace 0"));
  for (int i = 0; i < 20; ++i) put("a" + std::to_string(i), "1");
  EXPECT_TRUE(sink.wait([](const auto& objects) { return objects.size() == 20; }));
  EXPECT_EQ(watch->counts().events, 20U);
}

TEST_F(WatchTest, KindsComeAndGo) {
  server.remove_collection("services");
  start();
  EXPECT_TRUE(sink.wait_for_log("replace 0"));
  EXPECT_TRUE(server.wait_for("services", 3));
  EXPECT_EQ(sink.log().size(), 1U);  // said once
  EXPECT_EQ(watch->counts().failures, 0U);
  server.add_collection("/api/v1", "services", "Service");
  put("a", "1");
  EXPECT_TRUE(sink.wait_for({{"shop/a", "1"}}));
  EXPECT_TRUE(server.wait_for_watches(1));
  server.remove_collection("services");
  EXPECT_TRUE(sink.wait_for({}));
  server.add_collection("/api/v1", "services", "Service");
  put("a", "2");
  EXPECT_TRUE(sink.wait_for({{"shop/a", "2"}}));
}

TEST_F(WatchTest, AnUnreadableObjectHidesNoOther) {
  auto wrong = object("shop", "wrong");
  wrong["spec"]["ports"] = "none";
  server.put("services", wrong);
  put("a", "1");
  start();
  EXPECT_TRUE(sink.wait_for({{"shop/a", "1"}}));
  auto changed = object("shop", "a");
  changed["spec"] = 7;
  server.put("services", changed);
  put("b", "1");
  EXPECT_TRUE(sink.wait_for({{"shop/a", "1"}, {"shop/b", "1"}}));
  EXPECT_EQ(watch->counts().undecodable, 2U);
  server.remove("services", "shop", "a");  // with the body that cannot be read
  EXPECT_TRUE(sink.wait_for({{"shop/b", "1"}}));
}

TEST_F(WatchTest, GarbageInTheStreamListsAgain) {
  put("a", "1");
  start();
  EXPECT_TRUE(server.wait_for_watches(1));
  server.send_to_watches("{\"type\":\"ADDED\",\"object\"\n");
  EXPECT_TRUE(sink.wait_for_log("replace 1", 2));
}

TEST_F(WatchTest, ACutOffListIsNotTaken) {
  put("a", "1");
  server.answer("services?resourceVersion", 1, 200, R"({"metadata":{"resourceVersion":"1"},"items":[)");
  server.answer("services?resourceVersion", 1, 200, R"({"items":[]})");
  start();
  EXPECT_TRUE(sink.wait_for({{"shop/a", "1"}}));
  EXPECT_EQ(sink.log(), std::vector<std::string>{"replace 1"});
}

TEST_F(WatchTest, ATokenThatRotatesInTheMiddleOfAStream) {
  const test::TempFolder folder;
  folder.write("token", "one");
  server.require_token("one");
  Config config = config_of(server);
  config.token_file = folder.at("token");
  Transport with_token(config);
  Watch authorized(with_token, sink, options);
  ASSERT_TRUE(authorized.start());
  EXPECT_TRUE(server.wait_for_watches(1));
  folder.replace("token", "two");
  server.require_token("two");
  put("a", "1");  // the stream goes on
  EXPECT_TRUE(sink.wait_for({{"shop/a", "1"}}));
  server.end_watches();
  EXPECT_TRUE(server.wait_for_watches(0));
  put("a", "2");
  EXPECT_TRUE(sink.wait_for({{"shop/a", "2"}}));
  EXPECT_EQ(server.count("services?resourceVersion"), 1U);
}

TEST_F(WatchTest, StopWhereverItWaits) {
  // In the stream, in a back-off, at a server that does not answer, between lists of a kind that is not there.
  start();
  EXPECT_TRUE(server.wait_for_watches(1));
  watch->stop();
  options.backoff = {.first = std::chrono::hours(1)};
  server.answer("watch=1", 1, 500, "");
  start();
  for (int i = 0; i < 1000 && watch->counts().failures == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
  watch->stop();
  options.absent = std::chrono::hours(1);
  server.remove_collection("services");
  start();
  EXPECT_TRUE(server.wait_for("services", 4));
  watch->stop();
  watch->stop();
}

}  // namespace
}  // namespace headgate::kube
