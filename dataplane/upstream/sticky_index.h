// sticky_index.h -- which endpoint a session cookie means, and which Upstream.
//
// The texts are those of ingress-nginx, so that cookies it gave out are honoured: an endpoint's key is the MD5 of the
// Upstream's sticky name and the endpoint's address, in hex; the tag of an Upstream is the MD5 of the MD5 in hex of its
// name, followed by the name. Where policy forbids MD5 both are the first half of a SHA-256: cookies then only live here.
// Thread: immutable after build.   Owner: Upstream.   Cost: 20 bytes an endpoint; find() is O(log n).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headgate::upstream {

class StickyIndex {
 public:
  static constexpr size_t kKeySize = 32;  // hexadecimal digits

  // `texts`: the addresses of the endpoints, by index.
  void build(std::string_view sticky_name, const std::vector<std::string_view>& texts);

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  // nullopt: no endpoint has this key (it left, or the key was made by somebody else).
  [[nodiscard]] std::optional<uint32_t> find(std::string_view key) const;
  // Writes the key of endpoint `index`: kKeySize digits.
  void write_key(uint32_t index, char* into) const;

  static std::string tag_of(std::string_view sticky_name);

 private:
  using Key = std::array<uint8_t, 16>;
  struct Entry {
    Key key;
    uint32_t index;
  };
  static Key digest(std::string_view text);

  std::vector<Entry> entries_;  // by key
};

}  // namespace headgate::upstream
