#include "dataplane/control/control_opener.h"

#include <algorithm>

#include "dataplane/base/log.h"
#include "dataplane/base/text.h"
#include "dataplane/control/config_loader.h"
#include "dataplane/tls/crypto.h"
#include "dataplane/tls/trust_store.h"
#include "headgate/control/v1/identity.pb.h"

namespace headgate::control {
namespace {

WallTime time_of(const google::protobuf::Timestamp& stamp) {
  return WallTime(std::chrono::seconds(stamp.seconds()) + std::chrono::nanoseconds(stamp.nanos()));
}

}  // namespace

ControlOpener::ControlOpener(event::Loop& loop, upstream::Resolver& resolver, ControlCredentials credentials)
    : loop_(loop),
      resolver_(resolver),
      credentials_(std::move(credentials)),
      timer_(loop.timers(), event::Timer::call<&ControlOpener::on_timer>, this) {}

std::string ControlOpener::check() {
  auto target = parse_grpc_target(credentials_.target);
  if (!target) return "-control '" + credentials_.target + "': " + target.error().detail;
  target_ = std::move(*target);
  if (credentials_.insecure) {
    const auto address = IpAddress::parse(target_.host);
    const bool loopback = target_.host == "localhost" || (address && address->is_loopback());
    if (!loopback) return "-control-insecure is for a controller on a loopback address only";
    return "";
  }
  std::string problem;
  make_context(!credentials_.cert_file.empty(), problem);
  return problem;
}

std::shared_ptr<tls::ClientContext> ControlOpener::make_context(bool with_certificate, std::string& problem) {
  tls::ClientSettings settings;
  settings.protocol.alpn = {"h2"};
  if (!credentials_.ca_file.empty()) {
    auto pem = read_whole_file(credentials_.ca_file);
    if (!pem) {
      problem = credentials_.ca_file + ": " + to_string(pem.error());
      return nullptr;
    }
    auto store = tls::TrustStore::parse(*pem + "\n" + more_roots_pem_);
    if (store.store == nullptr) {
      problem = credentials_.ca_file + ": " + store.problem;
      return nullptr;
    }
    settings.authorities = std::move(store.store);
  }
  if (with_certificate && !credentials_.cert_file.empty()) {
    auto chain = read_whole_file(credentials_.cert_file);
    auto key = read_whole_file(credentials_.key_file);
    if (!chain || !key) {
      problem = (chain ? credentials_.key_file : credentials_.cert_file) + ": " +
                to_string(chain ? key.error() : chain.error());
      return nullptr;
    }
    auto parsed = tls::Certificate::parse(*chain, std::move(*key), {}, loop_.wall());
    if (parsed.certificate == nullptr) {
      problem = credentials_.cert_file + ": " + parsed.problem;
      return nullptr;
    }
    settings.certificate = std::move(parsed.certificate);
  } else if (with_certificate && !credentials_.token_file.empty()) {
    if (!identity_.usable(loop_.wall())) {
      problem = "no certificate from the controller yet";
      return nullptr;
    }
    settings.certificate = identity_.certificate();
  }
  auto context = tls::ClientContext::make(settings, problem);
  return context;
}

std::unique_ptr<MessageLink> ControlOpener::open(const LinkRequest& request, LinkObserver& observer,
                                                 std::string& problem) {
  std::shared_ptr<tls::ClientContext> context;
  if (!credentials_.insecure) {
    context = make_context(request.with_certificate, problem);
    if (context == nullptr) return nullptr;
  }
  auto link = std::make_unique<GrpcLink>(loop_, resolver_, target_, std::move(context), request, observer);
  link->start();
  return link;
}

// -- Certify ----------------------------------------------------------------------------------------------------------------

void ControlOpener::start(std::function<void()> on_identity) {
  on_identity_ = std::move(on_identity);
  if (!credentials_.insecure && !credentials_.token_file.empty()) certify();
}

void ControlOpener::on_timer() {
  if (link_ != nullptr) return certify_failed("no answer in time");
  certify();
}

void ControlOpener::certify() {
  auto token = read_whole_file(credentials_.token_file);
  if (!token) return certify_failed(credentials_.token_file + ": " + to_string(token.error()));
  auto request = make_certificate_request();
  if (!request) return certify_failed(to_string(request.error()));
  request_ = std::move(*request);
  answer_.clear();
  std::string problem;
  link_ = open({.path = "/headgate.control.v1.Identity/Certify",
                .token = std::string(trim(*token)),
                .with_certificate = false},
               *this, problem);
  if (link_ == nullptr) return certify_failed(problem);
  timer_.arm(std::chrono::seconds(20));
}

void ControlOpener::on_link_open() {
  control::v1::CertifyRequest message;
  message.set_csr_der(request_.csr_der);
  message.set_pod_uid(credentials_.pod_uid);
  link_->send(message.SerializeAsString());
  link_->finish_sending();
}

void ControlOpener::on_link_message(std::string_view message) { answer_ = message; }

void ControlOpener::on_link_closed(bool clean, const std::string& reason) {
  if (link_ == nullptr) return;
  if (!clean) return certify_failed(reason);
  control::v1::CertifyResponse answer;
  if (!answer.ParseFromString(answer_)) return certify_failed("an answer that is no CertifyResponse");
  const auto accepted = identity_.accept(answer.chain_pem(), std::move(request_.key_pem), time_of(answer.not_after()),
                                         time_of(answer.renew_after()), loop_.wall());
  request_ = {};
  if (!accepted) return certify_failed(to_string(accepted.error()));
  if (tls::TrustStore::parse(answer.roots_pem()).store != nullptr) more_roots_pem_ = answer.roots_pem();
  loop_.defer_delete(std::move(link_));
  link_ = nullptr;
  pause_ = kFirstPause;
  // Dataplanes that started together do not renew together: +-5 %.
  const auto wait = std::chrono::duration_cast<Duration>(identity_.renew_at() - loop_.wall());
  timer_.arm(Duration(static_cast<int64_t>(static_cast<double>(wait.count()) * (0.95 + 0.1 * random_.unit()))));
  HG_LOG(kInfo, kControl, "certificate received", {"renew_in_s", to_seconds(wait)});
  on_identity_();
}

void ControlOpener::certify_failed(const std::string& reason) {
  HG_LOG(kWarn, kControl, "no certificate from the controller", {"reason", reason});
  tls::wipe(request_.key_pem);
  if (link_ != nullptr) loop_.defer_delete(std::move(link_));
  link_ = nullptr;
  timer_.arm(Duration(static_cast<int64_t>(random_.unit() * static_cast<double>(pause_.count()))));
  pause_ = std::min(pause_ * 2, kLongestPause);
}

}  // namespace headgate::control
