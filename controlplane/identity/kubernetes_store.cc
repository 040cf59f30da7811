#include "controlplane/identity/kubernetes_store.h"

#include <utility>

#include "controlplane/kube/json.h"
#include "controlplane/kube/kinds.h"
#include "controlplane/kube/rest.h"
#include "dataplane/base/log.h"
#include "dataplane/tls/crypto.h"

namespace headgate::identity {

using kube::Answer;
using kube::Json;

namespace {

// Whoever waits holds up the loop or a caller: little effort, and the next refresh tries again.
const kube::Effort kEffort{.tries = 3, .limit = std::chrono::seconds(5)};

Error error_of(const char* what, const Answer& answer) {
  if (answer.code == 404) return {.code = Errc::kNotFound, .detail = "the object does not exist"};
  HG_LOG(kWarn, kControl, "the API server refused", {"what", what}, {"why", answer.why()});
  if (answer.code == 409) return {.code = Errc::kExists, .detail = "somebody else was faster"};
  if (answer.code == 401 || answer.code == 403) {
    return {.code = Errc::kDenied, .detail = "the API server does not permit it: see the RBAC rules of the chart"};
  }
  if (answer.code == 0) return answer.error;
  return {.code = Errc::kUnreachable, .detail = "the API server did not do it"};
}

std::string encoded(const std::string& text) {
  return tls::base64_encode(Bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

Json labels() {
  return {{"app.kubernetes.io/part-of", "headgate"}, {"app.kubernetes.io/managed-by", "headgate-controller"}};
}

class KubernetesSecretStore final : public SecretStore {
 public:
  KubernetesSecretStore(kube::Transport& transport, std::string name_space)
      : rest_(transport, {}, kEffort), name_space_(std::move(name_space)) {}

  Result<StoredSecret> load(const std::string& name) override {
    const Answer answer = rest_.get(path(name));
    if (!answer.ok()) return error_of("reading a Secret", answer);
    const Json secret = kube::parse_json(answer.body);
    StoredSecret stored;
    stored.version = kube::text_at(kube::child_of(secret, "metadata"), "resourceVersion");
    const Json& data = kube::child_of(secret, "data");
    for (const auto& [key, value] : data.items()) {
      if (!value.is_string()) continue;
      auto bytes = tls::base64_decode(value.get_ref<const std::string&>());
      if (!bytes) return Error{.code = Errc::kMalformed, .detail = "a Secret with a value that is not base64"};
      stored.data.emplace(key, std::move(*bytes));
    }
    if (stored.data.empty()) return Error{.code = Errc::kNotFound, .detail = "the Secret is empty"};
    return stored;
  }

  Result<std::string> save(const std::string& name, const SecretData& data, const std::string& version) override {
    Json values = Json::object();
    for (const auto& [key, bytes] : data) values[key] = encoded(bytes);
    Json secret = {{"apiVersion", "v1"},
                   {"kind", "Secret"},
                   {"metadata", {{"name", name}, {"namespace", name_space_}, {"labels", labels()}}},
                   {"type", "Opaque"},
                   {"data", std::move(values)}};
    const std::string replaces = version.empty() ? version_of_empty(name) : version;
    if (!replaces.empty()) {
      const Answer now = rest_.get(path(name));
      if (!now.ok()) return error_of("reading a Secret", now);
      Json kept = kube::parse_json(now.body);
      if (kube::text_at(kube::child_of(kept, "metadata"), "resourceVersion") != replaces) {
        return Error{.code = Errc::kExists, .detail = "somebody else was faster"};
      }
      kept["data"] = secret["data"];
      secret = std::move(kept);  // with its version, which the API server compares once more
    }
    const Answer answer = replaces.empty()
                              ? rest_.post(kube::collection_path(kube::row_of(kube::ObjectKind::kSecret), name_space_),
                                           kube::to_text(secret))
                              : rest_.put(path(name), kube::to_text(secret));
    if (!answer.ok()) return error_of("writing a Secret", answer);
    return kube::text_at(kube::child_of(kube::parse_json(answer.body), "metadata"), "resourceVersion");
  }

 private:
  [[nodiscard]] std::string path(const std::string& name) const {
    return kube::object_path("", "v1", "secrets", name_space_, name);
  }

  // A Secret without data holds the place for us: whoever installed us made it, so that it goes when we are
  // uninstalled, and so that we need no right to create Secrets. Empty: there is none such.
  [[nodiscard]] std::string version_of_empty(const std::string& name) const {
    const Answer answer = rest_.get(path(name));
    if (!answer.ok()) return {};
    const Json secret = kube::parse_json(answer.body);
    const Json& data = kube::child_of(secret, "data");
    return data.is_object() && !data.empty() ? std::string()
                                             : kube::text_at(kube::child_of(secret, "metadata"), "resourceVersion");
  }

  const kube::Rest rest_;
  const std::string name_space_;
};

std::vector<std::string> texts_of(const Json& list) {
  std::vector<std::string> texts;
  if (!list.is_array()) return texts;
  for (const Json& item : list) {
    if (item.is_string()) texts.push_back(item.get<std::string>());
  }
  return texts;
}

class KubernetesTokenReviewer final : public TokenReviewer {
 public:
  explicit KubernetesTokenReviewer(kube::Transport& transport) : rest_(transport, {}, kEffort) {}

  Result<TokenReview> review(const std::string& token, const std::string& audience) override {
    const Json question = {{"apiVersion", "authentication.k8s.io/v1"},
                           {"kind", "TokenReview"},
                           {"spec", {{"token", token}, {"audiences", Json::array({audience})}}}};
    const Answer answer = rest_.post("/apis/authentication.k8s.io/v1/tokenreviews", kube::to_text(question));
    if (!answer.ok()) {
      Error error = error_of("reviewing a token", answer);
      // What we may not ask is no word on the token.
      if (error.code == Errc::kDenied) error.code = Errc::kUnreachable;
      return error;
    }
    const Json document = kube::parse_json(answer.body);
    const Json& status = kube::child_of(document, "status");
    // An answer that says nothing denies nothing.
    if (!status.is_object()) return Error{.code = Errc::kMalformed, .detail = "the API server's token review"};
    const Json& user = kube::child_of(status, "user");
    TokenReview review;
    const Json& authenticated = kube::child_of(status, "authenticated");
    review.authenticated = authenticated.is_boolean() && authenticated.get<bool>();
    review.error = kube::text_at(status, "error");
    review.audiences = texts_of(kube::child_of(status, "audiences"));
    review.username = kube::text_at(user, "username");
    review.groups = texts_of(kube::child_of(user, "groups"));
    for (const auto& [key, value] : kube::child_of(user, "extra").items()) review.extra[key] = texts_of(value);
    return review;
  }

 private:
  const kube::Rest rest_;
};

}  // namespace

std::unique_ptr<SecretStore> make_kubernetes_secret_store(kube::Transport& transport, std::string name_space) {
  return std::make_unique<KubernetesSecretStore>(transport, std::move(name_space));
}

std::unique_ptr<TokenReviewer> make_kubernetes_token_reviewer(kube::Transport& transport) {
  return std::make_unique<KubernetesTokenReviewer>(transport);
}

std::function<Result<void>(const std::string& roots_pem)> kubernetes_roots_publisher(kube::Transport& transport,
                                                                                     std::string name_space) {
  return [&transport, name_space = std::move(name_space)](const std::string& roots_pem) -> Result<void> {
    const kube::Rest rest(transport, {}, kEffort);
    const Json wanted = {{"apiVersion", "v1"},
                         {"kind", "ConfigMap"},
                         {"metadata", {{"name", kRootsConfigMap}, {"namespace", name_space}, {"labels", labels()}}},
                         {"data", {{"ca.crt", roots_pem}}}};
    const Answer patched = rest.patch(kube::object_path("", "v1", "configmaps", name_space, kRootsConfigMap),
                                      kube::PatchType::kMerge, kube::to_text({{"data", {{"ca.crt", roots_pem}}}}));
    if (patched.ok()) return {};
    if (patched.code != 404) return error_of("publishing the roots", patched);
    const Answer made = rest.post(kube::collection_path(kube::row_of(kube::ObjectKind::kConfigMap), name_space),
                                  kube::to_text(wanted));
    if (made.ok()) return {};
    return error_of("publishing the roots", made);
  };
}

}  // namespace headgate::identity
