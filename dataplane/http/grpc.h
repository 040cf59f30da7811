// grpc.h -- what gRPC adds to HTTP: content type, deadline, status.
// Spec: gRPC "PROTOCOL-HTTP2", "statuscodes", "http-grpc-status-mapping".   Thread: any (pure).
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "dataplane/http/message.h"

namespace headgate::http {

enum class GrpcStatus : uint8_t {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// "UNAVAILABLE"; empty for numbers that are no status.
std::string_view grpc_status_name(uint32_t code);

// Content-Type "application/grpc", also with "+proto" or parameters; not gRPC-Web.
bool is_grpc(const HeaderMap& headers);
bool is_grpc_web(const HeaderMap& headers);

// "100m" is 100 ms: up to 8 digits and one of H M S m u n. Longer than 292 years is clamped.
std::optional<std::chrono::nanoseconds> parse_grpc_timeout(std::string_view text);
// Writes a timeout with at most 8 digits in the finest unit that holds it; room for 9. Returns the end.
char* write_grpc_timeout(char* into, std::chrono::nanoseconds timeout);

// The grpc-status of a header or trailer section, if it has a valid one.
std::optional<uint32_t> grpc_status_of(const HeaderMap& fields);

// What an answer without grpc-status means to a gRPC client.
GrpcStatus grpc_status_of_http(uint16_t status);

// Makes `head` a trailers-only answer: 200, application/grpc, grpc-status, grpc-message (percent-encoded).
void write_grpc_error(ResponseHead& head, uint8_t code, std::string_view message);

}  // namespace headgate::http
