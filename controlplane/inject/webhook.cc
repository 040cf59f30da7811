#include "controlplane/inject/webhook.h"

#include "dataplane/base/log.h"
#include "dataplane/base/text.h"

namespace headgate::inject {
namespace {

using Decision = Mutation::Decision;

ServerOptions server_options() {
  ServerOptions options{.workers = 1, .blocking_threads = 4, .blocking_queue = 256};
  options.limits.body_bytes = kMaxReview;
  options.limits.connections = 1000;
  return options;
}

bool is_json(const Request& request) {
  const std::string_view type = request.header("content-type").value_or("");
  return equals_ignore_case(trim(type.substr(0, type.find(';'))), "application/json");
}

}  // namespace

Webhook::Webhook(Settings settings, Lookups lookups)
    : lookups_(std::move(lookups)),
      settings_(std::make_shared<const Settings>(std::move(settings))),
      server_(server_options()) {
  server_.on_blocking("POST", "/inject",
                      [this](const Request& request, Responder& responder) { answer(request, responder); });
  // A handler that threw, a full pool, a body over the limit: errors of ours that the API server will act on.
  server_.on_error([this](const Failure& failure, const RequestView&, Response&) {
    count("error", std::to_string(failure.status));
  });
}

Result<uint16_t> Webhook::start(const std::string& address, const WebhookCertificate& certificate,
                                std::string& problem) {
  const std::lock_guard lock(server_mutex_);
  ListenOptions options;
  options.certificate_pem = certificate.chain_pem;
  options.key_pem = certificate.key_pem;
  if (options.certificate_pem.empty() || options.key_pem.empty()) {
    problem = "the webhook needs a certificate and its key";
    return Error{.code = Errc::kInvalid, .detail = "no certificate"};
  }
  const auto port = server_.listen(address, options);
  if (!port) {
    problem = server_.problem();
    return port.error();
  }
  if (auto started = server_.start(); !started) {
    problem = server_.problem();
    return started.error();
  }
  return *port;
}

bool Webhook::set_certificate(const WebhookCertificate& certificate) {
  const std::lock_guard lock(server_mutex_);
  if (server_.set_certificate(certificate.chain_pem, certificate.key_pem)) return true;
  HG_LOG(kError, kControl, "the webhook keeps its certificate", {"reason", server_.problem()});
  return false;
}

void Webhook::set_settings(Settings settings) {
  const std::lock_guard lock(mutex_);
  settings_ = std::make_shared<const Settings>(std::move(settings));
}

std::shared_ptr<const Settings> Webhook::settings() const {
  const std::lock_guard lock(mutex_);
  return settings_;
}

void Webhook::stop() {
  const std::lock_guard lock(server_mutex_);
  server_.stop(std::chrono::seconds(10));
}

void Webhook::count(const std::string& result, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  ++counts_[{result, reason}];
}

Webhook::Counts Webhook::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

void Webhook::answer(const Request& request, Responder& responder) {
  if (!is_json(request)) {
    count("error", "415");
    Response refused(415);
    refused.set_body("expected application/json\n");
    responder.send(std::move(refused));
    return;
  }
  const Answer answer = answer_review(request.body(), *settings(), lookups_.find_namespace, lookups_.find_config_map);
  Response response(static_cast<uint16_t>(answer.status));
  if (answer.status != 200) {
    count("error", std::to_string(answer.status));
    response.set_body(answer.body);
    responder.send(std::move(response));
    return;
  }
  const Review& review = answer.review;
  count(decision_name(review.mutation.decision), review.mutation.reason);
  response.set_body(answer.body, "application/json");
  responder.send(std::move(response));
  const bool is_news =
      review.mutation.decision == Decision::kInjected || review.mutation.decision == Decision::kRefused;
  if (is_news && !review.dry_run && lookups_.report != nullptr) lookups_.report(review);
}

}  // namespace headgate::inject
