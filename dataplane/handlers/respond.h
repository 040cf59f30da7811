// respond.h -- a fixed answer: status, fields, body.
// Thread: see handler.h.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/result.h"
#include "dataplane/http/field_text.h"
#include "dataplane/http/handler.h"

namespace headgate::handlers {

struct RespondOptions {
  uint16_t status = 200;                                      // 200-599
  std::vector<std::pair<std::string, std::string>> headers;   // values with $variables
  std::string body;                                           // any bytes
  bool expand_body = false;                                   // $variables in the body, too
};

class Respond final : public http::Handler {
 public:
  // kInvalid: status out of range, a field that cannot be set, an unknown variable, a body with a status that has none.
  static Result<std::unique_ptr<Respond>> create(const RespondOptions& options, std::string* why = nullptr);

  http::Run* start(http::Exchange& exchange, WorkerContext& worker) const override;

 private:
  Respond() = default;

  uint16_t status_ = 200;
  bool has_type_ = false;
  std::vector<http::FieldTemplate> headers_;
  std::optional<http::TextTemplate> body_template_;
  std::shared_ptr<const std::string> body_;  // shared with large answers under way
};

}  // namespace headgate::handlers
