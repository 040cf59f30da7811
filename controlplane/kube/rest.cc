#include "controlplane/kube/rest.h"

#include <algorithm>
#include <optional>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::kube {
namespace {

constexpr Duration kMostRetryAfter = std::chrono::seconds(60);

std::string encode(std::string_view text, std::string_view also_plain) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (is_alpha(c) || is_digit(c) || also_plain.find(c) != std::string_view::npos) {
      out.push_back(c);
    } else {
      const auto byte = static_cast<uint8_t>(c);
      out.append({'%', kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  return out;
}

// Only the form in seconds; the API server sends no other.
std::optional<Duration> retry_after_of(const HttpResponse& response, const Status& status) {
  if (const auto seconds = parse_decimal<uint32_t>(response.retry_after)) {
    return std::min<Duration>(std::chrono::seconds(*seconds), kMostRetryAfter);
  }
  if (status.retry_after > Duration::zero()) return std::min(status.retry_after, kMostRetryAfter);
  return std::nullopt;
}

const char* content_type_of(PatchType type) {
  switch (type) {
    case PatchType::kMerge:
      return "application/merge-patch+json";
    case PatchType::kJson:
      return "application/json-patch+json";
    case PatchType::kApply:
      return "application/apply-patch+yaml";  // JSON is YAML
  }
  return "";
}

}  // namespace

std::string encode_segment(std::string_view name) { return encode(name, "-._~"); }
std::string encode_query(std::string_view value) { return encode(value, "-._~/,"); }

std::string Answer::why() const {
  if (code == 0) return to_string(error);
  std::string text = std::to_string(code);
  if (!status.reason.empty()) text += " " + status.reason;
  if (!status.message.empty()) text += ": " + status.message;
  return text;
}

Answer Rest::perform(const HttpRequest& request) const {
  Backoff backoff(effort_.backoff);
  for (int left = effort_.tries;; --left) {
    Answer answer;
    Duration pause = backoff.next(system_clock().now());
    auto response = transport_.send(request, stop_);
    bool again = false;
    if (!response) {
      answer.error = response.error();
      again = answer.error.retry == Retry::kYes || (answer.error.code == Errc::kReset && request.method == "GET");
    } else {
      answer.code = response->status;
      if (answer.ok()) {
        answer.body = std::move(response->body);
        return answer;
      }
      answer.status = parse_status(answer.code, response->body);
      const auto told = retry_after_of(*response, answer.status);
      again = answer.code == 429 || (answer.code >= 500 && told);
      if (told) pause = std::max(*told, pause);
      if (told) answer.status.retry_after = *told;
    }
    if (!again || left <= 1 || !wait_for(pause, stop_)) return answer;
  }
}

Answer Rest::get(const std::string& path) const { return perform({.target = path, .limit = effort_.limit}); }
Answer Rest::post(const std::string& path, std::string body) const {
  return perform({"POST", path, std::move(body), "application/json", effort_.limit});
}
Answer Rest::put(const std::string& path, std::string body) const {
  return perform({"PUT", path, std::move(body), "application/json", effort_.limit});
}
Answer Rest::patch(const std::string& path, PatchType type, std::string body) const {
  return perform({"PATCH", path, std::move(body), content_type_of(type), effort_.limit});
}
Answer Rest::remove(const std::string& path) const {
  return perform({.method = "DELETE", .target = path, .limit = effort_.limit});
}

}  // namespace headgate::kube
