// request.h -- what a handler of headgate::Server sees of a request.
//
//   RequestView  views that are valid during the call of a handler that runs on a worker
//   Request      the same with memory of its own, for handlers that run on the thread pool
//
// Thread: a RequestView is the worker's; a Request is that of whoever holds it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace headgate {

struct HeaderField {
  std::string_view name;  // as sent
  std::string_view value;
};

// A part of the path that a pattern names: "/users/{id}" -> {"id", "42"}.
struct PathParameter {
  std::string_view name;
  std::string_view value;  // percent-decoded
};

class RequestView {
 public:
  [[nodiscard]] std::string_view method() const { return parts_.method; }  // "GET"
  // As sent, without the authority of an absolute-form target: "/a%20b?x=1".
  [[nodiscard]] std::string_view target() const { return parts_.target; }
  // Without query; dot segments resolved and unreserved characters decoded, the rest percent-encoded: what routing
  // matched.
  [[nodiscard]] std::string_view path() const { return parts_.path; }
  [[nodiscard]] std::string_view query() const { return parts_.query; }  // without '?', as sent
  [[nodiscard]] std::string_view host() const { return parts_.host; }    // lower case, without port; may be empty
  [[nodiscard]] bool is_secure() const { return parts_.secure; }         // arrived over TLS
  [[nodiscard]] std::string_view client_address() const { return parts_.client; }  // empty for a Unix socket
  [[nodiscard]] std::span<const HeaderField> headers() const { return parts_.headers; }
  // Decoded from chunks; empty when there is none. At most ServerLimits::body_bytes.
  [[nodiscard]] std::string_view body() const { return parts_.body; }

  // The first field of that name (in any case), or nullopt.
  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const;
  // A `{name}` of the pattern; empty when it has none of that name.
  [[nodiscard]] std::string_view parameter(std::string_view name) const;
  // The first value of a query parameter with "+" and %XX decoded, or nullopt.
  [[nodiscard]] std::optional<std::string> query_value(std::string_view name) const;

  struct Parts {
    std::string_view method;
    std::string_view target;
    std::string_view path;
    std::string_view query;
    std::string_view host;
    std::string_view client;
    std::string_view body;
    std::span<const HeaderField> headers;
    std::span<const PathParameter> parameters;
    bool secure = false;
  };
  // All views outlive this object.
  explicit RequestView(const Parts& parts) : parts_(parts) {}

 protected:
  Parts parts_;
};

class Request final : public RequestView {
 public:
  // Copies the head and takes the body.
  Request(const RequestView& head, std::string body);
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

 private:
  std::unique_ptr<char[]> text_;
  std::unique_ptr<HeaderField[]> fields_;
  std::unique_ptr<PathParameter[]> parameters_;
  std::string body_;
};

// `text` with %XX decoded; what is no valid %XX stays. `plus_is_space` as in forms.
std::string decode_percent(std::string_view text, bool plus_is_space);

}  // namespace headgate
