// kubernetes_store.h -- the authority's Secret, the roots' ConfigMap and TokenReviews, of the API server.
// Thread: any; calls block, at most some seconds.   Owner: main; the Transport outlives them.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "controlplane/identity/secret_store.h"
#include "controlplane/identity/token_review.h"
#include "controlplane/kube/transport.h"

namespace headgate::identity {

inline constexpr const char* kRootsConfigMap = "headgate-ca-roots";  // key ca.crt, mounted by dataplanes

// Secrets of the type Opaque in one namespace. Labels and annotations that others have added to one stay.
std::unique_ptr<SecretStore> make_kubernetes_secret_store(kube::Transport& transport, std::string name_space);

std::unique_ptr<TokenReviewer> make_kubernetes_token_reviewer(kube::Transport& transport);

// For AuthorityOptions::publish.
std::function<Result<void>(const std::string& roots_pem)> kubernetes_roots_publisher(kube::Transport& transport,
                                                                                     std::string name_space);

}  // namespace headgate::identity
