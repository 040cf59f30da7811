#include "controlplane/inject/admission.h"

#include "controlplane/inject/base64.h"

namespace headgate::inject {
namespace {

using Decision = Mutation::Decision;

constexpr std::string_view kApiVersion = "admission.k8s.io/v1";
// The API server cuts longer ones, and drops them all beyond 4096 bytes.
constexpr size_t kMaxWarning = 256;
constexpr size_t kMaxWarnings = 4096;
constexpr int kForbidden = 403;

Answer bad_request(std::string why) {
  Answer answer{.status = 400, .body = std::move(why)};
  answer.body += "\n";
  return answer;
}

// The library keeps the tree on the heap but some of its functions recurse: depth is judged before it sees the text.
bool is_too_deep(std::string_view text) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxReviewDepth) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

// At a character's boundary.
std::string cut_text(std::string text, size_t size) {
  if (text.size() <= size) return text;
  size -= 3;
  while (size > 0 && (static_cast<uint8_t>(text[size]) & 0xc0) == 0x80) --size;
  return text.substr(0, size) + "...";
}

ObjectName owner_of(const Json& pod, const std::string& name_space) {
  const Json& owners = member(member(pod, "metadata"), "ownerReferences");
  if (!owners.is_array()) return {};
  for (const Json& owner : owners) {
    if (!true_member(owner, "controller")) continue;
    return {text_member(owner, "apiVersion"), text_member(owner, "kind"), name_space, text_member(owner, "name"),
            text_member(owner, "uid")};
  }
  return {};
}

bool is_pod_creation(const Json& request) {
  const Json& kind = member(request, "kind");
  return text_member(request, "operation") == "CREATE" && text_member(kind, "group").empty() &&
         text_member(kind, "version") == "v1" && text_member(kind, "kind") == "Pod" &&
         text_member(request, "subResource").empty();
}

Json to_response(const Review& review) {
  const Mutation& mutation = review.mutation;
  Json response = {{"uid", review.uid}, {"allowed", mutation.decision != Decision::kRefused}};
  if (mutation.decision == Decision::kRefused) {
    response["status"] = {
        {"code", kForbidden}, {"reason", mutation.reason}, {"message", "headgate: " + mutation.message}};
  }
  if (!mutation.patch.empty()) {
    response["patchType"] = "JSONPatch";
    response["patch"] = encode_base64(mutation.patch.dump(-1, ' ', false, Json::error_handler_t::replace));
  }
  size_t total = 0;
  for (const std::string& warning : mutation.warnings) {
    std::string text = cut_text("headgate: " + warning, kMaxWarning);
    total += text.size();
    if (total > kMaxWarnings) break;
    response["warnings"].push_back(std::move(text));
  }
  return response;
}

}  // namespace

Answer answer_review(std::string_view body, const Settings& settings, const FindNamespace& find_namespace,
                     const FindConfigMap& find_config_map) {
  if (body.size() > kMaxReview) return bad_request("the review is larger than 3 MiB");
  if (is_too_deep(body)) return bad_request("the review is nested too deeply");
  const Json document = Json::parse(body, nullptr, false);
  if (document.is_discarded()) return bad_request("the body is no JSON");
  if (text_member(document, "kind") != "AdmissionReview" || text_member(document, "apiVersion") != kApiVersion) {
    return bad_request("expected an AdmissionReview of admission.k8s.io/v1");
  }
  const Json& request = member(document, "request");
  Answer answer;
  Review& review = answer.review;
  review.uid = text_member(request, "uid");
  if (review.uid.empty()) return bad_request("the request has no uid");
  review.dry_run = true_member(request, "dryRun");
  if (is_pod_creation(request)) {
    const Json& pod = member(request, "object");
    if (!pod.is_object()) return bad_request("the request has no object");
    const std::string name_space = text_member(request, "namespace");
    const Json& metadata = member(pod, "metadata");
    review.pod = {"v1", "Pod", name_space, text_member(metadata, "name"), text_member(metadata, "uid")};
    review.owner = owner_of(pod, name_space);
    NamespaceFacts facts = find_namespace(name_space);
    facts.name = name_space;
    review.mutation = mutate(pod, facts, settings, find_config_map);
  } else {
    review.mutation = {
        .decision = Decision::kSkipped, .reason = "NotAPodCreation", .message = "only new Pods are injected"};
  }
  const Json reply = {{"apiVersion", kApiVersion}, {"kind", "AdmissionReview"}, {"response", to_response(review)}};
  answer.body = reply.dump(-1, ' ', false, Json::error_handler_t::replace);
  return answer;
}

}  // namespace headgate::inject
