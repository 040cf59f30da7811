// control_opener.h -- links to the controller with the credentials of this process; gets and renews its certificate.
//
// Three ways to show who we are: a token (exchanged for a certificate by Certify, renewed at half of its life; the stream
// itself is opened with the certificate), a certificate in files, or nothing (plaintext, loopback only).
// Files are read again for every link: tokens and authorities are rotated by whoever mounts them.
// Thread: control.   Owner: ControlClient.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "dataplane/base/random.h"
#include "dataplane/control/grpc_link.h"
#include "dataplane/control/identity.h"

namespace headgate::control {

struct ControlCredentials {
  std::string target;      // HOST:PORT
  std::string ca_file;     // empty: the system's authorities
  std::string token_file;  // one of the two, or insecure
  std::string cert_file;
  std::string key_file;
  bool insecure = false;
  std::string pod_uid;  // sent with Certify
};

class ControlOpener final : public LinkOpener, private LinkObserver {
 public:
  static constexpr Duration kFirstPause = std::chrono::milliseconds(100);
  static constexpr Duration kLongestPause = std::chrono::seconds(15);

  ControlOpener(event::Loop& loop, upstream::Resolver& resolver, ControlCredentials credentials);

  // Null: usable. Else what is wrong with the options or files (for exit code 2).
  std::string check();
  // `on_identity` is called whenever there is another certificate.
  void start(std::function<void()> on_identity);
  std::unique_ptr<MessageLink> open(const LinkRequest& request, LinkObserver& observer, std::string& problem) override;

 private:
  void on_link_open() override;
  void on_link_message(std::string_view message) override;
  void on_link_closed(bool clean, const std::string& reason) override;
  void on_timer();
  void certify();
  void certify_failed(const std::string& reason);
  std::shared_ptr<tls::ClientContext> make_context(bool with_certificate, std::string& problem);

  event::Loop& loop_;
  upstream::Resolver& resolver_;
  const ControlCredentials credentials_;
  GrpcTarget target_;
  Random random_;
  event::Timer timer_;
  std::function<void()> on_identity_;
  Identity identity_;
  std::string more_roots_pem_;  // told by the controller
  std::unique_ptr<MessageLink> link_;  // of the Certify under way
  CertificateRequest request_;
  std::string answer_;
  Duration pause_ = kFirstPause;
};

}  // namespace headgate::control
