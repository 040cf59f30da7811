#include "dataplane/filters/access.h"

#include <gtest/gtest.h>

#include "tests/support/exchange_harness.h"

namespace headgate::filters {
namespace {

using test::Answer;
using test::ExchangeHarness;
using test::kHello;
using Need = AccessFilter::Need;

// A check that says what it is told, at once or on a later turn.
class Scripted final : public AccessCheck {
 public:
  Scripted(Access access, bool later, uint16_t status = 403, bool signs_in = false)
      : access_(access), later_(later), status_(status), signs_in_(signs_in) {}
  AccessRun* start(http::Exchange& exchange) const override {
    ++asked;
    return exchange.arena().make<ScriptedRun>(*this, exchange.worker().loop);
  }
  bool sign_in(http::Exchange& exchange) const override {
    if (signs_in_) exchange.respond_text(302, "text/plain", "");
    return signs_in_;
  }
  mutable int asked = 0;

 private:
  class ScriptedRun final : public AccessRun {
   public:
    ScriptedRun(const Scripted& check, event::Loop& loop)
        : check_(check), later_(loop, [](void* self) { static_cast<ScriptedRun*>(self)->answer(); }, this) {}
    Access check(http::Exchange&, AccessSink& sink) override {
      if (!check_.later_) return check_.access_;
      sink_ = &sink;
      later_.schedule();
      return Access::kPending;
    }
    [[nodiscard]] uint16_t denial() const override { return check_.status_; }
    void deny(http::Exchange& exchange) override { exchange.respond_text(check_.status_, "text/plain", ""); }
    void on_response(http::Exchange&, http::ResponseHead& head) override { head.headers.add("Saw", "1"); }

   private:
    void answer() { sink_->on_access(check_.access_); }
    const Scripted& check_;
    event::DeferredCall later_;
    AccessSink* sink_ = nullptr;
  };

  Access access_;
  bool later_;
  uint16_t status_;
  bool signs_in_;
};

TEST(Access, AllAndAny) {
  constexpr Access kYes = Access::kGranted;
  constexpr Access kNo = Access::kDenied;
  struct Row {
    Need need;
    std::vector<std::pair<Access, uint16_t>> checks;
    uint16_t status;
    int asked;  // how many of them
  };
  const Row rows[] = {
      {Need::kAll, {{kYes, 0}, {kYes, 0}}, 200, 2},
      {Need::kAll, {{kYes, 0}, {kNo, 401}, {kYes, 0}}, 401, 2},
      {Need::kAll, {{kNo, 403}, {kNo, 401}}, 403, 1},
      {Need::kAny, {{kYes, 0}, {kNo, 401}}, 200, 1},
      {Need::kAny, {{kNo, 403}, {kYes, 0}}, 200, 2},
      {Need::kAny, {{kNo, 403}, {kNo, 401}, {kNo, 500}}, 401, 3},
      {Need::kAny, {{kNo, 401}, {kNo, 403}}, 401, 2},
      {Need::kAny, {{kNo, 403}}, 403, 1},
      {Need::kAny, {{kNo, 500}, {kNo, 403}}, 500, 2},
  };
  for (const bool later : {false, true}) {
    for (const Row& row : rows) {
      std::vector<std::shared_ptr<const AccessCheck>> checks;
      std::vector<std::shared_ptr<const Scripted>> scripted;
      for (const auto& [access, status] : row.checks) {
        scripted.push_back(std::make_shared<const Scripted>(access, later, status));
        checks.push_back(scripted.back());
      }
      const AccessFilter filter(row.need, checks);
      ExchangeHarness harness;
      const Answer answer = harness.run({}, {&filter}, kHello);
      EXPECT_EQ(answer.status, row.status);
      EXPECT_EQ(answer.count("Saw"), static_cast<size_t>(row.asked));
      int asked = 0;
      for (const auto& one : scripted) asked += one->asked;
      EXPECT_EQ(asked, row.asked);
    }
  }
}

TEST(Access, AnyDenialOf401LeadsToWhereOneSignsIn) {
  const auto password = std::make_shared<const Scripted>(Access::kDenied, false, uint16_t{401});
  const auto other = std::make_shared<const Scripted>(Access::kGranted, false, uint16_t{403}, true);
  ExchangeHarness harness;
  const AccessFilter both(Need::kAll, {password, other});
  EXPECT_EQ(harness.run({}, {&both}, kHello).status, 302);
  const auto forbidden = std::make_shared<const Scripted>(Access::kDenied, false, uint16_t{403});
  const AccessFilter no(Need::kAll, {forbidden, other});
  EXPECT_EQ(harness.run({}, {&no}, kHello).status, 403);
}

TEST(Access, AClientThatLeavesWithdrawsTheQuestion) {
  const auto slow = std::make_shared<const Scripted>(Access::kGranted, true);
  const AccessFilter filter(Need::kAll, {slow});
  ExchangeHarness harness;
  harness.begin({}, {&filter}, kHello);
  harness.end();
  harness.turn();
  EXPECT_EQ(slow->asked, 1);
}

}  // namespace
}  // namespace headgate::filters
