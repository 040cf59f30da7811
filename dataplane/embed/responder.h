// responder.h -- how a handler on the thread pool answers: at once with send(), or piece by piece.
//
//   send(response)                      the whole answer
//   begin(head); write(...)...; end();  a body of any length, in bounded memory
//
// Each call hands its part to the worker that has the connection; send() and begin() do not wait for it. A handler that
// returns without an answer makes it a 500; one that returns (or throws) after begin() without end() aborts the answer,
// so that the client sees that something is missing.
// Thread: that of the handler (one at a time).   Owner: the thread pool; valid during the call of the handler.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "dataplane/embed/response.h"

namespace headgate {

namespace embed {
class BlockingCall;
}

class Responder {
 public:
  // Bytes of one answer that may wait for the client before write() blocks.
  static constexpr size_t kMaxUnsent = 256 * 1024;

  explicit Responder(std::shared_ptr<embed::BlockingCall> call) : call_(std::move(call)) {}
  Responder(const Responder&) = delete;
  Responder& operator=(const Responder&) = delete;

  // False when the client has left, or an answer has begun already.
  bool send(Response response);
  // Status and fields of `head`; its body must be empty. `length` of the body to come, when it is known. False as above,
  // and when `head` cannot be sent (that is a 500).
  bool begin(Response head, std::optional<uint64_t> length = std::nullopt);
  // Blocks while more than kMaxUnsent bytes are unsent. False once the client has left (or the server has stopped
  // waiting for us): nothing of what follows will arrive. An empty text sends nothing and tells the same.
  bool write(std::string_view bytes);
  // The body is complete. False as above.
  bool end();

  [[nodiscard]] bool has_answered() const;
  [[nodiscard]] bool client_has_left() const;

 private:
  std::shared_ptr<embed::BlockingCall> call_;
};

}  // namespace headgate
