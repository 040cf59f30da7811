#include "controlplane/identity/service.h"

#include <grpcpp/server_context.h>

#include "dataplane/base/log.h"
#include "dataplane/base/text.h"

namespace headgate::identity {
namespace {

grpc::Status to_status(const Error& error) {
  switch (error.code) {
    case Errc::kDenied: return {grpc::StatusCode::UNAUTHENTICATED, error.detail};
    case Errc::kOverloaded: return {grpc::StatusCode::RESOURCE_EXHAUSTED, error.detail};
    case Errc::kTls:
    case Errc::kTooLarge: return {grpc::StatusCode::INVALID_ARGUMENT, error.detail};
    default: return {grpc::StatusCode::UNAVAILABLE, error.detail};
  }
}

bool is_over_tls(const grpc::ServerContext& context) {
  const auto auth = context.auth_context();
  if (auth == nullptr) return false;
  const auto values = auth->FindPropertyValues("transport_security_type");
  return values.size() == 1 && (values.front() == "ssl" || values.front() == "tls");
}

void set_time(WallTime time, google::protobuf::Timestamp& into) {
  into.set_seconds(std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count());
}

}  // namespace

std::string bearer_token(const grpc::ServerContext& context) {
  constexpr std::string_view kScheme = "bearer ";
  const auto [first, last] = context.client_metadata().equal_range("authorization");
  if (first == last || std::next(first) != last) return {};
  const std::string_view value(first->second.data(), first->second.size());
  if (!starts_with_ignore_case(value, kScheme)) return {};
  return std::string(trim(value.substr(kScheme.size())));
}

grpc::Status IdentityService::Certify(grpc::ServerContext* context, const control::v1::CertifyRequest* request,
                                      control::v1::CertifyResponse* response) {
  const grpc::Status status = answer(*context, *request, *response);
  (status.ok() ? issued_ : refused_).fetch_add(1, std::memory_order_relaxed);
  if (!status.ok()) {
    HG_LOG(kWarn, kControl, "no certificate", {"client", context->peer()}, {"reason", status.error_message()});
  }
  return status;
}

grpc::Status IdentityService::answer(const grpc::ServerContext& context, const control::v1::CertifyRequest& request,
                                     control::v1::CertifyResponse& response) {
  if (!is_over_tls(context)) return {grpc::StatusCode::FAILED_PRECONDITION, "certificates are given over TLS only"};
  std::string token = bearer_token(context);
  if (token.empty()) return {grpc::StatusCode::UNAUTHENTICATED, "no token: authorization: Bearer TOKEN"};
  const auto holder = tokens_.verify(token);
  wipe(token);
  if (!holder) return to_status(holder.error());
  if (!request.pod_uid().empty() && !holder->pod_uid.empty() && request.pod_uid() != holder->pod_uid) {
    return {grpc::StatusCode::PERMISSION_DENIED, "the token is another Pod's"};
  }
  const WorkloadName workload{.trust_domain = authority_.trust_domain(),
                              .namespace_name = holder->namespace_name,
                              .service_account = holder->service_account};
  auto certified = authority_.certify(workload, holder->pod_uid, request.csr_der());
  if (!certified) return to_status(certified.error());
  response.set_chain_pem(std::move(certified->chain_pem));
  response.set_roots_pem(std::move(certified->roots_pem));
  set_time(certified->not_after, *response.mutable_not_after());
  set_time(certified->renew_after, *response.mutable_renew_after());
  return grpc::Status::OK;
}

}  // namespace headgate::identity
