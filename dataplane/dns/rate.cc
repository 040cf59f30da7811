#include "dataplane/dns/rate.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "dataplane/base/random.h"

namespace headgate::dns {
namespace {

constexpr size_t kWays = 4;
constexpr int64_t kSecond = 1'000'000'000;

// Answers of one class share a budget: a flood of NXDOMAIN does not silence good answers.
enum class Class : uint8_t { kAnswer = 1, kNoData, kNxDomain, kReferral, kRefused, kError };

Class class_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kDrop:
    case Outcome::kAnswer: return Class::kAnswer;
    case Outcome::kNoData: return Class::kNoData;
    case Outcome::kNxDomain: return Class::kNxDomain;
    case Outcome::kReferral: return Class::kReferral;
    case Outcome::kNotOurs:
    case Outcome::kRefused: return Class::kRefused;
    case Outcome::kFormErr:
    case Outcome::kNotImp:
    case Outcome::kBadVers: break;
  }
  return Class::kError;
}

// 56 bits of network, 1 of family, 7 of class: exact, so that two networks never share a budget by accident.
uint64_t key_of(const IpAddress& client, Class klass) {
  const auto& bytes = client.bytes();
  const bool is_v4 = client.is_v4();
  uint64_t network = 0;
  const size_t from = is_v4 ? 12 : 0;
  const size_t count = is_v4 ? 3 : 7;
  for (size_t i = 0; i < count; ++i) network = network << 8 | bytes[from + i];
  return network << 8 | (is_v4 ? 0x80U : 0U) | static_cast<uint64_t>(klass);
}

}  // namespace

RateLimiter::RateLimiter(const Options& options) : options_(options) {
  size_t count = kWays;
  while (count < options.entries) count *= 2;
  entries_.resize(count);
  std::array<uint8_t, sizeof(seed_)> seed;
  fill_secure_random(seed);
  std::memcpy(&seed_, seed.data(), seed.size());
}

RateLimiter::Entry& RateLimiter::entry_of(uint64_t key) {
  uint64_t hash = (key ^ seed_) * 0xd6e8feb86659fd93U;
  hash ^= hash >> 32;
  hash *= 0x9e3779b97f4a7c15U;
  const size_t set = (hash >> 32) % (entries_.size() / kWays);
  const auto ways = std::span(entries_).subspan(set * kWays, kWays);
  Entry* oldest = &ways[0];
  for (Entry& entry : ways) {
    if (entry.key == key) return entry;
    if (entry.full_at_ns < oldest->full_at_ns) oldest = &entry;
  }
  *oldest = Entry{.key = key};
  return *oldest;
}

RateVerdict RateLimiter::check(const IpAddress& client, Outcome outcome, MonotonicTime now) {
  if (outcome == Outcome::kDrop) return RateVerdict::kDrop;
  const Class klass = class_of(outcome);
  const bool is_error = klass == Class::kError;
  const uint32_t rate = is_error ? options_.errors_per_second : options_.per_second;
  if (rate == 0) return RateVerdict::kSend;
  const int64_t now_ns = now.time_since_epoch().count();
  Entry& entry = entry_of(key_of(client, klass));
  // A burst of one second's worth is fine. Beyond it nothing is added, so that the limit ends with the flood.
  const int64_t full_at = std::max(entry.full_at_ns, now_ns) + kSecond / rate;
  if (full_at - now_ns <= kSecond) {
    entry.full_at_ns = full_at;
    return RateVerdict::kSend;
  }
  ++entry.over;
  const bool slips = !is_error && options_.slip != 0 && entry.over % options_.slip == 0;
  return slips ? RateVerdict::kSlip : RateVerdict::kDrop;
}

bool may_answer(const SocketAddress& source, const SocketAddress& local) {
  static constexpr std::array<uint16_t, 15> kTalkative = {7,   11,  13,  17,  19,  37,  69,   123,
                                                          137, 138, 161, 389, 427, 520, 11211};
  if (!source.is_ip()) return true;  // a Unix datagram peer is named by its path
  if (source.port() == 0) return false;
  if (std::find(kTalkative.begin(), kTalkative.end(), source.port()) != kTalkative.end()) return false;
  if (!local.is_ip() || source.port() != local.port()) return true;
  // A socket bound to every address does not know which one it was asked at; loopback is always ours.
  return !(source.address() == local.address() || (local.address().is_any() && source.address().is_loopback()));
}

}  // namespace headgate::dns
