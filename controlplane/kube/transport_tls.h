// transport_tls.h -- a cpp-httplib client whose TLS is verified by OpenSSL in the handshake.
// Thread: any.   Owner: Connection.
#pragma once

#include <httplib.h>

#include <memory>

#include "controlplane/kube/config.h"
#include "dataplane/base/result.h"

namespace headgate::kube {

// kInvalid: a certificate or key of the configuration is unusable; kNotFound and others: its file cannot be read.
Result<std::unique_ptr<httplib::ClientImpl>> make_http_client(const Config& config);

// The first error in OpenSSL's list of this thread, a static text; empties the list. Called before a request, too.
const char* take_tls_failure();

}  // namespace headgate::kube
