// method.h -- request methods we treat specially; any other token is kOther and keeps its text.
// Spec: RFC 9110 9, RFC 5789 (PATCH).   Thread: any.
#pragma once

#include <cstdint>
#include <string_view>

namespace headgate::http {

enum class Method : uint8_t { kOther, kGet, kHead, kPost, kPut, kDelete, kConnect, kOptions, kTrace, kPatch };

constexpr Method parse_method(std::string_view text) {
  switch (text.size()) {
    case 3:
      if (text == "GET") return Method::kGet;
      if (text == "PUT") return Method::kPut;
      break;
    case 4:
      if (text == "POST") return Method::kPost;
      if (text == "HEAD") return Method::kHead;
      break;
    case 5:
      if (text == "PATCH") return Method::kPatch;
      if (text == "TRACE") return Method::kTrace;
      break;
    case 6:
      if (text == "DELETE") return Method::kDelete;
      break;
    case 7:
      if (text == "OPTIONS") return Method::kOptions;
      if (text == "CONNECT") return Method::kConnect;
      break;
    default: break;
  }
  return Method::kOther;
}

// RFC 9110 9.2.2: may be sent twice without harm.
constexpr bool is_idempotent(Method method) {
  switch (method) {
    case Method::kGet:
    case Method::kHead:
    case Method::kPut:
    case Method::kDelete:
    case Method::kOptions:
    case Method::kTrace: return true;
    case Method::kOther:
    case Method::kPost:
    case Method::kConnect:
    case Method::kPatch: return false;
  }
  return false;
}

}  // namespace headgate::http
