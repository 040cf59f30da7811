#include "dataplane/filters/headers.h"

#include "dataplane/base/text.h"
#include "dataplane/http/exchange.h"

namespace headgate::filters {

using http::FieldId;

class Headers::HeadersRun final : public http::FilterRun {
 public:
  explicit HeadersRun(const Headers& filter) : filter_(filter) {}

  http::Verdict on_request(http::Exchange& exchange) override {
    if (filter_.side_ == Side::kRequest) {
      http::RequestHead& request = exchange.request();
      filter_.apply(exchange, request.headers);
      if (request.headers.has(FieldId::kHost)) request.authority = request.headers.get(FieldId::kHost);
    }
    return http::Verdict::kContinue;
  }
  void on_response(http::Exchange& exchange, http::ResponseHead& head) override {
    if (filter_.side_ == Side::kResponse) filter_.apply(exchange, head.headers);
  }

 private:
  const Headers& filter_;
};

Result<std::unique_ptr<Headers>> Headers::create(Side side, const HeaderOptions& options, std::string* why) {
  std::unique_ptr<Headers> made(new Headers(side));  // NOLINT: private constructor
  const std::pair<Action, const std::vector<std::pair<std::string, std::string>>*> lists[] = {
      {Action::kSet, &options.set}, {Action::kAdd, &options.add}, {Action::kSetIfAbsent, &options.set_if_absent}};
  for (const auto& [action, fields] : lists) {
    for (const auto& [name, value] : *fields) {
      Result<http::FieldTemplate> field = http::parse_field_template(name, value, why);
      if (!field) return field.error();
      made->rules_.push_back({.action = action, .field = *std::move(field), .id = http::field_id(name)});
    }
  }
  for (const std::string& name : options.remove) {
    const bool host_of_request = side == Side::kRequest && equals_ignore_case(name, "Host");
    if (!http::is_free_field(name) || host_of_request) {
      if (why != nullptr) *why = "the field cannot be removed: " + quote_json(name);
      return Error{.code = Errc::kInvalid, .detail = "headers: invalid name"};
    }
    made->remove_.push_back(name);
  }
  return made;
}

http::FilterRun* Headers::start(http::Exchange& exchange, WorkerContext&) const {
  return exchange.arena().make<HeadersRun>(*this);
}

void Headers::apply(http::Exchange& exchange, http::HeaderMap& headers) const {
  // Names and values live as long as the exchange: the access log may look at them when this filter is gone.
  Arena& arena = exchange.arena();
  auto* values = static_cast<std::string_view*>(
      arena.allocate(sizeof(std::string_view) * (rules_.size() + 1), alignof(std::string_view)));
  for (size_t i = 0; i < rules_.size(); ++i) values[i] = http::expand_field(rules_[i].field.value, exchange);
  for (const std::string& name : remove_) headers.remove(name);
  for (size_t i = 0; i < rules_.size(); ++i) {
    const Rule& rule = rules_[i];
    const bool known = rule.id != FieldId::kOther;
    const std::string_view name = known ? http::field_name(rule.id) : arena.copy(rule.field.name);
    switch (rule.action) {
      case Action::kSet: known ? headers.set(rule.id, values[i]) : headers.set(name, values[i]); break;
      case Action::kAdd: headers.add(rule.id, name, values[i]); break;
      case Action::kSetIfAbsent:
        if (headers.find(name) == nullptr) headers.add(rule.id, name, values[i]);
        break;
    }
  }
}

}  // namespace headgate::filters
