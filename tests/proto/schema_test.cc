#include <set>

#include "proto/json/print.h"
#include "proto/json/shape.h"
#include "tests/proto/config_fixture.h"

namespace headgate::json {
namespace {

TEST(Schema, FileInTheTreeIsWhatTheReaderAccepts) { expect_golden("proto/json/schema.json", print_schema()); }

TEST(Schema, IsJson) {
  Document doc;
  EXPECT_TRUE(doc.read(print_schema()));
}

// Independent of the writer: every object of the schema that lists its keys is closed, or says what else may stand
// there.
void expect_closed(const Document& doc, NodeId id) {
  const Node& node = doc.node(id);
  if (node.kind == NodeKind::kObject) {
    const NodeId type = doc.find(id, "type");
    if (type != kNoNode && doc.node(type).kind == NodeKind::kString && doc.node(type).text == "object") {
      EXPECT_NE(doc.find(id, "additionalProperties"), kNoNode) << doc.path(id);
    }
  }
  if (node.kind == NodeKind::kObject || node.kind == NodeKind::kArray) {
    for (NodeId child = doc.first(id); child != kNoNode; child = doc.next(child)) expect_closed(doc, child);
  }
}

TEST(Schema, ObjectsAreClosed) {
  Document doc;
  ASSERT_TRUE(doc.read(disk_text("proto/json/schema.json")));
  expect_closed(doc, doc.root());
}

// Every key that the schema names at the top level and for each handler is one the reader takes, and it takes no other.
TEST(Schema, KeysOfRules) {
  Document doc;
  ASSERT_TRUE(doc.read(disk_text("proto/json/schema.json")));
  const NodeId rule = doc.find(doc.find(doc.root(), "definitions"), "rule");
  size_t handlers = 0;
  for (NodeId one = doc.first(doc.find(rule, "oneOf")); one != kNoNode; one = doc.next(one)) {
    const NodeId properties = doc.find(one, "properties");
    const std::string handler(doc.node(doc.find(doc.find(properties, "handler"), "const")).text);
    ++handlers;
    for (NodeId key = doc.first(properties); key != kNoNode; key = doc.next(key)) {
      const std::string name(doc.node(key).key);
      if (name == "listener" || name == "handler") continue;
      const std::string text = R"({"listen": ["http://:1"], "dispatch": [{"listener": "http://:1", "handler": ")" +
                               handler + R"(", ")" + name + R"(": null}]})";
      const std::string problems = problems_of(read_text(text));
      EXPECT_EQ(problems.find("unknown key"), std::string::npos) << handler << " " << name << "\n" << problems;
      EXPECT_EQ(problems.find("has no meaning"), std::string::npos) << handler << " " << name << "\n" << problems;
      EXPECT_NE(problems.find("$.dispatch[0]." + name + ": expected"), std::string::npos)
          << handler << " " << name << "\n"
          << problems;
    }
  }
  EXPECT_EQ(handlers, 7U);
}

}  // namespace
}  // namespace headgate::json
