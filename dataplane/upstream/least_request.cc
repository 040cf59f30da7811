// least_request.cc -- two endpoints at random, the one with fewer requests under way is taken.
#include <cmath>

#include "dataplane/upstream/policies.h"

namespace headgate::upstream {
namespace {

double requests_per_weight(const Choice& choice, uint32_t member) {
  return static_cast<double>(choice.load(member).active) / static_cast<double>(choice.view.weights[member]);
}

// Halves about every 7 s while nothing is heard, so that one bad answer does not banish an endpoint.
double latency_now(const EndpointLoad& load, MonotonicTime now) {
  return load.latency_ns * std::exp(-static_cast<double>((now - load.latency_at).count()) / 10e9);
}

}  // namespace

uint32_t pick_least_request(Choice& choice) {
  const MemberPair pair = draw_two(choice);
  if (pair.second == PickView::kNone) return pair.first;
  return requests_per_weight(choice, pair.second) < requests_per_weight(choice, pair.first) ? pair.second
                                                                                             : pair.first;
}

uint32_t pick_peak_ewma(Choice& choice) {
  const MemberPair pair = draw_two(choice);
  if (pair.second == PickView::kNone) return pair.first;
  double first = requests_per_weight(choice, pair.first);
  double second = requests_per_weight(choice, pair.second);
  const EndpointLoad& a = choice.load(pair.first);
  const EndpointLoad& b = choice.load(pair.second);
  // A new endpoint is taken to be as fast as the one it is compared with.
  if (a.latency_ns > 0 && b.latency_ns > 0) {
    first = (static_cast<double>(a.active) + 1) * latency_now(a, choice.input.now);
    second = (static_cast<double>(b.active) + 1) * latency_now(b, choice.input.now);
    first /= static_cast<double>(choice.view.weights[pair.first]);
    second /= static_cast<double>(choice.view.weights[pair.second]);
  }
  return second < first ? pair.second : pair.first;
}

}  // namespace headgate::upstream
