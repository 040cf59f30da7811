#include "dataplane/tls/ticket_keys.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/random.h"
#include "dataplane/tls/crypto.h"

namespace headgate::tls {
namespace {

// Hours begin at multiples of the period since the epoch, so that replicas agree about them.
WallTime period_of(WallTime now) { return now - now.time_since_epoch() % kTicketKeyPeriod; }

bool is_zero(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](char c) { return c == '\0'; });
}

}  // namespace

TicketKey::~TicketKey() {
  wipe(cipher_key_);
  wipe(mac_key_);
}

TicketKey TicketKey::random(WallTime begins) {
  TicketKey key;
  fill_secure_random(key.id_);
  fill_secure_random(key.cipher_key_);
  fill_secure_random(key.mac_key_);
  key.begins_ = begins;
  return key;
}

std::shared_ptr<const TicketKeys> TicketKeys::make(WallTime now) {
  std::shared_ptr<TicketKeys> made(new TicketKeys());
  made->keys_.reserve(2);  // growing would leave copies of keys in freed memory; ~TicketKey wipes those it moves from
  made->keys_.push_back(TicketKey::random(period_of(now)));
  made->keys_.push_back(TicketKey::random(period_of(now) + kTicketKeyPeriod));
  return made;
}

std::shared_ptr<const TicketKeys> TicketKeys::rotate(const std::shared_ptr<const TicketKeys>& keys, WallTime now) {
  if (keys == nullptr) return make(now);
  const WallTime current = period_of(now);
  std::shared_ptr<TicketKeys> made(new TicketKeys());
  made->keys_.reserve(3);
  bool changed = false;
  // The previous hour cannot be made up: no ticket was ever encrypted with a new key for it.
  for (const WallTime begins : {current - kTicketKeyPeriod, current, current + kTicketKeyPeriod}) {
    const auto has = [&](const TicketKey& key) { return key.begins() == begins; };
    const auto at = std::find_if(keys->keys_.begin(), keys->keys_.end(), has);
    if (at != keys->keys_.end()) {
      made->keys_.push_back(*at);
    } else if (begins >= current) {
      made->keys_.push_back(TicketKey::random(begins));
      changed = true;
    }
  }
  changed = changed || made->keys_.size() != keys->keys_.size();
  if (!changed) return keys;
  return made;
}

std::shared_ptr<const TicketKeys> TicketKeys::from_texts(std::span<const TicketKeyText> texts, std::string& problem) {
  if (texts.empty()) problem = "no ticket key";
  std::shared_ptr<TicketKeys> made(new TicketKeys());
  made->keys_.reserve(texts.size());
  for (const TicketKeyText& text : texts) {
    TicketKey key;
    if (text.id.size() != key.id_.size()) problem = "the id of a ticket key must have 16 bytes";
    if (text.secret.size() != key.cipher_key_.size() + key.mac_key_.size()) {
      problem = "the secret of a ticket key must have 64 bytes";
    }
    if (!problem.empty()) return nullptr;
    if (is_zero(text.secret.substr(0, 32)) || is_zero(text.secret.substr(32))) {
      problem = "the secret of a ticket key is all zero";
      return nullptr;
    }
    std::memcpy(key.id_.data(), text.id.data(), key.id_.size());
    std::memcpy(key.cipher_key_.data(), text.secret.data(), key.cipher_key_.size());
    std::memcpy(key.mac_key_.data(), text.secret.data() + key.cipher_key_.size(), key.mac_key_.size());
    key.begins_ = text.not_after - 2 * kTicketKeyPeriod;
    for (const TicketKey& other : made->keys_) {
      if (other.id_ == key.id_) problem = "two ticket keys have the same id";
    }
    made->keys_.push_back(key);
  }
  if (!problem.empty()) return nullptr;
  return made;
}

const TicketKey* TicketKeys::encrypting(WallTime now) const {
  for (const TicketKey& key : keys_) {
    if (key.encrypts_at(now)) return &key;
  }
  return nullptr;
}

const TicketKey* TicketKeys::find(Bytes id, WallTime now) const {
  for (const TicketKey& key : keys_) {
    if (key.accepted_at(now) && as_text(id) == as_text(key.id())) return &key;
  }
  return nullptr;
}

}  // namespace headgate::tls
