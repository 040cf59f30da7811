// response.h -- what a handler of headgate::Server answers: status, fields, and a body in memory or made piece by piece.
//
// Whatever a handler puts in it, nothing that would break the framing leaves: a field with a control character, a field
// of the framing itself (Content-Length, Connection ...), a status outside 200-599, or a body with 204 or 304 make the
// answer a logged 500.
// Thread: that of whoever holds it (a value).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headgate {

class Response {
 public:
  // Appends the next bytes to the empty `chunk` and returns true while more may follow. Called on the worker whenever
  // the client can take more, so it must not block; true with nothing appended aborts the answer.
  using Producer = std::function<bool(std::string& chunk)>;

  Response() = default;
  explicit Response(uint16_t code) : status_(code) {}

  Response& set_status(uint16_t code);
  // Replaces every field of that name.
  Response& set_header(std::string_view name, std::string_view value);
  // Adds one more: Set-Cookie.
  Response& add_header(std::string_view name, std::string_view value);
  // Any bytes. An empty type sends no Content-Type.
  Response& set_body(std::string bytes, std::string_view content_type = "text/plain; charset=utf-8");
  // Instead of set_body(). With a length the answer is aborted when the pieces do not add up to it; without one it is
  // sent in chunks. The producer lives until the answer is over or the client has left.
  Response& set_stream(Producer producer, std::string_view content_type, std::optional<uint64_t> length = std::nullopt);

  using Fields = std::vector<std::pair<std::string, std::string>>;
  [[nodiscard]] uint16_t status() const { return status_; }
  [[nodiscard]] const Fields& headers() const { return headers_; }
  [[nodiscard]] const std::string& body() const { return body_; }
  [[nodiscard]] bool is_stream() const { return producer_ != nullptr; }
  [[nodiscard]] std::optional<uint64_t> stream_length() const { return length_; }
  std::string take_body() { return std::move(body_); }
  Producer take_producer() { return std::move(producer_); }

  // Why this cannot be sent; empty when it can.
  [[nodiscard]] std::string_view problem() const;

 private:
  uint16_t status_ = 200;
  Fields headers_;
  std::string body_;
  Producer producer_;
  std::optional<uint64_t> length_;
};

}  // namespace headgate
