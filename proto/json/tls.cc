// tls.cc -- the section `tls`, of the file and of listeners, and the material that files hold.
#include "dataplane/base/text.h"
#include "proto/json/reading.h"

namespace headgate::json {

// In timeouts.cc.
void read_listener_limits(const Reading& reading, NodeId listener_node, config::v1::Listener& listener);

namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

// A secret whose files could not be read leaves nothing to check; its name keeps references whole.
void add_certificate(Reading& reading, NodeId node, const std::string& secret, ListenerTls& tls,
                     const std::string& listener) {
  if (secret.empty()) return;
  ServerCertificate& certificate = *tls.add_certificates();
  certificate.set_secret(secret);
  const std::string path = "tls.certificates[" + std::to_string(tls.certificates_size() - 1) + "]";
  reading.positions.add(check::Kind::kListener, listener, path, node);
}

void read_into(Reading& reading, NodeId node, Listener& listener) {
  ListenerTls& tls = *listener.mutable_tls();
  const std::string& name = listener.name();
  const NodeId cert = reading.member(node, "cert");
  const NodeId key = reading.member(node, "key");
  if (cert != kNoNode || key != kNoNode) {
    add_certificate(reading, cert != kNoNode ? cert : key, reading.certificate_secret(node, cert, key), tls, name);
    if (!tls.certificates().empty()) tls.mutable_certificates(0)->set_is_default(true);
  }
  for (const NodeId one : reading.each(reading.member(node, "certificates"))) {
    if (!reading.is_object(one)) continue;
    const int before = tls.certificates_size();
    add_certificate(reading, one,
                    reading.certificate_secret(one, reading.member(one, "cert"), reading.member(one, "key")), tls,
                    name);
    if (tls.certificates_size() == before) continue;
    for (const std::string& host : reading.texts(one, "names"))
      tls.mutable_certificates(before)->add_server_names(lower_copy(host));
    reading.positions.add_list(check::Kind::kListener, name,
                               "tls.certificates[" + std::to_string(before) + "].server_names",
                               reading.each(reading.member(one, "names")));
  }
  if (const auto version = reading.text(node, "min_version"))
    tls.set_min_version(*version == "1.3" ? TLS_1_3 : TLS_1_2);
  for (const std::string& protocol : reading.texts(node, "alpn")) tls.add_alpn(protocol);
  if (const NodeId authority = reading.member(node, "client_ca"); authority != kNoNode) {
    tls.set_client_ca(reading.authority_secret(authority));
    reading.positions.add(check::Kind::kListener, name, "tls.client_ca", authority);
  }
  reading.positions.add(check::Kind::kListener, name, "tls", node);
}

}  // namespace

std::string Reading::certificate_secret(NodeId holder, NodeId cert, NodeId key) {
  if (cert == kNoNode || key == kNoNode) {
    const std::string_view missing = cert == kNoNode ? "cert" : "key";
    // In certificates[] both are required by the shape, which has said so.
    if (doc.node(doc.node(holder).parent).kind != NodeKind::kArray) {
      error(holder, "missing-key",
            "cert and key go together: the key " + quote_json(missing) + " is missing; expected the name of a file");
    }
    return "";
  }
  const auto cert_name = text(cert);
  const auto key_name = text(key);
  if (!cert_name || !key_name) return "";
  const std::pair<std::string, std::string> files(resolve(*cert_name), resolve(*key_name));
  const auto known = certificates_.find(files);
  if (known != certificates_.end()) return known->second;
  auto chain_pem = contents(cert);
  auto key_pem = contents(key);
  std::string name;
  if (chain_pem && key_pem) {
    name = files.first;
    for (const auto& [other, taken] : certificates_) {
      // The same chain with another key: one of them is wrong, and the check says which.
      if (taken == name) name += "#" + files.second;
    }
    TlsSecret& secret = *set.add_tls_secrets();
    secret.set_name(name);
    secret.set_chain_file(files.first);
    secret.set_key_file(files.second);
    secret.set_chain_pem(std::move(*chain_pem));
    secret.set_key_pem(std::move(*key_pem));
    positions.add(check::Kind::kTlsSecret, name, "", cert);
    positions.add(check::Kind::kTlsSecret, name, "key_pem", key);
  }
  certificates_.emplace(files, name);
  return name;
}

std::string Reading::authority_secret(NodeId file) {
  const auto file_name = text(file);
  if (!file_name) return "";
  const std::string path = resolve(*file_name);
  const auto known = authorities_.find(path);
  if (known != authorities_.end()) return known->second;
  std::string name;
  if (auto pem = contents(file)) {
    name = "ca:" + path;
    TlsSecret& secret = *set.add_tls_secrets();
    secret.set_name(name);
    secret.set_ca_file(path);
    secret.set_ca_pem(std::move(*pem));
    positions.add(check::Kind::kTlsSecret, name, "", file);
    if (secret.ca_pem().empty())
      error(file, "certificate", "the file is empty; expected PEM: -----BEGIN CERTIFICATE-----");
  }
  authorities_.emplace(path, name);
  return name;
}

void read_tls(Reading& reading, NodeId root) {
  const NodeId common = reading.member(root, "tls");
  bool common_used = false;
  for (const ListenerEntry& entry : reading.listeners) {
    if (!entry.usable) continue;
    Listener& listener = *reading.set.mutable_listeners(entry.index);
    read_listener_limits(reading, entry.node, listener);
    const NodeId own = reading.is_object(entry.node) ? reading.member(entry.node, "tls") : kNoNode;
    const bool ends_tls = listener.protocol() == LISTENER_HTTPS || listener.protocol() == LISTENER_TLS_STREAM;
    if (reading.is_object(own)) {
      read_into(reading, own, listener);
    } else if (reading.is_object(common) && ends_tls) {
      read_into(reading, common, listener);
      common_used = true;
    }
  }
  if (!reading.is_object(common) || common_used) return;
  // Nobody uses it: still read, so that a typing error does not wait for the listener that will.
  Listener unused;
  unused.set_name("tls");
  read_into(reading, common, unused);
  reading.warning(common, "unused", "no https or ssl listener uses this section");
}

}  // namespace headgate::json
