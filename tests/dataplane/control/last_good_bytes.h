// last_good_bytes.h -- the bytes of a last-good file in one piece, as last_good.h describes them: what LastGoodFile writes
// resource by resource must be the same.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "dataplane/control/resource_kind.h"
#include "dataplane/control/resource_store.h"
#include "dataplane/tls/sha256.h"
#include "headgate/control/v1/control.pb.h"

namespace headgate::control {

inline std::string encode_last_good(const control::v1::Push& push) {
  const std::string body = push.SerializeAsString();
  const tls::Sha256Digest digest = tls::sha256(body);
  return "HGLG1\n" + std::string(reinterpret_cast<const char*>(digest.data()), digest.size()) + body;
}

// All that serves, as resources that could have been sent.
inline control::v1::Push all_that_serves(const ResourceStore& store, bool with_secrets) {
  control::v1::Push push;
  store.stored().visit_all([&](const StoredPtr& stored) {
    control::v1::Resource resource;
    if (is_secret(stored->key.kind) && !with_secrets) return;
    if (stored->fill(resource)) *push.add_upsert() = std::move(resource);
  });
  return push;
}

}  // namespace headgate::control
