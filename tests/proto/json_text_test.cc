#include "proto/json/json_text.h"

#include <gtest/gtest.h>

namespace headgate::json {
namespace {

std::string errors_of(std::string text) {
  Document doc;
  if (doc.read(std::move(text))) return "";
  std::string out;
  for (const SyntaxError& error : doc.errors()) {
    const TextPosition at = doc.position(error.offset);
    out += std::to_string(at.line) + ":" + std::to_string(at.column) + " " +
           (error.node == kNoNode ? "$" : doc.path(error.node)) + " " + error.message + "\n";
  }
  return out;
}

TEST(JsonText, Values) {
  Document doc;
  ASSERT_TRUE(doc.read(R"(/* a */ { "a": [1, -2.5e+3, true, false, null], // b
    "s": "x\"\\\/\b\f\n\r\té😀" } // end)"));
  const NodeId list = doc.find(doc.root(), "a");
  ASSERT_NE(list, kNoNode);
  EXPECT_EQ(doc.node(list).size, 5U);
  const NodeId second = doc.next(doc.first(list));
  EXPECT_EQ(doc.node(second).text, "-2.5e+3");
  EXPECT_EQ(doc.path(second), "$.a[1]");
  const NodeId text = doc.find(doc.root(), "s");
  EXPECT_EQ(doc.node(text).text, "x\"\\/\b\f\n\r\t\xc3\xa9\xf0\x9f\x98\x80");
  EXPECT_EQ(doc.position(doc.node(text).offset).line, 2U);
  EXPECT_EQ(doc.position(doc.node(text).offset).column, 10U);
  EXPECT_EQ(doc.find(doc.root(), "none"), kNoNode);
}

TEST(JsonText, OddKeysInPaths) {
  Document doc;
  ASSERT_TRUE(doc.read(R"({"cache.lan": {"A": 1}, "1st": 2, "": 3})"));
  EXPECT_EQ(doc.path(doc.find(doc.first(doc.root()), "A")), "$[\"cache.lan\"].A");
  EXPECT_EQ(doc.path(doc.find(doc.root(), "1st")), "$[\"1st\"]");
  EXPECT_EQ(doc.path(doc.find(doc.root(), "")), "$[\"\"]");
}

TEST(JsonText, Refused) {
  struct Vector {
    const char* text;
    const char* says;
  };
  for (const Vector& vector : std::initializer_list<Vector>{
           {"", "1:1 $ the file is empty"},
           {"  // only\n", "2:1 $ the file is empty"},
           {"{", "expected '}' for the '{' of line 1"},
           {"{\"a\":1,}", "1:7 $ a comma after the last element"},
           {"[1,]", "1:3 $ a comma after the last element"},
           {"{\"a\":1 \"b\":2}", "1:8 $ expected ',' or '}'"},
           {"{\"a\":1,\"a\":2}", "1:8 $.a the key \"a\" stands here twice"},
           {"{\"a\" 1}", "expected ':' after the key \"a\""},
           {"{a:1}", "expected a key in double quotes"},
           {"{\"a\":01}", "1:6 $ not a JSON number"},
           {"{\"a\":1.}", "not a JSON number"},
           {"{\"a\":10s}", "not a JSON number"},
           {"{\"a\":+1}", "expected a value, found '+'"},
           {"{\"a\":NaN}", "expected a value, found 'N'"},
           {"{\"a\":tru}", "words must be true, false or null"},
           {"{\"a\":truely}", "words must be"},
           {"{\"a\":'x'}", "expected a value, found '''"},
           {"{\"a\":\"x", "string without its closing quote"},
           {"{\"a\":\"x\n\"}", "string without its closing quote"},
           {"{\"a\":\"\\x\"}", "unknown escape"},
           {"{\"a\":\"\\u12\"}", "four hexadecimal digits"},
           {"{\"a\":\"\\ud800\"}", "half a surrogate pair"},
           {"{\"a\":\"\\udc00\"}", "half a surrogate pair"},
           {"{\"a\":\"\\ud800\\u0041\"}", "half a surrogate pair"},
           {"{\"a\":\"\\u0000\"}", "NUL"},
           {"{\"a\":\"\x01\"}", "control character"},
           {"{\"a\":\"\xff\"}", "invalid UTF-8"},
           {"{\"a\":\"\xc0\x80\"}", "invalid UTF-8"},
           {"{\"a\":\"\xed\xa0\x80\"}", "invalid UTF-8"},
           {"{\"a\":\"\xf4\x90\x80\x80\"}", "invalid UTF-8"},
           {"// \xff\n{}", "invalid UTF-8 in a comment"},
           {"/* {}", "comment without its end"},
           {"{} x", "expected the end of the file, found 'x'"},
           {"{} /", "expected a value or a comment"},
           {"[,1]", "expected a value, found ','"},
           {"{,}", "expected a value, found ','"},
           {"{\"a\":}", "expected a value, found '}'"},
           {"{\"a\":\n", "expected a value, found the end of the file"},
       }) {
    const std::string errors = errors_of(vector.text);
    EXPECT_NE(errors.find(vector.says), std::string::npos) << vector.text << "\nsaid: " << errors;
  }
}

TEST(JsonText, SeveralProblemsAtOnce) {
  EXPECT_EQ(errors_of("{\"a\":1,\n\"a\":[1,],\n\"b\":{\"c\":1,\"c\":2,}}"),
            "2:7 $.a a comma after the last element\n"
            "2:1 $.a the key \"a\" stands here twice\n"
            "3:12 $.b.c the key \"c\" stands here twice\n"
            "3:17 $.b a comma after the last element\n");
}

TEST(JsonText, PathOfAnErrorInside) {
  EXPECT_NE(errors_of("{\"x\":[0,{\"y\":{\"z\" 1}}]}").find("$.x[1].y expected ':'"), std::string::npos);
}

TEST(JsonText, Depth) {
  EXPECT_EQ(errors_of(std::string(64, '[') + std::string(64, ']')), "");
  EXPECT_NE(errors_of(std::string(65, '[') + std::string(65, ']')).find("deeper than 64"), std::string::npos);
}

TEST(JsonText, Size) {
  EXPECT_NE(errors_of(std::string(kMaxText + 1, ' ')).find("larger than 64 MiB"), std::string::npos);
}

TEST(JsonText, ByteOrderMark) { EXPECT_EQ(errors_of("\xef\xbb\xbf{}"), ""); }

}  // namespace
}  // namespace headgate::json
