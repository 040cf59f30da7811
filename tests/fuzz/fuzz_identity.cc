// fuzz_identity.cc -- what strangers show the controller: requests for certificates, chains, tokens, names.
// links: headgate_cp_identity
#include <cstdint>
#include <cstdlib>
#include <string>

#include "controlplane/identity/certificate.h"
#include "controlplane/identity/spiffe.h"
#include "controlplane/identity/token_review.h"

using namespace headgate;            // NOLINT
using namespace headgate::identity;  // NOLINT

namespace {
void require(bool condition) {
  if (!condition) std::abort();
}
}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const WallTime kNow{std::chrono::hours(24 * 365 * 55)};
  static const KeyPair root = *make_root({.common_name = "root", .not_before = kNow, .not_after = kNow + std::chrono::hours(99)});
  const std::string text(reinterpret_cast<const char*>(data), size);
  const LeafSpec spec{.uri = "spiffe://a/ns/b/sa/c", .client = true, .not_before = kNow, .not_after = kNow + std::chrono::hours(9)};
  if (const auto chain = certify(root, text, spec)) {
    const auto facts = verify_client(*chain, root.chain_pem, kNow);
    require(facts.has_value() && facts->uris.size() == 1 && facts->uris.front() == spec.uri);
  }
  require(!verify_client(text, root.chain_pem, kNow).has_value());
  (void)inspect(text);
  (void)token_expiry(text);
  if (const auto name = parse_workload_uri(text)) require(to_uri(*name) == text);
  TokenReview review{.authenticated = true, .error = "", .username = text, .groups = {"system:serviceaccounts"}, .audiences = {kTokenAudience}, .extra = {}};
  const size_t third = text.find(':', 22);
  if (third != std::string::npos && text.size() > 22) review.groups.push_back("system:serviceaccounts:" + text.substr(22, third - 22));
  if (const auto identity = judge_review(review, kTokenAudience)) {
    require(text == "system:serviceaccount:" + identity->namespace_name + ":" + identity->service_account);
    require(is_namespace_name(identity->namespace_name) && is_object_name(identity->service_account));
  }
  return 0;
}
