// ticket_keys.h -- the keys of TLS session tickets: previous, current and next, one hour each.
//
// Which key encrypts, and which are accepted, depends on nothing but the time: the key whose hour it is encrypts; a
// key is accepted from an hour before its own (another replica may be ahead) until an hour after it. So a set works on
// by itself for an hour after the last delivery, and then tickets stop rather than outlive their keys.
// Spec: RFC 5077 4, RFC 8446 4.6.1.   Unit: wall time.
// Thread: immutable, any.   Owner: shared_ptr in the process cell and in each ServerContext. Keys are overwritten when
// the set is destroyed.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/base/clock.h"

namespace headgate::tls {

inline constexpr Duration kTicketKeyPeriod = std::chrono::hours(1);

// One key as it is delivered.
struct TicketKeyText {
  std::string_view id;      // 16 bytes, sent in clear with every ticket
  std::string_view secret;  // 64 bytes: 32 for AES-256, 32 for HMAC-SHA-256
  WallTime not_after;       // end of the hour after its own
};

class TicketKey {
 public:
  TicketKey() = default;
  TicketKey(const TicketKey&) = default;
  TicketKey& operator=(const TicketKey&) = default;
  ~TicketKey();

  // Its hour.
  [[nodiscard]] WallTime begins() const { return begins_; }
  [[nodiscard]] WallTime ends() const { return begins_ + kTicketKeyPeriod; }
  [[nodiscard]] bool encrypts_at(WallTime now) const { return now >= begins() && now < ends(); }
  [[nodiscard]] bool accepted_at(WallTime now) const {
    return now >= begins() - kTicketKeyPeriod && now < ends() + kTicketKeyPeriod;
  }
  [[nodiscard]] const std::array<uint8_t, 16>& id() const { return id_; }
  [[nodiscard]] const std::array<uint8_t, 32>& cipher_key() const { return cipher_key_; }
  [[nodiscard]] const std::array<uint8_t, 32>& mac_key() const { return mac_key_; }

 private:
  friend class TicketKeys;
  static TicketKey random(WallTime begins);

  std::array<uint8_t, 16> id_{};
  std::array<uint8_t, 32> cipher_key_{};
  std::array<uint8_t, 32> mac_key_{};
  WallTime begins_{};
};

class TicketKeys {
 public:
  // A set of our own: current and next (there is no previous one yet), from the kernel's random numbers.
  static std::shared_ptr<const TicketKeys> make(WallTime now);
  // The set that `now` asks for: `keys` itself while its current hour lasts, else one with what is past dropped and
  // fresh keys for what is missing.
  static std::shared_ptr<const TicketKeys> rotate(const std::shared_ptr<const TicketKeys>& keys, WallTime now);
  // A delivered set. Null with `problem` set: wrong sizes, two equal ids, an all-zero secret, no key at all.
  static std::shared_ptr<const TicketKeys> from_texts(std::span<const TicketKeyText> texts, std::string& problem);

  // The key for new tickets; null when no key's hour is now: send no ticket.
  [[nodiscard]] const TicketKey* encrypting(WallTime now) const;
  // The key of a ticket; null: unknown or too old, do a full handshake.
  [[nodiscard]] const TicketKey* find(Bytes id, WallTime now) const;
  [[nodiscard]] std::span<const TicketKey> keys() const { return keys_; }

 private:
  TicketKeys() = default;
  std::vector<TicketKey> keys_;
};

}  // namespace headgate::tls
