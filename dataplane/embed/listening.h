// listening.h -- the sockets of one listen() call, one for each worker, and its TLS settings.
// Thread: that of the Server.   Owner: Server.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/embed/server.h"
#include "dataplane/snapshot/snapshot.h"

namespace headgate::embed {

class Listening {
 public:
  // Bound and listening, `workers` sockets: for TCP one each in one SO_REUSEPORT group, for Unix one that they share.
  // Errors: kInvalid (address, options), kSystem, kTls; `why` gets a sentence.
  static Result<std::unique_ptr<Listening>> open(std::string_view address, const ListenOptions& options,
                                                 uint32_t workers, std::string& why);
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;
  // Removes the file of a Unix socket, if it is still ours.
  ~Listening();

  // Reads the certificate files again. The old ones stay on failure.
  Result<void> reload(std::string& why);
  // For a listener whose certificate is a text; nothing for the others. The old one stays on failure.
  Result<void> set_certificate(std::string_view certificate_pem, std::string_view key_pem, std::string& why);
  // One socket for each worker; once.
  std::vector<UniqueFd> take_sockets() { return std::move(sockets_); }

  [[nodiscard]] const SocketAddress& address() const { return address_; }
  [[nodiscard]] bool is_shared() const { return address_.is_unix(); }
  [[nodiscard]] std::shared_ptr<const snapshot::ListenerTls> tls() const { return tls_; }

 private:
  Listening() = default;
  Result<void> bind(uint32_t workers, std::string& why);

  SocketAddress address_;  // with the port that was chosen
  ListenOptions options_;
  std::vector<UniqueFd> sockets_;
  std::shared_ptr<const snapshot::ListenerTls> tls_;
  dev_t device_ = 0;
  ino_t inode_ = 0;  // 0: no socket file
};

}  // namespace headgate::embed
