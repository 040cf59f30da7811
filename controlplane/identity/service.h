// service.h -- Identity.Certify: a token and a request become a certificate for the stream.
//
// The names come from the token; of the request only its key counts. A method of a synchronous service: each call has a
// thread of gRPC's, since a TokenReview blocks.
// Thread: gRPC's.   Owner: main; outlives the server it is registered with.
// Status: UNAUTHENTICATED (no token, a bad one), PERMISSION_DENIED (another Pod's), INVALID_ARGUMENT (the request),
// RESOURCE_EXHAUSTED (too many at once), UNAVAILABLE (no answer of the API server, no authority yet),
// FAILED_PRECONDITION (not over TLS).
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "controlplane/identity/authority.h"
#include "controlplane/identity/token_review.h"
#include "headgate/control/v1/identity.grpc.pb.h"

namespace headgate::identity {

class IdentityService final : public control::v1::Identity::Service {
 public:
  IdentityService(const Authority& authority, TokenVerifier& tokens) : authority_(authority), tokens_(tokens) {}

  grpc::Status Certify(grpc::ServerContext* context, const control::v1::CertifyRequest* request,
                       control::v1::CertifyResponse* response) override;

  // headgate_controller_certificates_total
  [[nodiscard]] uint64_t issued() const { return issued_.load(std::memory_order_relaxed); }
  [[nodiscard]] uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  grpc::Status answer(const grpc::ServerContext& context, const control::v1::CertifyRequest& request,
                      control::v1::CertifyResponse& response);

  const Authority& authority_;
  TokenVerifier& tokens_;
  std::atomic<uint64_t> issued_{0};
  std::atomic<uint64_t> refused_{0};
};

// Of `authorization: Bearer TOKEN`, when there is exactly one; else empty.
std::string bearer_token(const grpc::ServerContext& context);

}  // namespace headgate::identity
