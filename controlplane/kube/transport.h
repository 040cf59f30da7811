// transport.h -- HTTP requests to the API server: a whole answer, or a body as it comes; deadlines, limits, cancelling.
//
// Each request in flight has a connection of its own; idle ones are kept for the next request, at most five minutes, so
// that rotated certificates are used. cpp-httplib does HTTP/1.1 underneath; what it lacks is done here: a deadline for
// the whole answer, cancelling from another thread at any moment, limits, and verification inside the TLS handshake.
// Thread: any.   Owner: the controller; outlives what it was handed to.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/kube/config.h"
#include "controlplane/kube/credentials.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/result.h"

namespace headgate::kube {

class Connection;
class Deadlines;

struct HttpRequest {
  std::string method = "GET";
  std::string target;        // path and query, encoded
  std::string body;
  std::string content_type;  // of the body
  Duration limit = std::chrono::seconds(30);    // until the last byte of the answer; zero: none
  Duration silence = std::chrono::seconds(30);  // longest wait for the next byte
  size_t max_body = 32 << 20;                   // of an answer that is collected
};

struct HttpResponse {
  int status = 0;
  std::string body;         // empty where a receiver got it
  std::string retry_after;  // the header, as it came
};

// Gets the body of an answer with status 200 as it arrives; false: enough, the connection is closed.
using BodyReceiver = std::function<bool(std::string_view piece)>;

class Transport {
 public:
  // Sends SIGPIPE of the process to nowhere, unless it has a handler: writing to a closed connection raises it.
  explicit Transport(Config config, const Clock& clock = system_clock());
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;
  ~Transport();

  // Any status is an answer. Errors: kRefused (no connection was made: nothing was sent, Retry::kYes), kTls, kReset (it
  // broke before the answer's end), kTimeout, kTooLarge, kCanceled (`stop`, or the receiver had enough), kInvalid (the
  // configuration: certificates that cannot be read). A 401 is tried again when the token file holds another token.
  Result<HttpResponse> send(const HttpRequest& request, std::stop_token stop = {});
  Result<HttpResponse> stream(const HttpRequest& request, const BodyReceiver& receiver, std::stop_token stop = {});

  [[nodiscard]] const Config& config() const { return config_; }

 private:
  Result<HttpResponse> attempt(const HttpRequest& request, const std::string& authorization,
                               const BodyReceiver* receiver, std::stop_token stop);
  Result<std::shared_ptr<Connection>> take_connection();
  void keep_connection(std::shared_ptr<Connection> connection);

  const Config config_;
  const Clock& clock_;
  Credentials credentials_;
  std::string authority_;  // the Host header
  std::unique_ptr<Deadlines> deadlines_;
  std::mutex mutex_;
  std::vector<std::shared_ptr<Connection>> idle_;
};

}  // namespace headgate::kube
