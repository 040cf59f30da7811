#include "dataplane/embed/response.h"

#include "dataplane/base/text.h"
#include "dataplane/http/field_text.h"
#include "dataplane/http/status.h"

namespace headgate {

Response& Response::set_status(uint16_t code) {
  status_ = code;
  return *this;
}

Response& Response::set_header(std::string_view name, std::string_view value) {
  std::erase_if(headers_, [name](const auto& field) { return equals_ignore_case(field.first, name); });
  return add_header(name, value);
}

Response& Response::add_header(std::string_view name, std::string_view value) {
  headers_.emplace_back(name, value);
  return *this;
}

Response& Response::set_body(std::string bytes, std::string_view content_type) {
  body_ = std::move(bytes);
  producer_ = nullptr;
  if (!content_type.empty()) set_header("Content-Type", content_type);
  return *this;
}

Response& Response::set_stream(Producer producer, std::string_view content_type, std::optional<uint64_t> length) {
  body_.clear();
  producer_ = std::move(producer);
  length_ = length;
  if (!content_type.empty()) set_header("Content-Type", content_type);
  return *this;
}

std::string_view Response::problem() const {
  if (status_ < 200 || status_ > 599) return "the status is not from 200 to 599";
  if (http::has_no_content(status_) && (!body_.empty() || producer_ != nullptr)) return "a body with a status that has none";
  for (const auto& [name, value] : headers_) {
    if (!http::is_free_field(name)) return "a header field that no handler may set";
    if (!is_field_value(value)) return "a control character in a header field";
  }
  return {};
}

}  // namespace headgate
