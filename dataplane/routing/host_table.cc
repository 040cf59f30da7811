#include "dataplane/routing/host_table.h"

#include <algorithm>

#include "dataplane/base/held_alone.h"

namespace headgate::routing {

HostTable::Bucket& HostTable::writable(uint64_t hash) {
  std::shared_ptr<Bucket>& bucket = buckets_[hash & (buckets_.size() - 1)];
  if (!held_alone(bucket)) bucket = std::make_shared<Bucket>(*bucket);
  return *bucket;
}

void HostTable::grow() {
  std::vector<std::shared_ptr<Bucket>> wider(std::max<size_t>(1, buckets_.size() * 2));
  for (auto& bucket : wider) bucket = std::make_shared<Bucket>();
  for (const auto& bucket : buckets_) {
    for (const Entry& entry : *bucket) wider[entry.hash & (wider.size() - 1)]->push_back(entry);
  }
  buckets_ = std::move(wider);
}

bool HostTable::insert(std::string_view name, const std::shared_ptr<const VirtualHost>& host) {
  if (find(name) != nullptr) return false;
  if (size_ == buckets_.size() * kPerBucket) grow();
  const uint64_t hash = keyed_hash(name);
  writable(hash).push_back({hash, name, host});
  ++size_;
  return true;
}

bool HostTable::erase(std::string_view name, const VirtualHost& host) {
  if (find(name) != &host) return false;
  const uint64_t hash = keyed_hash(name);
  Bucket& bucket = writable(hash);
  const auto at = std::find_if(bucket.begin(), bucket.end(),
                               [&](const Entry& entry) { return entry.hash == hash && entry.name == name; });
  bucket.erase(at);
  --size_;
  return true;
}

}  // namespace headgate::routing
