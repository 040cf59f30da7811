#include "dataplane/tls/ticket_keys.h"

#include <gtest/gtest.h>

namespace headgate::tls {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr WallTime kStart{hours(24 * 365 * 50) + minutes(17)};

Bytes id_of(const TicketKey& key) { return key.id(); }

TEST(TicketKeys, OneKeyEncryptsPerHour) {
  const auto keys = TicketKeys::make(kStart);
  const TicketKey* first = keys->encrypting(kStart);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(keys->encrypting(kStart + minutes(42)), first);
  const TicketKey* second = keys->encrypting(kStart + minutes(43));
  ASSERT_NE(second, nullptr);
  EXPECT_NE(second->id(), first->id());
  // Nobody rotated for two hours: no tickets rather than old keys.
  EXPECT_EQ(keys->encrypting(kStart + hours(2)), nullptr);
}

TEST(TicketKeys, AcceptedAnHourBeforeAndAfter) {
  const auto keys = TicketKeys::make(kStart);
  const Bytes current = id_of(keys->keys()[0]);
  const Bytes next = id_of(keys->keys()[1]);
  EXPECT_NE(keys->find(current, kStart), nullptr);
  EXPECT_NE(keys->find(next, kStart), nullptr);  // another replica's clock is ahead
  EXPECT_NE(keys->find(current, kStart + minutes(102)), nullptr);
  EXPECT_EQ(keys->find(current, kStart + minutes(103)), nullptr);
  EXPECT_EQ(keys->find(as_bytes("0123456789abcdef"), kStart), nullptr);
  EXPECT_EQ(keys->find(current.first(15), kStart), nullptr);
}

TEST(TicketKeys, RotationKeepsWhatIsStillNeeded) {
  const auto first = TicketKeys::make(kStart);
  EXPECT_EQ(TicketKeys::rotate(first, kStart + minutes(42)), first);  // nothing to do
  const auto second = TicketKeys::rotate(first, kStart + hours(1));
  ASSERT_EQ(second->keys().size(), 3U);
  EXPECT_EQ(second->keys()[0].id(), first->keys()[0].id());
  EXPECT_EQ(second->keys()[1].id(), first->keys()[1].id());
  EXPECT_EQ(TicketKeys::rotate(second, kStart + hours(1)), second);
  const auto third = TicketKeys::rotate(second, kStart + hours(2));
  ASSERT_EQ(third->keys().size(), 3U);
  EXPECT_EQ(third->keys()[0].id(), second->keys()[1].id());
  EXPECT_NE(third->keys()[2].id(), second->keys()[2].id());
  // After a long sleep nothing old survives.
  const auto later = TicketKeys::rotate(third, kStart + hours(100));
  ASSERT_EQ(later->keys().size(), 2U);
  for (const TicketKey& key : third->keys()) EXPECT_EQ(later->find(id_of(key), kStart + hours(100)), nullptr);
  EXPECT_NE(later->encrypting(kStart + hours(100)), nullptr);
  EXPECT_NE(TicketKeys::rotate(nullptr, kStart), nullptr);
}

TEST(TicketKeys, DeliveredSet) {
  const std::string id_a(16, 'a');
  const std::string id_b(16, 'b');
  const std::string secret(64, 's');
  std::string problem;
  const std::vector<TicketKeyText> good = {{id_a, secret, kStart + hours(1)}, {id_b, secret, kStart + hours(2)}};
  const auto keys = TicketKeys::from_texts(good, problem);
  ASSERT_NE(keys, nullptr) << problem;
  EXPECT_EQ(keys->encrypting(kStart + minutes(1)), &keys->keys()[1]);
  EXPECT_NE(keys->find(as_bytes(id_a), kStart + minutes(59)), nullptr);
  EXPECT_EQ(keys->find(as_bytes(id_a), kStart + minutes(61)), nullptr);

  const auto refused = [&](std::vector<TicketKeyText> texts) {
    std::string why;
    EXPECT_EQ(TicketKeys::from_texts(texts, why), nullptr);
    return why;
  };
  const std::string zero(64, '\0');
  std::string half_zero = secret;
  half_zero.replace(32, 32, 32, '\0');
  EXPECT_NE(refused({{id_a, zero, kStart}}).find("zero"), std::string::npos);
  EXPECT_NE(refused({{id_a, half_zero, kStart}}).find("zero"), std::string::npos);
  EXPECT_NE(refused({{"short", secret, kStart}}).find("16 bytes"), std::string::npos);
  EXPECT_NE(refused({{id_a, "short", kStart}}).find("64 bytes"), std::string::npos);
  EXPECT_NE(refused({{id_a, secret, kStart}, {id_a, secret, kStart}}).find("same id"), std::string::npos);
  EXPECT_FALSE(refused({}).empty());
}

}  // namespace
}  // namespace headgate::tls
