#include "controlplane/kube/status.h"

#include "controlplane/kube/json.h"

namespace headgate::kube {
namespace {

constexpr size_t kMaxMessage = 1024;
constexpr uint64_t kMaxRetryAfter = 600;

}  // namespace

Status parse_status(int code, std::string_view body) {
  Status status{.code = code};
  const Json json = parse_json(body);
  if (!json.is_object() || text_at(json, "kind") != "Status") {
    status.message = std::string(body.substr(0, std::min(body.find('\n'), kMaxMessage)));
    return status;
  }
  // The code inside counts where there is no other: in the events of a watch.
  if (status.code == 0) status.code = static_cast<int>(std::min<uint64_t>(number_at(json, "code"), 999));
  status.reason = text_at(json, "reason");
  status.message = text_at(json, "message").substr(0, kMaxMessage);
  const Json& details = child_of(json, "details");
  status.retry_after = std::chrono::seconds(std::min(number_at(details, "retryAfterSeconds"), kMaxRetryAfter));
  const Json& causes = child_of(details, "causes");
  if (causes.is_array() && !causes.empty()) status.cause = text_at(causes.front(), "reason");
  return status;
}

}  // namespace headgate::kube
