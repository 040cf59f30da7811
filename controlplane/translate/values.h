// values.h -- the notations of annotation and ConfigMap values: Go's booleans, nginx's sizes and times, URLs, lists.
// Thread: any (pure).   Owner: the caller.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "headgate/config/v1/upstream.pb.h"

namespace headgate::translate {

std::optional<bool> parse_bool(std::string_view text);       // Go's ParseBool: "true", "T", "1"; never "yes" or "on"
std::optional<bool> parse_on_off(std::string_view text);     // "on", "off"
std::optional<uint64_t> parse_size(std::string_view text);   // "8k", "1m", "2g", "4096"; bytes
std::optional<uint64_t> parse_time_ms(std::string_view text);  // "10m", "1h30m", "500ms", "30": seconds

// Elements between separators, trimmed, without the empty ones.
std::vector<std::string> list_of(std::string_view text, std::string_view separators = ",");

// "shop/secret" or "secret" (in `name_space`). Empty name: malformed.
std::pair<std::string, std::string> object_name(std::string_view text, std::string_view name_space);

// http://auth.shop.svc:4180/verify?x=$arg_x -- the parts; $variables stay.
struct Url {
  bool tls = false;
  std::string host{};      // without brackets
  uint16_t port = 0;       // never 0
  std::string target{};    // path and query; empty: none was given
  [[nodiscard]] std::string origin() const;  // "http://auth.shop.svc:4180"
};
// Only http and https. nullopt: malformed.
std::optional<Url> parse_url(std::string_view text);

// The $variables of nginx and of ingress-nginx in our words; those of `constants` are replaced by their value.
using Constants = std::vector<std::pair<std::string_view, std::string>>;
std::string our_variables(std::string_view text, const Constants& constants);
// A sentence about the first $variable that nobody knows; empty: all are known. `groups`: see check_text.
std::string unknown_variable(std::string_view text, int groups = -1);

// The words of proxy-next-upstream; nullopt: one of them is unknown.
std::optional<config::v1::RetryPolicy> parse_next_upstream(std::string_view text);

}  // namespace headgate::translate
