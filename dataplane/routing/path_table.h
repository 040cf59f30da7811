// path_table.h -- the paths of one VirtualHost, and the Routes at each.
//
// Order of a lookup (nginx's, so that users find what they know): exact path; then `final` prefixes, longest first;
// then regexes in order; then one-segment patterns; then prefixes, longest first; then routes without a path. A Route
// whose predicates do not hold is passed over and the search goes on.
// Cost: one hash per '/' of the path for prefixes, whatever the number of Routes; regexes are tried one by one.
// Thread: immutable.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "dataplane/base/hash.h"
#include "dataplane/routing/route.h"

namespace headgate::routing {

class PathTable {
 public:
  // `routes` outlive the table; their order counts among equals.
  explicit PathTable(const std::vector<std::shared_ptr<const Route>>& routes);

  struct Match {
    const Route* route = nullptr;
    Captures captures;  // of a regex path
  };
  // False: no Route takes this request.
  bool find(const http::RequestHead& request, const IpAddress& client, Match& match) const;

 private:
  using Bucket = std::vector<const Route*>;
  using Index = std::unordered_map<std::string, Bucket, TextHash, TextEqual>;
  struct Search;

  // Prefixes that end at a segment boundary.
  struct Prefixes {
    Index below;         // all but the root
    Bucket root;         // "/**", which most tables have and many have alone
    size_t deepest = 0;  // in segments: longer paths need not be tried

    void add(const std::string& path, const Route& route);
    [[nodiscard]] bool empty() const { return below.empty() && root.empty(); }
    [[nodiscard]] const Route* longest(const Search& search, std::string_view path) const;
    [[nodiscard]] const Route* longest_below(const Search& search, std::string_view path) const;
  };

  // One letter case of paths: as written, or all lower.
  struct Paths {
    Index exact;
    Prefixes final_prefix;
    Index segment;
    Prefixes prefix;
    std::vector<const Route*> raw_prefix;  // longest first
  };

  void add(const Route& route);
  // `lower` is the path in lower case, for insensitive_.
  bool find(const Search& search, std::string_view lower, Match& match) const;

  Paths sensitive_;
  std::unique_ptr<Paths> insensitive_;  // null: there are none, as in most tables
  std::vector<const Route*> regex_;
  Bucket any_;
};

}  // namespace headgate::routing
