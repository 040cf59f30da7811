#include "controlplane/status/ledger.h"

#include <algorithm>

namespace headgate::status {
namespace {

constexpr size_t kMaxFormer = 8;

}  // namespace

bool Ledger::is_wrong(const Key& key, const Entry& entry) const {
  const auto should = wanted(key, entry.seen);
  return should && *should != entry.seen;
}

std::optional<Addresses> Ledger::wanted(const Key& key, const Addresses& now) const {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return std::nullopt;
  const Entry& entry = found->second;
  if (admitted_.contains(key)) return addresses_;
  if (!entry.was_admitted || now.empty()) return std::nullopt;
  const bool ours = (entry.written && now == *entry.written) || (addresses_ && now == *addresses_) ||
                    std::find(former_.begin(), former_.end(), now) != former_.end();
  return ours ? std::optional<Addresses>(std::in_place) : std::nullopt;
}

std::vector<Key> Ledger::see(const Key& key, Addresses addresses) {
  Entry& entry = entries_[key];
  entry.seen = std::move(addresses);
  entry.was_admitted = entry.was_admitted || admitted_.contains(key);
  return is_wrong(key, entry) ? std::vector<Key>{key} : std::vector<Key>{};
}

void Ledger::forget(const Key& key) { entries_.erase(key); }

std::vector<Key> Ledger::keep_only(const std::map<Key, Addresses>& all) {
  std::erase_if(entries_, [&](const auto& entry) { return !all.contains(entry.first); });
  for (const auto& [key, addresses] : all) see(key, addresses);
  return all_wrong();
}

std::vector<Key> Ledger::set_addresses(std::optional<Addresses> addresses) {
  if (addresses == addresses_) return {};
  if (addresses_ && !addresses_->empty()) {
    former_.insert(former_.begin(), *addresses_);
    if (former_.size() > kMaxFormer) former_.pop_back();
  }
  addresses_ = std::move(addresses);
  return all_wrong();
}

std::vector<Key> Ledger::change_admitted(const std::vector<Key>& came, const std::vector<Key>& went) {
  std::vector<Key> wrong;
  const auto look = [&](const Key& key, bool admitted) {
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    if (admitted) found->second.was_admitted = true;
    if (is_wrong(key, found->second)) wrong.push_back(key);
  };
  for (const Key& key : went) admitted_.erase(key);
  admitted_.insert(came.begin(), came.end());
  for (const Key& key : went) look(key, false);
  for (const Key& key : came) look(key, true);
  return wrong;
}

std::vector<Key> Ledger::all_wrong() const {
  std::vector<Key> wrong;
  for (const auto& [key, entry] : entries_) {
    if (is_wrong(key, entry)) wrong.push_back(key);
  }
  return wrong;
}

void Ledger::wrote(const Key& key, Addresses addresses) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  found->second.seen = addresses;
  found->second.written = std::move(addresses);
}

}  // namespace headgate::status
