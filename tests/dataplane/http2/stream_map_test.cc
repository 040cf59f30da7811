// stream_map_test.cc -- against std::map, over random openings and endings.
#include "dataplane/http2/stream_map.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>

#include "dataplane/http2/outgoing_body.h"

namespace headgate::http2 {
namespace {

class TestStream final : public SessionStream {
 public:
  explicit TestStream(int32_t id) : SessionStream(id) {}

 private:
  bool on_field(std::string_view, std::string_view) override { return true; }
  void on_fields_end(bool) override {}
  void on_data(BodyInput&, std::string_view) override {}
  void on_end_stream() override {}
  void on_end_sent() override {}
  OutgoingBody& outgoing() override { std::abort(); }
};

TEST(StreamMap, IsAMap) {
  std::mt19937 random(7);
  StreamMap map;
  std::map<int32_t, std::unique_ptr<TestStream>> model;
  int32_t next = 1;
  for (int step = 0; step < 20000; ++step) {
    // Grows to some hundred, shrinks to nothing, and again.
    const bool opens = model.empty() || random() % 1000 < (step / 2000 % 2 == 0 ? 600U : 350U);
    if (opens) {
      auto stream = std::make_unique<TestStream>(next);
      EXPECT_EQ(map.find(next), nullptr);
      map.insert(*stream);
      model.emplace(next, std::move(stream));
      next += 2 * (1 + static_cast<int32_t>(random() % 3));
    } else {
      auto victim = std::next(model.begin(), static_cast<long>(random() % model.size()));
      map.erase(*victim->second);
      map.erase(*victim->second);  // is not there any more
      EXPECT_EQ(map.find(victim->first), nullptr);
      model.erase(victim);
    }
    EXPECT_EQ(map.empty(), model.empty());
    if (map.empty()) map.shrink();
    if (step % 50 != 0) continue;
    for (const auto& [id, stream] : model) ASSERT_EQ(map.find(id), stream.get());
    size_t count = 0;
    map.for_each([&](SessionStream& stream) { count += model.contains(stream.id()) ? 1 : 0; });
    ASSERT_EQ(count, model.size());
  }
}

}  // namespace
}  // namespace headgate::http2
