#include "controlplane/kube/patch.h"

namespace headgate::kube {
namespace {

constexpr int kTries = 5;
constexpr BackoffLimits kConflict{.first = std::chrono::milliseconds(10), .most = std::chrono::seconds(1)};

}  // namespace

UpdateOutcome update(const Rest& rest, const std::string& path, const std::string& subresource, const Change& change) {
  UpdateOutcome outcome;
  Backoff backoff(kConflict);
  for (int left = kTries; left > 0; --left) {
    outcome.answer = rest.get(path);
    if (!outcome.answer.ok()) return outcome;
    Json object = parse_json(outcome.answer.body);
    if (!object.is_object()) {
      outcome.answer.code = 0;
      outcome.answer.error = Error{.code = Errc::kMalformed, .detail = "object of the API server"};
      return outcome;
    }
    if (!change(object)) return outcome;
    outcome.answer = rest.put(path + subresource, to_text(object));
    outcome.written = outcome.answer.ok();
    if (outcome.answer.code != 409) return outcome;
    if (left > 1 && !wait_for(backoff.next(system_clock().now()), rest.stop())) return outcome;
  }
  return outcome;
}

Answer json_patch(const Rest& rest, const std::string& path, const Json& operations) {
  return rest.patch(path, PatchType::kJson, to_text(operations));
}

Answer server_side_apply(const Rest& rest, const std::string& path, const Json& object, const std::string& manager,
                         bool force) {
  const std::string query = "?fieldManager=" + encode_query(manager) + (force ? "&force=true" : "");
  return rest.patch(path + query, PatchType::kApply, to_text(object));
}

}  // namespace headgate::kube
