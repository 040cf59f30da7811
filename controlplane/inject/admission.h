// admission.h -- the API server's question about a Pod, and our answer: AdmissionReview as JSON.
// Spec: admission.k8s.io/v1, RFC 6902 for the patch.   Unit: at most 3 MiB, 128 levels.
// Thread: any (pure but for the lookups).   Owner: the caller.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "controlplane/inject/mutate.h"

namespace headgate::inject {

inline constexpr size_t kMaxReview = 3 * 1024 * 1024;
inline constexpr size_t kMaxReviewDepth = 128;

// Of a Pod, or of what made it: where users look for Events.
struct ObjectName {
  std::string api_version;
  std::string kind;
  std::string name_space;
  std::string name;  // empty: the API server has not chosen one yet
  std::string uid;
};

struct Review {
  std::string uid;  // of the question
  bool dry_run = false;
  ObjectName pod;
  ObjectName owner;  // its controller; empty kind: nobody owns it
  Mutation mutation;
};

struct Answer {
  int status = 200;
  std::string body;  // an AdmissionReview, or a line of text when `status` is not 200
  Review review;     // meaningless unless `status` is 200
};

using FindNamespace = std::function<NamespaceFacts(const std::string& name)>;

// 400 for what is no AdmissionReview of v1 (the API server then does as its failurePolicy says). Anything but the
// creation of a Pod is allowed as it is.
Answer answer_review(std::string_view body, const Settings& settings, const FindNamespace& find_namespace,
                     const FindConfigMap& find_config_map);

}  // namespace headgate::inject
