// ledger.h -- which Ingresses need a status written, and to what: what was seen of each, whom we admit, where we are.
//
// An Ingress we admit gets our addresses. One we admitted before and admit no more loses them, if what stands there is
// exactly what we wrote or would have written. One we never admitted is somebody else's: whatever stands there stays,
// even when it equals our addresses (two controllers on the same nodes have the same ones).
// Thread: one at a time.   Owner: Writer, under its lock.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/status/addresses.h"

namespace headgate::status {

using Key = std::pair<std::string, std::string>;  // namespace, name

class Ledger {
 public:
  // What the API server has. Each returns the keys that are to be written now.
  std::vector<Key> see(const Key& key, Addresses addresses);
  void forget(const Key& key);
  std::vector<Key> keep_only(const std::map<Key, Addresses>& all);

  // Ours. Unknown addresses (nullopt) leave everything as it is; none (empty) are written.
  std::vector<Key> set_addresses(std::optional<Addresses> addresses);
  std::vector<Key> change_admitted(const std::vector<Key>& came, const std::vector<Key>& went);
  // Every Ingress whose status is not what it should be.
  [[nodiscard]] std::vector<Key> all_wrong() const;

  // nullopt: to be left alone.
  [[nodiscard]] std::optional<Addresses> wanted(const Key& key, const Addresses& now) const;
  // We wrote it.
  void wrote(const Key& key, Addresses addresses);
  [[nodiscard]] bool is_known(const Key& key) const { return entries_.contains(key); }

 private:
  struct Entry {
    Addresses seen;
    std::optional<Addresses> written;  // by us, last
    bool was_admitted = false;
  };
  [[nodiscard]] bool is_wrong(const Key& key, const Entry& entry) const;

  std::map<Key, Entry> entries_;
  std::set<Key> admitted_;
  std::optional<Addresses> addresses_;
  std::vector<Addresses> former_;  // ours before; a few
};

}  // namespace headgate::status
