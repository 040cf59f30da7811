#include "dataplane/http/grpc.h"

#include <array>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"

namespace headgate::http {

namespace {

constexpr std::array<std::string_view, 17> kStatusNames = {
    "OK",           "CANCELLED",         "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED", "NOT_FOUND",
    "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED",       "OUT_OF_RANGE",
    "UNIMPLEMENTED", "INTERNAL",         "UNAVAILABLE",       "DATA_LOSS",          "UNAUTHENTICATED"};

constexpr std::array<std::string_view, 17> kStatusNumbers = {"0", "1", "2",  "3",  "4",  "5",  "6",  "7", "8",
                                                             "9", "10", "11", "12", "13", "14", "15", "16"};

constexpr std::string_view kGrpcType = "application/grpc";

struct Unit {
  char letter;
  int64_t nanoseconds;
};
constexpr std::array<Unit, 6> kUnits = {{{'n', 1},
                                         {'u', 1'000},
                                         {'m', 1'000'000},
                                         {'S', 1'000'000'000},
                                         {'M', 60'000'000'000},
                                         {'H', 3'600'000'000'000}}};

}  // namespace

std::string_view grpc_status_name(uint32_t code) {
  return code < kStatusNames.size() ? kStatusNames[code] : std::string_view();
}

bool is_grpc(const HeaderMap& headers) {
  if (!headers.has(FieldId::kContentType)) return false;
  const std::string_view type = headers.get(FieldId::kContentType);
  if (type == kGrpcType) [[likely]] return true;
  if (!starts_with_ignore_case(type, kGrpcType)) return false;
  return type.size() == kGrpcType.size() || type[kGrpcType.size()] == '+' || type[kGrpcType.size()] == ';' ||
         is_space(type[kGrpcType.size()]);
}

bool is_grpc_web(const HeaderMap& headers) {
  return starts_with_ignore_case(headers.get(FieldId::kContentType), "application/grpc-web");
}

std::optional<std::chrono::nanoseconds> parse_grpc_timeout(std::string_view text) {
  if (text.size() < 2 || text.size() > 9) return std::nullopt;
  const auto value = parse_decimal<uint32_t>(text.substr(0, text.size() - 1));
  if (!value) return std::nullopt;
  for (const Unit& unit : kUnits) {
    if (unit.letter != text.back()) continue;
    if (*value > static_cast<uint64_t>(INT64_MAX / unit.nanoseconds)) return std::chrono::nanoseconds::max();
    return std::chrono::nanoseconds(int64_t{*value} * unit.nanoseconds);
  }
  return std::nullopt;
}

char* write_grpc_timeout(char* into, std::chrono::nanoseconds timeout) {
  const int64_t left = timeout.count() > 0 ? timeout.count() : 0;
  for (const Unit& unit : kUnits) {
    const int64_t value = left / unit.nanoseconds;
    if (value > 99'999'999) continue;
    into = write_decimal(into, static_cast<uint64_t>(value));
    *into++ = unit.letter;
    return into;
  }
  return into;  // not reached: 2^63 ns are 2,562,047 hours
}

std::optional<uint32_t> grpc_status_of(const HeaderMap& fields) {
  const Field* field = fields.find("grpc-status");
  if (field == nullptr) return std::nullopt;
  return parse_decimal<uint32_t>(field->value);
}

GrpcStatus grpc_status_of_http(uint16_t status) {
  switch (status) {
    case 400: return GrpcStatus::kInternal;
    case 401: return GrpcStatus::kUnauthenticated;
    case 403: return GrpcStatus::kPermissionDenied;
    case 404: return GrpcStatus::kUnimplemented;
    case 429:
    case 502:
    case 503:
    case 504: return GrpcStatus::kUnavailable;
    default: return GrpcStatus::kUnknown;
  }
}

void write_grpc_error(ResponseHead& head, uint8_t code, std::string_view message) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  Arena& arena = head.headers.arena();
  // Percent-encoding of everything outside 0x20..0x7e and of '%' itself.
  const auto stays = [](char c) { return c >= ' ' && c <= '~' && c != '%'; };
  char* const text = arena.allocate_text(message.size() * 3 + 1);
  char* at = text;
  for (const char c : message) {
    if (stays(c)) {
      *at++ = c;
      continue;
    }
    const auto byte = static_cast<uint8_t>(c);
    *at++ = '%';
    *at++ = kHex[byte >> 4];
    *at++ = kHex[byte & 15];
  }
  head.status = 200;
  head.reason = {};
  head.content_length.reset();
  head.headers.set(FieldId::kContentType, kGrpcType);
  head.headers.set("grpc-status", kStatusNumbers[code < kStatusNumbers.size() ? code : 2]);
  head.headers.set("grpc-message", {text, static_cast<size_t>(at - text)});
}

}  // namespace headgate::http
