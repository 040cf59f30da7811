#include "dataplane/embed/request.h"

#include <cstring>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate {

std::optional<std::string_view> RequestView::header(std::string_view name) const {
  for (const HeaderField& field : parts_.headers) {
    if (equals_ignore_case(field.name, name)) return field.value;
  }
  return std::nullopt;
}

std::string_view RequestView::parameter(std::string_view name) const {
  for (const PathParameter& parameter : parts_.parameters) {
    if (parameter.name == name) return parameter.value;
  }
  return {};
}

std::optional<std::string> RequestView::query_value(std::string_view name) const {
  std::string_view rest = parts_.query;
  while (!rest.empty()) {
    const size_t end = rest.find('&');
    const std::string_view pair = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    const size_t equals = pair.find('=');
    if (decode_percent(pair.substr(0, equals), true) != name || pair.empty()) continue;
    return equals == std::string_view::npos ? std::string() : decode_percent(pair.substr(equals + 1), true);
  }
  return std::nullopt;
}

Request::Request(const RequestView& head, std::string body) : RequestView(head), body_(std::move(body)) {
  size_t size = 0;
  const auto each_text = [this](auto&& visit) {
    for (std::string_view* text : {&parts_.method, &parts_.target, &parts_.path, &parts_.query, &parts_.host, &parts_.client}) {
      visit(*text);
    }
    for (size_t i = 0; i < parts_.headers.size(); ++i) {
      visit(fields_[i].name);
      visit(fields_[i].value);
    }
    for (size_t i = 0; i < parts_.parameters.size(); ++i) {
      visit(parameters_[i].name);
      visit(parameters_[i].value);
    }
  };
  fields_ = std::make_unique<HeaderField[]>(parts_.headers.size());
  parameters_ = std::make_unique<PathParameter[]>(parts_.parameters.size());
  std::copy(parts_.headers.begin(), parts_.headers.end(), fields_.get());
  std::copy(parts_.parameters.begin(), parts_.parameters.end(), parameters_.get());
  each_text([&size](std::string_view text) { size += text.size(); });
  text_ = std::make_unique<char[]>(size);
  char* at = text_.get();
  each_text([&at](std::string_view& text) {
    if (text.empty()) return;
    std::memcpy(at, text.data(), text.size());
    text = {at, text.size()};
    at += text.size();
  });
  parts_.headers = {fields_.get(), parts_.headers.size()};
  parts_.parameters = {parameters_.get(), parts_.parameters.size()};
  parts_.body = body_;
}

std::string decode_percent(std::string_view text, bool plus_is_space) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
    if (low >= 0) {
      decoded.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      decoded.push_back(plus_is_space && text[i] == '+' ? ' ' : text[i]);
    }
  }
  return decoded;
}

}  // namespace headgate
