// patch_test.cc -- changes of objects that somebody else changes at the same time.
#include "controlplane/kube/patch.h"

#include <gtest/gtest.h>

#include "tests/controlplane/kube/api_fixture.h"

namespace headgate::kube {
namespace {

using PatchTest = ApiTest;
constexpr const char* kPath = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses/cart";

bool set_x(Json& object) {
  if (child_of(child_of(object, "status"), "x") == 1) return false;
  object["status"]["x"] = 1;
  return true;
}

TEST_F(PatchTest, WritesOnlyTheStatusAndOnlyOnce) {
  auto ingress = object("shop", "cart");
  ingress["spec"]["unknown"] = {1, 2};
  server.put("ingresses", ingress);
  Transport transport(config_of(server));
  const Rest rest(transport);
  EXPECT_TRUE(update(rest, kPath, "/status", set_x).written);
  const auto now = *server.find("ingresses", "shop", "cart");
  EXPECT_EQ(now["status"]["x"], 1);
  EXPECT_EQ(now["spec"], ingress["spec"]);
  const auto again = update(rest, kPath, "/status", set_x);
  EXPECT_FALSE(again.written);
  EXPECT_TRUE(again.answer.ok());
  EXPECT_EQ(server.count("PUT"), 1U);
}

TEST_F(PatchTest, AStormOfConflicts) {
  server.put("ingresses", object("shop", "cart"));
  Transport transport(config_of(server));
  const Rest rest(transport);
  int storms = 3;
  server.on_request([&](const std::string& line) {
    if (!line.starts_with("PUT") || storms-- <= 0) return;
    auto other = object("shop", "cart");
    other["metadata"]["labels"]["n"] = std::to_string(storms);
    server.put("ingresses", other);
  });
  EXPECT_TRUE(update(rest, kPath, "/status", set_x).written);
  const auto now = *server.find("ingresses", "shop", "cart");
  EXPECT_EQ(now["status"]["x"], 1);
  EXPECT_EQ(now["metadata"]["labels"]["n"], "0");  // theirs was not lost
  EXPECT_EQ(server.count("PUT"), 4U);
  // One that does not end.
  storms = 1000;
  const auto outcome = update(rest, kPath, "/status", [](Json& json) {
    json["status"]["y"] = 1;
    return true;
  });
  EXPECT_FALSE(outcome.written);
  EXPECT_EQ(outcome.answer.code, 409);
  EXPECT_EQ(server.count("PUT"), 9U);
}

TEST_F(PatchTest, GoneAndGarbage) {
  Transport transport(config_of(server));
  const Rest rest(transport);
  EXPECT_EQ(update(rest, kPath, "/status", set_x).answer.code, 404);
  server.answer("cart", 1, 200, "[1]");
  EXPECT_EQ(update(rest, kPath, "/status", set_x).answer.error.code, Errc::kMalformed);
}

TEST_F(PatchTest, PatchesAndApply) {
  server.put("ingresses", object("shop", "cart"));
  Transport transport(config_of(server));
  const Rest rest(transport);
  EXPECT_TRUE(json_patch(rest, kPath, {{{"op", "add"}, {"path", "/spec"}, {"value", {{"a", 1}}}}}).ok());
  EXPECT_EQ(json_patch(rest, kPath, {{{"op", "test"}, {"path", "/spec/a"}, {"value", 2}}}).code, 422);
  EXPECT_TRUE(server_side_apply(rest, kPath, {{"spec", {{"b", 2}}}}, "headgate-controller", true).ok());
  EXPECT_EQ((*server.find("ingresses", "shop", "cart"))["spec"], (Json{{"a", 1}, {"b", 2}}));
  EXPECT_TRUE(server.requests().back().ends_with("?fieldManager=headgate-controller&force=true"));
}

}  // namespace
}  // namespace headgate::kube
