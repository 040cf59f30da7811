// headers.h -- sets, adds and removes fields of the request or of the response.
// Phase: REWRITE or BACKEND (request), RESPONSE or BACKEND (response).   Thread: see filter.h.
//
// All values are made before the first field changes, so that one may be built from another that is removed. Then, in
// this order: remove, set, add, set_if_absent. Setting Host of a request changes what the upstream is asked for, not how
// the request was routed.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/http/field_text.h"
#include "dataplane/http/filter.h"
#include "dataplane/http/response_change.h"

namespace headgate::filters {

struct HeaderOptions {
  std::vector<std::pair<std::string, std::string>> set;            // replaces all of the name; values with $variables
  std::vector<std::pair<std::string, std::string>> add;            // one more
  std::vector<std::pair<std::string, std::string>> set_if_absent;  // only when there is none
  std::vector<std::string> remove;
};

class Headers final : public http::Filter, public http::HeadChange, public http::ResponseChange {
 public:
  enum class Side : uint8_t { kRequest, kResponse };

  // kInvalid: a name that is none or belongs to the framing, an unknown variable. `why` gets a sentence for the user.
  static Result<std::unique_ptr<Headers>> create(Side side, const HeaderOptions& options, std::string* why = nullptr);

  http::FilterRun* start(http::Exchange& exchange, WorkerContext& worker) const override;
  void change(http::Exchange& exchange, http::HeaderMap& outgoing) const override { apply(exchange, outgoing); }
  void change(http::Exchange& exchange, http::ResponseHead& head) const override { apply(exchange, head.headers); }

 private:
  enum class Action : uint8_t { kSet, kAdd, kSetIfAbsent };
  struct Rule {
    Action action;
    http::FieldTemplate field;
    http::FieldId id;
  };
  class HeadersRun;

  explicit Headers(Side side) : side_(side) {}
  void apply(http::Exchange& exchange, http::HeaderMap& headers) const;

  const Side side_;
  std::vector<Rule> rules_;  // in the order in which they are applied
  std::vector<std::string> remove_;
};

}  // namespace headgate::filters
