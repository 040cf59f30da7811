// answer() against NaiveZones over random zones and queries.
#include <gtest/gtest.h>

#include <cstdlib>

#include "dataplane/base/number.h"
#include "dataplane/base/random.h"
#include "tests/dataplane/dns/dns_fixture.h"
#include "tests/dataplane/dns/naive_answer.h"

namespace headgate::dns {
namespace {

class RandomZones {
 public:
  explicit RandomZones(Random& random) : random_(random) {
    open("z");
    if (random_.below(2) == 0) open("a.z");
    const uint64_t count = random_.below(30);
    for (uint64_t i = 0; i < count; ++i) add_one();
  }

  // Few labels, so that names meet, nest and fall under wildcards and cuts.
  std::string name() {
    static constexpr const char* kLabels[] = {"a", "b", "C", "*", "ns"};
    std::string text = "z.";
    for (uint64_t depth = random_.below(5); depth > 0; --depth) {
      text = std::string(kLabels[random_.below(5)]) + "." + text;
    }
    return random_.below(40) == 0 ? "outside." : text;
  }

  ZoneSetBuilder builder{};
  NaiveZones naive{};

 private:
  void open(const std::string& apex) {
    const auto soa = parse_rdata(kTypeSoa, "ns." + apex + ". admin.z. 1 2 3 4 " + std::to_string(random_.below(600)));
    add(apex + ".", kTypeSoa, *soa);
    naive.open(name_of(apex).view());
    apexes_.push_back(apex + ".");
  }
  void add(const std::string& owner, uint16_t type, const Rdata& rdata) {
    std::string folded = owner;
    for (char& c : folded) c = static_cast<char>(fold_byte(static_cast<uint8_t>(c)));
    auto& types = types_[folded];
    // What a zone may hold: CNAMEs alone, one SOA, no NS or SOA of wildcards.
    if (type == kTypeCname ? !types.empty() : types.contains(kTypeCname)) return;
    if (owner.starts_with("*.") && type == kTypeNs) return;
    types.insert(type);
    EXPECT_TRUE(builder.add(name_of(owner).view(), type, 100 + type, rdata).has_value());
    naive.add(name_of(owner).view(), type, 100 + type, rdata);
  }
  void add_one() {
    static constexpr uint16_t kTypes[] = {kTypeA,     kTypeA,     kTypeAaaa, kTypeTxt, kTypeMx,
                                          kTypeCname, kTypeCname, kTypeNs,   kTypeDs};
    std::string owner = name();
    if (owner == "outside.") return;
    const uint16_t type = kTypes[random_.below(std::size(kTypes))];
    const auto number = std::to_string(random_.below(4));
    std::string text;
    switch (type) {
      case kTypeA: text = "192.0.2." + number; break;
      case kTypeAaaa: text = "2001:db8::" + number; break;
      case kTypeTxt: text = "t" + number; break;
      case kTypeMx: text = number + " " + name(); break;
      case kTypeDs: text = "1 8 2 AB0" + number; break;
      default: text = name(); break;
    }
    add(owner, type, *parse_rdata(type, text));
  }

  Random& random_;
  std::map<std::string, std::set<uint16_t>> types_{};
  std::vector<std::string> apexes_{};
};

uint64_t pick_seed() {
  const char* given = std::getenv("HG_SEED");
  const auto seed = given != nullptr ? parse_decimal<uint64_t>(given) : std::nullopt;
  return seed.value_or(Random().next());
}

TEST(AnswerProperty, EqualsTheNaiveAnswer) {
  const uint64_t seed = pick_seed();
  std::printf("HG_SEED=%llu\n", static_cast<unsigned long long>(seed));
  Random random(seed);
  static constexpr uint16_t kAsked[] = {kTypeA,  kTypeAaaa, kTypeTxt, kTypeMx,  kTypeCname,
                                        kTypeNs, kTypeSoa,  kTypeDs,  kTypeAny, kTypeSrv};
  size_t truncated = 0;
  for (int zone = 0; zone < 1500; ++zone) {
    RandomZones random_zones(random);
    const ZoneSet zones = build_or_fail(random_zones.builder);
    for (int i = 0; i < 40; ++i) {
      Message query = query_for(random_zones.name(), kAsked[random.below(std::size(kAsked))], random.below(2) == 0);
      query.recursion_desired = random.below(2) == 0;
      const Message expected = random_zones.naive.respond(query);
      const Message actual = ask(zones, query, {.is_udp = false});
      const std::string what = "HG_SEED=" + std::to_string(seed) + " zone " + std::to_string(zone) + ": " +
                               query.questions[0].name.to_string() + " " + type_name(query.questions[0].type);
      ASSERT_EQ(actual.rcode, expected.rcode) << what;
      ASSERT_EQ(actual.authoritative, expected.authoritative) << what;
      ASSERT_EQ(actual.recursion_desired, expected.recursion_desired) << what;
      ASSERT_EQ(lines_of(actual.answers, true), lines_of(expected.answers, true)) << what;
      ASSERT_EQ(lines_of(actual.authorities, true), lines_of(expected.authorities, true)) << what;
      ASSERT_EQ(lines_of(actual.additionals, true), lines_of(expected.additionals, true)) << what;
      // A smaller buffer: whole RRsets of the same answer, TC when one of the first two sections lost any.
      std::vector<uint8_t> out(40 + random.below(200));
      const size_t size = answer(zones, write_message(query), out, {.is_udp = false});
      if (size == 0) continue;
      const auto cut = parse_message(Bytes(out).first(size));
      ASSERT_TRUE(cut.has_value()) << what;
      const bool complete =
          cut->answers.size() == actual.answers.size() && cut->authorities.size() == actual.authorities.size();
      ASSERT_TRUE(complete || cut->truncated) << what;
      ASSERT_TRUE(!cut->truncated || cut->additionals.size() < actual.additionals.size() || !complete) << what;
      truncated += cut->truncated ? 1 : 0;
    }
  }
  EXPECT_GT(truncated, 100U);
}

}  // namespace
}  // namespace headgate::dns
