#include "dataplane/embed/listening.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "dataplane/base/log.h"
#include "dataplane/net/socket.h"
#include "dataplane/tls/crypto.h"

namespace headgate::embed {
namespace {

Result<std::string> read_file(const std::string& path, std::string& why) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (!file || text.str().empty()) {
    why = path + ": cannot be read, or is empty";
    return Error{.code = Errc::kSystem, .detail = "certificate file"};
  }
  return text.str();
}

// `source` stands for the certificate in messages.
Result<std::shared_ptr<const snapshot::ListenerTls>> build_tls(std::string_view chain, std::string key,
                                                               const std::string& source, const std::string& listener,
                                                               std::string& why) {
  constexpr Error kBad{.code = Errc::kTls, .detail = "certificate"};
  auto parsed = tls::Certificate::parse(chain, std::move(key), {}, system_clock().wall());
  std::vector<std::string> warnings = std::move(parsed.warnings);
  if (parsed.certificate == nullptr) {
    why = source + ": " + parsed.problem;
    return kBad;
  }
  auto built = std::make_shared<snapshot::ListenerTls>();
  built->settings.listener = listener;
  built->settings.protocol.alpn = {"http/1.1"};
  built->fingerprint = listener;  // all settings are fixed: only certificates change
  const tls::CertificateBinding binding{.certificate = parsed.certificate, .is_default = true};
  built->names = tls::ServerNames::build({&binding, 1}, why, warnings);
  for (const std::string& warning : warnings) {
    HG_LOG(kWarn, kTls, "certificate", {"file", source}, {"warning", warning});
  }
  if (built->names == nullptr) return kBad;
  // Made once here, so that what a worker could not use is known now.
  if (tls::ServerContext::make(built->settings, built->names, why) == nullptr) return kBad;
  return std::shared_ptr<const snapshot::ListenerTls>(std::move(built));
}

Result<std::shared_ptr<const snapshot::ListenerTls>> read_tls(const ListenOptions& options, const std::string& listener,
                                                              std::string& why) {
  const auto chain = read_file(options.certificate_file, why);
  if (!chain) return chain.error();
  auto key = read_file(options.key_file, why);
  if (!key) return key.error();
  return build_tls(*chain, *std::move(key), options.certificate_file, listener, why);
}

// SO_REUSEPORT would let us share the port of a stranger that uses it too: is it free for us alone?
Result<void> check_port_is_free(const SocketAddress& address) {
  const UniqueFd probe(::socket(address.domain(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!probe.valid()) return system_error("socket");
  const int on = 1;
  const int v6_only = address.address().is_any() ? 0 : 1;
  ::setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (address.domain() == AF_INET6) ::setsockopt(probe.get(), IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, sizeof(v6_only));
  sockaddr_storage storage{};
  const socklen_t length = address.fill(storage);
  if (::bind(probe.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0) return system_error("bind");
  return {};
}

bool is_socket_file(const SocketAddress& address) { return address.is_unix() && !address.path().starts_with('@'); }

}  // namespace

Result<std::unique_ptr<Listening>> Listening::open(std::string_view address, const ListenOptions& options,
                                                   uint32_t workers, std::string& why) {
  std::unique_ptr<Listening> listening(new Listening());  // NOLINT: private constructor
  auto parsed = SocketAddress::parse(address);
  if (!parsed) {
    why = "\"" + std::string(address) + "\" is no address to listen on";
    return Error{.code = Errc::kInvalid, .detail = "address to listen on"};
  }
  if (!options.certificate_file.empty() && !options.certificate_pem.empty()) {
    why = "a certificate is given as files or as text";
    return Error{.code = Errc::kInvalid, .detail = "certificate as files and as text"};
  }
  if (options.certificate_file.empty() != options.key_file.empty() ||
      options.certificate_pem.empty() != options.key_pem.empty()) {
    why = "a certificate and its key go together";
    return Error{.code = Errc::kInvalid, .detail = "certificate without key, or key without certificate"};
  }
  listening->address_ = *std::move(parsed);
  listening->options_ = options;
  if (auto bound = listening->bind(workers, why); !bound) return bound.error();
  if (!options.certificate_file.empty()) {
    if (auto read = listening->reload(why); !read) return read.error();
  }
  if (!options.certificate_pem.empty()) {
    if (auto set = listening->set_certificate(options.certificate_pem, options.key_pem, why); !set) return set.error();
    tls::wipe(listening->options_.key_pem);
  }
  return listening;
}

Result<void> Listening::bind(uint32_t workers, std::string& why) {
  const auto failed = [&](const Error& error) {
    why = address_.to_string() + ": " + to_string(error);
    return error;
  };
  net::BindOptions options{.reuse_port = address_.is_ip() && workers > 1, .unix_mode = options_.unix_mode};
  if (options.reuse_port && address_.port() != 0) {
    if (auto is_free = check_port_is_free(address_); !is_free) return failed(is_free.error());
  }
  while (sockets_.size() < workers) {
    if (address_.is_unix() && !sockets_.empty()) {
      UniqueFd copy(::fcntl(sockets_.front().get(), F_DUPFD_CLOEXEC, 3));
      if (!copy.valid()) return failed(system_error("dup"));
      sockets_.push_back(std::move(copy));
      continue;
    }
    auto socket = net::bind_socket(address_, options);
    if (!socket) return failed(socket.error());
    if (address_.is_ip() && address_.port() == 0) {
      const auto local = net::local_address(socket->get());
      if (!local) return failed(local.error());
      address_.set_port(local->port());
    }
    sockets_.push_back(*std::move(socket));
  }
  struct stat status{};
  if (is_socket_file(address_) && ::lstat(address_.path().c_str(), &status) == 0) {
    device_ = status.st_dev;
    inode_ = status.st_ino;
  }
  return {};
}

Result<void> Listening::reload(std::string& why) {
  if (options_.certificate_file.empty()) return {};
  auto read = read_tls(options_, address_.to_string(), why);
  if (!read) return read.error();
  tls_ = *std::move(read);
  return {};
}

Result<void> Listening::set_certificate(std::string_view certificate_pem, std::string_view key_pem, std::string& why) {
  if (options_.certificate_pem.empty()) return {};
  auto built = build_tls(certificate_pem, std::string(key_pem), "certificate", address_.to_string(), why);
  if (!built) return built.error();
  tls_ = *std::move(built);
  return {};
}

Listening::~Listening() {
  if (inode_ == 0) return;
  struct stat status{};
  const char* path = address_.path().c_str();
  // Another process may have taken the path over.
  if (::lstat(path, &status) == 0 && status.st_dev == device_ && status.st_ino == inode_) ::unlink(path);
}

}  // namespace headgate::embed
