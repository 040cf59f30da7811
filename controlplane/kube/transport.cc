#include "controlplane/kube/transport.h"

#include <signal.h>

#include <exception>

#include "controlplane/kube/connection.h"
#include "controlplane/kube/deadlines.h"
#include "controlplane/kube/transport_tls.h"
#include "dataplane/base/log.h"

namespace headgate::kube {
namespace {

constexpr Duration kConnectionLife = std::chrono::minutes(5);
constexpr size_t kMaxIdle = 16;
constexpr size_t kMaxErrorBody = 64 << 10;
constexpr const char* kUserAgent = "headgate-controller/" HEADGATE_VERSION " (linux)";

void ignore_broken_pipes() {
  struct sigaction now {};
  if (::sigaction(SIGPIPE, nullptr, &now) != 0 || now.sa_handler != SIG_DFL) return;
  now.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &now, nullptr);
}

Error error_of(httplib::Error error) {
  using E = httplib::Error;
  switch (error) {
    case E::Connection:
    case E::BindIPAddress:
      return Error{.code = Errc::kRefused, .retry = Retry::kYes, .detail = "no connection to the API server"};
    case E::ConnectionTimeout:
      return Error{.code = Errc::kTimeout, .retry = Retry::kYes, .detail = "connecting to the API server"};
    case E::SSLConnection:
    case E::SSLLoadingCerts:
    case E::SSLServerVerification:
      return Error{.code = Errc::kTls, .retry = Retry::kYes, .detail = take_tls_failure()};
    case E::Read:
      return Error{
          .code = Errc::kReset, .retry = Retry::kIfConnectionWasReused, .detail = "reading from the API server"};
    case E::Write:
      return Error{.code = Errc::kReset, .retry = Retry::kIfConnectionWasReused, .detail = "writing to the API server"};
    case E::Canceled:
      return Error{.code = Errc::kCanceled, .detail = "request to the API server"};
    case E::Success:
    case E::Unknown:
    case E::ExceedRedirectCount:
    case E::UnsupportedMultipartBoundaryChars:
    case E::Compression:
      break;
  }
  return Error{.code = Errc::kInternal, .detail = "request to the API server"};
}

httplib::Request request_of(const HttpRequest& request, const std::string& prefix, const std::string& host,
                            const std::string& authorization) {
  httplib::Request out;
  out.method = request.method;
  out.path = prefix + request.target;
  out.body = request.body;
  out.set_header("Host", host);
  out.set_header("Accept", "application/json");
  out.set_header("Accept-Encoding", "identity");  // the API server is near; compressing costs it more than it saves
  out.set_header("User-Agent", kUserAgent);
  if (!request.content_type.empty()) out.set_header("Content-Type", request.content_type);
  if (!authorization.empty()) out.set_header("Authorization", authorization);
  return out;
}

}  // namespace

Transport::Transport(Config config, const Clock& clock)
    : config_(std::move(config)),
      clock_(clock),
      credentials_(config_, clock),
      deadlines_(std::make_unique<Deadlines>()) {
  ignore_broken_pipes();
  const bool bracketed = config_.host.find(':') != std::string::npos;
  authority_ = (bracketed ? "[" + config_.host + "]" : config_.host) + ":" + std::to_string(config_.port);
}

Transport::~Transport() = default;

Result<HttpResponse> Transport::send(const HttpRequest& request, std::stop_token stop) {
  const std::string authorization = credentials_.authorization();
  auto response = attempt(request, authorization, nullptr, stop);
  if (!response || response->status != 401) return response;
  credentials_.forget();
  const std::string renewed = credentials_.authorization();
  return renewed == authorization ? std::move(response) : attempt(request, renewed, nullptr, stop);
}

Result<HttpResponse> Transport::stream(const HttpRequest& request, const BodyReceiver& receiver, std::stop_token stop) {
  const std::string authorization = credentials_.authorization();
  auto response = attempt(request, authorization, &receiver, stop);
  if (!response || response->status != 401) return response;
  credentials_.forget();
  const std::string renewed = credentials_.authorization();
  return renewed == authorization ? std::move(response) : attempt(request, renewed, &receiver, stop);
}

Result<HttpResponse> Transport::attempt(const HttpRequest& request, const std::string& authorization,
                                        const BodyReceiver* receiver, std::stop_token stop) {
  if (stop.stop_requested()) return Error{.code = Errc::kCanceled, .detail = "request to the API server"};
  auto taken = take_connection();
  if (!taken) return taken.error();
  const std::shared_ptr<Connection> connection = *std::move(taken);

  HttpResponse answer;
  bool too_large = false;
  bool enough = false;
  httplib::Request out = request_of(request, config_.path_prefix, authority_, authorization);
  out.response_handler = [&](const httplib::Response& head) {
    answer.status = head.status;
    answer.retry_after = head.get_header_value("Retry-After");
    return true;
  };
  out.content_receiver = [&](const char* bytes, size_t size, uint64_t, uint64_t) {
    if (receiver != nullptr && answer.status == 200) {
      enough = !(*receiver)(std::string_view(bytes, size));
      return !enough && !connection->aborted();
    }
    const size_t limit = answer.status >= 200 && answer.status < 300 ? request.max_body : kMaxErrorBody;
    too_large = answer.body.size() + size > limit;
    if (!too_large) answer.body.append(bytes, size);
    return !too_large && !connection->aborted();
  };

  httplib::Response ignored;
  httplib::Error failure = httplib::Error::Unknown;
  bool done = false;
  take_tls_failure();
  try {
    connection->client().set_read_timeout(request.silence);
    const Deadlines::Guard guard(*deadlines_, *connection, request.limit);
    const std::stop_callback on_stop(stop, [&] { connection->abort(); });
    done = connection->client().send(out, ignored, failure);
  } catch (const std::exception& error) {
    HG_LOG(kError, kControl, "request to the API server failed", {"error", error.what()});
    return Error{.code = Errc::kInternal, .detail = "request to the API server"};
  }
  if (stop.stop_requested() || enough) return Error{.code = Errc::kCanceled, .detail = "request to the API server"};
  if (connection->timed_out()) return Error{.code = Errc::kTimeout, .detail = "answer of the API server"};
  if (too_large) return Error{.code = Errc::kTooLarge, .detail = "answer of the API server"};
  if (!done) return error_of(failure);
  keep_connection(connection);
  return answer;
}

Result<std::shared_ptr<Connection>> Transport::take_connection() {
  const MonotonicTime now = clock_.now();
  {
    const std::lock_guard lock(mutex_);
    std::erase_if(idle_, [now](const auto& connection) { return now - connection->made() > kConnectionLife; });
    if (!idle_.empty()) {
      auto connection = std::move(idle_.back());
      idle_.pop_back();
      return connection;
    }
  }
  auto client = make_http_client(config_);
  if (!client) return client.error();
  return std::make_shared<Connection>(*std::move(client), now);
}

void Transport::keep_connection(std::shared_ptr<Connection> connection) {
  if (connection->aborted()) return;
  const std::lock_guard lock(mutex_);
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(connection));
}

}  // namespace headgate::kube
