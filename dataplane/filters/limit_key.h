// limit_key.h -- what a limit counts by: the client, or a text made of $variables.
// Thread: const and shared by all workers.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "dataplane/base/address.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/variables.h"

namespace headgate::filters {

// A client is an IPv4 address, or an IPv6 /64: who has one address of such a network has all of them.
class LimitKey {
 public:
  // `name`: of the limit; the same name counts together. `text` absent: by client.
  LimitKey(std::string_view name, std::optional<http::TextTemplate> text);

  // A keyed hash; nullopt: the text is empty, so there is nothing to count by.
  [[nodiscard]] std::optional<uint64_t> of(http::Exchange& exchange) const;
  // The same in 128 bits, for tables of addresses.
  [[nodiscard]] std::optional<IpAddress> wide(http::Exchange& exchange) const;

 private:
  uint64_t name_;
  std::optional<http::TextTemplate> text_;
};

}  // namespace headgate::filters
