// status.h -- reason phrases and classes of status codes.
// Spec: RFC 9110 15, RFC 6585, RFC 7725, RFC 8297, RFC 8470.   Thread: any (static text).
#pragma once

#include <cstdint>
#include <string_view>

namespace headgate::http {

// "Not Found"; for codes nobody registered the name of their class ("Client Error"), never empty.
std::string_view reason_phrase(uint16_t status);

constexpr bool is_informational(uint16_t status) { return status >= 100 && status < 200; }
constexpr bool is_success(uint16_t status) { return status >= 200 && status < 300; }
constexpr bool is_redirect(uint16_t status) { return status >= 300 && status < 400; }

// RFC 9110 6.4.1: responses that never have content, whatever their fields say (HEAD and CONNECT aside).
constexpr bool has_no_content(uint16_t status) { return is_informational(status) || status == 204 || status == 304; }

}  // namespace headgate::http
