// fuzz_admission.cc -- reviews of the API server: whatever they say, the answer is JSON, and a patch makes a Pod that a second
// review leaves alone.
// links: headgate_cp_inject
#include <cstdint>
#include <cstdlib>
#include <string>

#include "controlplane/inject/admission.h"

using namespace headgate::inject;  // NOLINT

namespace {
void require(bool condition) {
  if (!condition) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const Settings settings{.image = "i"};
  const FindNamespace find_namespace = [](const std::string& name) { return NamespaceFacts{.name = name}; };
  // The ConfigMap is made of the same bytes.
  const FindConfigMap find = [&text](const std::string&, const std::string& name, const std::string&) {
    if (name == "missing") return ConfigMapText{};
    return ConfigMapText{.state = ConfigMapText::State::kFound, .text = name == "same" ? text : R"({"listen":["http://:8081"]})"};
  };
  const Answer answer = answer_review(text, settings, find_namespace, find);
  require(answer.status == 200 || answer.status == 400);
  if (answer.status != 200) return 0;
  const Json reply = Json::parse(answer.body, nullptr, false);
  require(!reply.is_discarded() && member(reply, "response").is_object());
  const Mutation& mutation = answer.review.mutation;
  require(mutation.patch.empty() == (mutation.decision != Mutation::Decision::kInjected));
  if (mutation.patch.empty()) return 0;
  Json review = Json::parse(text);
  review["request"]["object"] = review["request"]["object"].patch(mutation.patch);
  // Without bytes that are no UTF-8, which the API server never sends.
  const Answer again = answer_review(review.dump(-1, ' ', false, Json::error_handler_t::replace), settings, find_namespace, find);
  require(again.status == 200);
  require(again.review.mutation.decision == Mutation::Decision::kUnchanged || again.review.mutation.decision == Mutation::Decision::kRefused);
  return 0;
}
