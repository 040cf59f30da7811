// turn_budget.h -- how many bytes one connection may move in one turn of the loop, so that all others have theirs.
// Thread: loop.   Owner: a connection.
#pragma once

#include <cstddef>
#include <cstdint>

namespace headgate::event {

class TurnBudget {
 public:
  static constexpr size_t kBytes = size_t{256} * 1024;

  // `turn`: Loop::turns(). False when the budget of this turn is spent: the rest is for the next one.
  [[nodiscard]] bool spend(uint64_t turn, size_t bytes) {
    if (turn != turn_) {
      turn_ = turn;
      spent_ = 0;
    }
    spent_ += bytes;
    return spent_ < kBytes;
  }

 private:
  uint64_t turn_ = 0;
  uint64_t spent_ = 0;
};

}  // namespace headgate::event
