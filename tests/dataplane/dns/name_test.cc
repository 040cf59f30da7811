#include "dataplane/dns/name.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace headgate::dns {
namespace {

std::string text_of(std::string_view text, std::string_view origin = ".") {
  const auto base = Name::parse(origin);
  if (!base.has_value()) return "bad origin";
  const auto name = Name::parse(text, base->view());
  return name.has_value() ? name->to_string() : std::string("error: ") + name.error().detail;
}

TEST(Name, ParsesAndPrints) {
  struct Case {
    std::string text, origin, expected;
  };
  const std::string label63(63, 'a');
  const std::string name255 = label63 + "." + label63 + "." + label63 + "." + std::string(61, 'b') + ".";
  const Case cases[] = {
      {"www.lan", ".", "www.lan."},
      {"www.lan.", "example.", "www.lan."},
      {"www", "lan.", "www.lan."},
      {".", "lan.", "."},
      {"WwW.LaN", ".", "WwW.LaN."},
      {"a\\.b.lan", ".", "a\\.b.lan."},
      {"a\\046b.lan", ".", "a\\.b.lan."},
      {"a\\032b.lan", ".", "a\\032b.lan."},
      {"\\255\\000.lan", ".", "\\255\\000.lan."},
      {"*.lan", ".", "*.lan."},
      {"_http._tcp.lan", ".", "_http._tcp.lan."},
      {"a\\@\\;\\(.lan", ".", "a\\@\\;\\(.lan."},
      {label63 + ".", ".", label63 + "."},
      {name255, ".", name255},
      {"", ".", "error: empty name"},
      {"a..b", ".", "error: empty label in a name"},
      {".a", ".", "error: empty label in a name"},
      {"..", ".", "error: empty label in a name"},
      {label63 + "a.", ".", "error: label over 63 bytes"},
      {"c" + name255, ".", "error: label over 63 bytes"},
      {"c." + name255, ".", "error: name over 255 bytes"},
      {name255.substr(0, name255.size() - 1), "x.", "error: name over 255 bytes"},
      {"a\\", ".", "error: bad escape in a name"},
      {"a\\25", ".", "error: bad escape in a name"},
      {"a\\256", ".", "error: bad escape in a name"},
      {"a\\1x2", ".", "error: bad escape in a name"},
  };
  for (const Case& c : cases) EXPECT_EQ(text_of(c.text, c.origin), c.expected) << c.text;
}

TEST(Name, EveryByteReadsBack) {
  std::array<uint8_t, 3> wire = {1, 0, 0};
  for (int byte = 0; byte < 256; ++byte) {
    wire[1] = static_cast<uint8_t>(byte);
    const NameView view((Bytes(wire)));
    const auto back = Name::parse(view.to_string());
    ASSERT_TRUE(back.has_value()) << view.to_string();
    EXPECT_EQ(as_text(back->view().bytes()), as_text(wire)) << byte;
  }
}

TEST(Name, ComparesWithoutCase) {
  EXPECT_EQ(*Name::parse("WWW.Example.COM"), *Name::parse("www.example.com"));
  EXPECT_FALSE(*Name::parse("www.example.com") == *Name::parse("www.example.org"));
  // Only ASCII letters: '@' and '`', '[' and '{' differ by the same bit.
  EXPECT_FALSE(*Name::parse("\\@\\@\\@\\@\\@\\@\\@\\@\\@") == *Name::parse("`````````"));
  EXPECT_FALSE(*Name::parse("[[[[[[[[[") == *Name::parse("{{{{{{{{{"));
  EXPECT_FALSE(*Name::parse("\\192\\193\\192\\193\\192\\193\\192\\193\\192") ==
               *Name::parse("\\224\\225\\224\\225\\224\\225\\224\\225\\224"));
}

TEST(Name, FoldsWordsLikeBytes) {
  for (int byte = 0; byte < 256; ++byte) {
    const auto one = static_cast<uint64_t>(byte);
    for (int shift = 0; shift < 64; shift += 8) {
      const uint64_t around = ~uint64_t{0} & ~(uint64_t{0xff} << shift);
      EXPECT_EQ(fold_word(one << shift | around), uint64_t{fold_byte(static_cast<uint8_t>(byte))} << shift | around);
      EXPECT_EQ(fold_word(one << shift), uint64_t{fold_byte(static_cast<uint8_t>(byte))} << shift);
    }
  }
}

TEST(Name, KnowsItsAncestors) {
  const Name name = *Name::parse("a.b.Lan");
  EXPECT_TRUE(name.view().is_within(Name::parse("b.lan")->view()));
  EXPECT_TRUE(name.view().is_within(name.view()));
  EXPECT_TRUE(name.view().is_within(NameView()));
  EXPECT_FALSE(name.view().is_within(Name::parse("x.a.b.lan")->view()));
  EXPECT_FALSE(Name::parse("xb.lan")->view().is_within(Name::parse("b.lan")->view()));
  // The bytes end alike, but not at a label: "\1a\3\001b\0" against "\1b\0".
  EXPECT_FALSE(Name::parse("\\003\\001b")->view().is_within(Name::parse("b")->view()));
  EXPECT_EQ(name.view().labels(), 3U);
  EXPECT_EQ(name.view().suffix(1).to_string(), "Lan.");
  EXPECT_EQ(name.view().suffix(0).to_string(), ".");
}

TEST(Name, ReversesAddresses) {
  const uint8_t four[] = {192, 0, 2, 10};
  EXPECT_EQ(Name::reverse(four).to_string(), "10.2.0.192.in-addr.arpa.");
  std::array<uint8_t, 16> six = {0x20, 0x01, 0x0d, 0xb8};
  six[15] = 0x1f;
  EXPECT_EQ(Name::reverse(six).to_string(),
            "f.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.");
}

// `message` with a name at `at`; empty: malformed.
std::string read_at(std::vector<uint8_t> message, size_t at, size_t* end = nullptr) {
  ByteReader reader(message);
  reader.seek(at);
  Name name;
  if (!read_name(reader, name)) return "";
  if (end != nullptr) *end = reader.position();
  return name.to_string();
}

TEST(Name, ReadsCompression) {
  // RFC 1035 4.1.4: F.ISI.ARPA at 20, FOO.F.ISI.ARPA at 40, ARPA at 64, the root at 92.
  std::vector<uint8_t> message(93, 0xff);
  const std::string first("\1F\3ISI\4ARPA\0", 12);
  std::copy(first.begin(), first.end(), message.begin() + 20);
  const std::string second("\3FOO\xc0\x14", 6);
  std::copy(second.begin(), second.end(), message.begin() + 40);
  message[64] = 0xc0;
  message[65] = 26;
  message[92] = 0;
  size_t end = 0;
  EXPECT_EQ(read_at(message, 20, &end), "F.ISI.ARPA.");
  EXPECT_EQ(end, 32U);
  EXPECT_EQ(read_at(message, 40, &end), "FOO.F.ISI.ARPA.");
  EXPECT_EQ(end, 46U);
  EXPECT_EQ(read_at(message, 64, &end), "ARPA.");
  EXPECT_EQ(end, 66U);
  EXPECT_EQ(read_at(message, 92, &end), ".");
  EXPECT_EQ(end, 93U);
}

TEST(Name, RejectsBadCompression) {
  EXPECT_EQ(read_at({0xc0, 0}, 0), "");          // to itself
  EXPECT_EQ(read_at({1, 'a', 0xc0, 0}, 0), "");  // to its own start
  EXPECT_EQ(read_at({1, 'a', 0xc0, 2}, 2), "");
  EXPECT_EQ(read_at({0xc0, 2, 1, 'a', 0}, 0), "");  // forward
  EXPECT_EQ(read_at({0xc0, 2, 0xc0, 0}, 2), "");    // two in a loop
  EXPECT_EQ(read_at({0, 0xc0}, 1), "");             // half a pointer
  EXPECT_EQ(read_at({0xc0, 0xff}, 0), "");          // past the end
  EXPECT_EQ(read_at({0x40, 'a', 0}, 0), "");        // label types 01 and 10
  EXPECT_EQ(read_at({0x80, 'a', 0}, 0), "");
  EXPECT_EQ(read_at({3, 'a', 'b'}, 0), "");  // label past the end
  EXPECT_EQ(read_at({1, 'a'}, 0), "");       // no root
  EXPECT_EQ(read_at({}, 0), "");
  std::vector<uint8_t> longest;  // 256 bytes: one too many
  for (int i = 0; i < 127; ++i) longest.insert(longest.end(), {1, 'a'});
  longest.push_back(0);
  EXPECT_NE(read_at(longest, 0), "");
  longest.insert(longest.begin(), {1, 'b'});
  EXPECT_EQ(read_at(longest, 0), "");
}

TEST(Name, FollowsSixteenPointersAndNoMore) {
  std::vector<uint8_t> message = {1, 'a', 0};
  size_t previous = 0;
  for (int i = 0; i < 17; ++i) {
    const size_t at = message.size();
    message.insert(message.end(), {0xc0, static_cast<uint8_t>(previous)});
    previous = at;
    EXPECT_EQ(read_at(message, at), i < 16 ? "a." : "") << i;
  }
}

TEST(Name, CompressesAndReadsBack) {
  const std::vector<std::string> texts = {
      "www.Example.com.", "example.COM.", "mail.example.com.", ".",
      "www.example.com.", "com.",         "other.org.",        "a.www.example.com."};
  std::vector<Name> names;
  for (const auto& text : texts) names.push_back(*Name::parse(text));
  std::array<uint8_t, 256> buffer;
  ByteWriter out(buffer);
  NameCompressor compressor;
  std::vector<size_t> offsets, targets;
  for (const Name& name : names) {
    offsets.push_back(out.size());
    targets.push_back(compressor.write(out, name.view()));
  }
  // 17 for the first, then 2, 5+2, 1, 2, 2, 11, 2+2
  EXPECT_EQ(out.size(), 17U + 2 + 7 + 1 + 2 + 2 + 11 + 4);
  for (size_t i = 0; i < names.size(); ++i) {
    for (const size_t at : {offsets[i], targets[i]}) {
      ByteReader reader(out.written());
      reader.seek(at);
      Name back;
      ASSERT_TRUE(read_name(reader, back));
      EXPECT_EQ(back, names[i]) << texts[i];
    }
  }
}

}  // namespace
}  // namespace headgate::dns
