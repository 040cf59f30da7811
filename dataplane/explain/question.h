// question.h -- the request that is asked about: from words of a command line, over the admin socket, to a parsed head.
// Thread: any (pure).   Errors: kInvalid with the reason; what a client may not send either is refused in the same words.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/result.h"

namespace headgate::explain {

inline constexpr size_t kMaxQueryBytes = 60 * 1024;  // in its encoded form

struct Question {
  std::string url;              // "https://shop.example:8443/cart?id=7"
  std::string method = "GET";
  std::vector<std::string> headers;  // "X-Version: 2"
  std::string client = "127.0.0.1";  // address

  // -- of the url, by parse()
  bool tls = false;
  uint16_t port = 0;  // that of the scheme when the url names none
  std::string authority;
  std::string target;  // "/cart?id=7"
  IpAddress address;   // of the client
  std::vector<std::pair<std::string, std::string>> fields;
};

// Fills the second half from the first.
Result<void> parse(Question& question, std::string& problem);

// As the query of GET /explain, and back; nullopt-like empty url: not ours.
std::string to_query(const Question& question);
Result<Question> from_query(std::string_view query);

}  // namespace headgate::explain
