// message_link.h -- a way to carry serialized messages to a controller and back: the seam behind which gRPC stands.
//
// The dataplane's own implementation speaks the gRPC protocol over dataplane/http2 (grpc_link.h); tests have others.
// Thread: control.   Owner: who opened the link; destroying it ends it silently. Destroy from a callback only by
// Loop::defer_delete.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "dataplane/event/loop.h"

namespace headgate::control {

class LinkObserver {
 public:
  // Messages can be sent. The other side has not said anything yet.
  virtual void on_link_open() = 0;
  virtual void on_link_message(std::string_view message) = 0;
  // Once, and nothing after it. `clean`: the other side ended the call with status OK. `reason` is for logs.
  virtual void on_link_closed(bool clean, const std::string& reason) = 0;

 protected:
  ~LinkObserver() = default;
};

class MessageLink : public event::Disposable {
 public:
  // Only once it is open.
  virtual void send(std::string_view message) = 0;
  virtual void finish_sending() = 0;
};

struct LinkRequest {
  std::string path;         // "/headgate.control.v1.ControlPlane/Stream"
  std::string token;        // sent as a bearer token; empty: none
  bool with_certificate = true;  // show ours, when there is one
};

// Opens links. The observer is never called from inside open(). Null with `problem` set: not possible now (a file that
// cannot be read); worth another try later.
class LinkOpener {
 public:
  virtual ~LinkOpener() = default;
  virtual std::unique_ptr<MessageLink> open(const LinkRequest& request, LinkObserver& observer, std::string& problem) = 0;
};

}  // namespace headgate::control
