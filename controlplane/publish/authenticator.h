// authenticator.h -- who calls: the door between publish, which has connections, and identity, which knows names.
//
// publish hands over what a caller showed; nothing of it has been verified, not even the chain of the certificate (that
// the caller holds the key of its leaf is certain: TLS proved it). Afterwards publish compares each field of the Caller
// that is not empty with what the Node in Hello claims, and refuses the stream when they differ.
// Thread: authenticate() is called from one thread of the Server that does nothing else: it may block (a TokenReview),
// but every new stream waits for it.   Owner: whoever starts the Server; outlives it.
#pragma once

#include <cstdint>
#include <string>

#include "dataplane/base/result.h"

namespace headgate::publish {

struct Credentials {
  std::string certificate_chain_pem;  // leaf first; empty: the caller showed none
  std::string bearer_token;           // of `authorization: Bearer TOKEN`; empty: none
  std::string address;                // "10.1.2.3:40132", for logs
};

struct Caller {
  enum class Part : uint8_t {
    kDataplane,  // may open a Stream
    kReplica,    // another controller: may open a Relay
  };
  Part part = Part::kDataplane;
  // Empty: not known, so that whatever the Node claims is taken. All empty (a static client certificate, for proxies
  // outside a cluster): it may be any Node.
  std::string namespace_name;
  std::string service_account;
  std::string pod;
  std::string pod_uid;
};

class Authenticator {
 public:
  virtual ~Authenticator() = default;
  // kDenied: it is nobody we know (the stream ends with UNAUTHENTICATED). Any other error: we could not find out (the
  // stream ends with UNAVAILABLE, and the dataplane comes back). `Error::detail` is logged, and sent for kDenied and
  // for kNotFound (what the credentials are bound to is not there, or not yet).
  virtual Result<Caller> authenticate(const Credentials& credentials) = 0;
};

}  // namespace headgate::publish
