// events_test.cc -- Events as the API takes them; repeats count, floods are cut, nothing waits.
#include "controlplane/kube/events.h"

#include <gtest/gtest.h>

#include "tests/controlplane/kube/api_fixture.h"

namespace headgate::kube {
namespace {

class EventsTest : public ApiTest {
 protected:
  EventsTest() : transport(config_of(server)) {
    options.controller = "headgate.dev/ingress-controller";
    options.instance = "headgate-0";
    options.refresh = std::chrono::milliseconds(10);
  }
  static Event event(const std::string& note, const std::string& name = "cart") {
    return {.regarding = {"networking.k8s.io/v1", "Ingress", "shop", name, "u-1"},
            .warning = true,
            .reason = "AnnotationNotSupported",
            .action = "Translate",
            .note = note};
  }
  template <typename Condition>
  static bool wait(const Condition& condition) {
    for (int i = 0; i < 2000 && !condition(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return condition();
  }

  Transport transport;
  EventOptions options;
};

TEST_F(EventsTest, AsTheApiTakesThem) {
  EventRecorder recorder(transport, options);
  ASSERT_TRUE(recorder.start());
  recorder.record(event("a note"));
  ASSERT_TRUE(wait([&] { return server.all("events").size() == 1; }));
  const auto json = server.all("events")[0];
  EXPECT_EQ(json["metadata"]["namespace"], "shop");
  EXPECT_TRUE(json["metadata"]["name"].get<std::string>().starts_with("cart."));
  EXPECT_EQ(json["regarding"]["kind"], "Ingress");
  EXPECT_EQ(json["regarding"]["uid"], "u-1");
  EXPECT_EQ(json["type"], "Warning");
  EXPECT_EQ(json["reason"], "AnnotationNotSupported");
  EXPECT_EQ(json["action"], "Translate");
  EXPECT_EQ(json["note"], "a note");
  EXPECT_EQ(json["reportingController"], "headgate.dev/ingress-controller");
  EXPECT_EQ(json["reportingInstance"], "headgate-0");
  EXPECT_TRUE(json["eventTime"].get<std::string>().ends_with("Z"));
}

TEST_F(EventsTest, RepeatsBecomeASeries) {
  EventRecorder recorder(transport, options);
  ASSERT_TRUE(recorder.start());
  for (int i = 0; i < 20; ++i) recorder.record(event("again"));
  recorder.record(event("another"));
  ASSERT_TRUE(wait([&] {
    for (const auto& json : server.all("events")) {
      if (json["note"] == "again" && json.contains("series")) return json["series"]["count"] == 20;
    }
    return false;
  }));
  EXPECT_EQ(server.all("events").size(), 2U);
  EXPECT_LT(server.count("PATCH"), 20U);
}

TEST_F(EventsTest, AnEventThatExpiredIsMadeAgain) {
  EventRecorder recorder(transport, options);
  ASSERT_TRUE(recorder.start());
  recorder.record(event("again"));
  ASSERT_TRUE(wait([&] { return server.all("events").size() == 1; }));
  const auto name = server.all("events")[0]["metadata"]["name"].get<std::string>();
  server.remove("events", "shop", name);
  recorder.record(event("again"));
  ASSERT_TRUE(wait([&] { return server.all("events").size() == 1; }));
  EXPECT_NE(server.all("events")[0]["metadata"]["name"], name);
}

TEST_F(EventsTest, OneObjectCannotFlood) {
  options.burst = 3;
  EventRecorder recorder(transport, options);
  ASSERT_TRUE(recorder.start());
  for (int i = 0; i < 10; ++i) recorder.record(event(std::to_string(i)));
  recorder.record(event("x", "other"));
  ASSERT_TRUE(wait([&] { return recorder.counts().written == 4; }));
  EXPECT_EQ(recorder.counts().limited, 7U);
}

TEST_F(EventsTest, AFullQueueDrops) {
  options.queue = 5;
  EventRecorder recorder(transport, options);  // not started: nobody takes
  for (int i = 0; i < 9; ++i) recorder.record(event("n"));
  EXPECT_EQ(recorder.counts().dropped, 4U);
}

TEST_F(EventsTest, RefusedAndCutNotes) {
  server.answer("POST", 1, 403, R"({"kind":"Status","reason":"Forbidden"})");
  EventRecorder recorder(transport, options);
  ASSERT_TRUE(recorder.start());
  recorder.record(event("refused"));
  ASSERT_TRUE(wait([&] { return recorder.counts().failed == 1; }));
  std::string note;
  for (int i = 0; i < 600; ++i) note += "ä";
  Event cluster = event("x" + note, "class");
  cluster.regarding.name_space.clear();
  recorder.record(cluster);
  ASSERT_TRUE(wait([&] { return server.all("events").size() == 1; }));
  const auto json = server.all("events")[0];
  EXPECT_EQ(json["metadata"]["namespace"], "default");
  EXPECT_EQ(json["note"].get<std::string>().size(), 999U);  // no half character
}

}  // namespace
}  // namespace headgate::kube
