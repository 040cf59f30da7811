#include "proto/check/htpasswd.h"

#include "dataplane/base/text.h"

namespace headgate::check {

bool parse_htpasswd(std::string_view text, google::protobuf::RepeatedPtrField<config::v1::NameValue>& users,
                    std::string& why) {
  constexpr int kMostUsers = 100'000;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    std::string_view line = trim(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0) {
      why = "line " + std::to_string(number) + ": expected NAME:HASH";
      return false;
    }
    if (users.size() >= kMostUsers) {
      why = "more than 100000 users";
      return false;
    }
    std::string_view hash = line.substr(colon + 1);
    // nginx takes "name:hash:comment", too.
    hash = hash.substr(0, hash.find(':'));
    config::v1::NameValue& user = *users.Add();
    user.set_name(std::string(line.substr(0, colon)));
    user.set_value(std::string(trim(hash)));
  }
  return true;
}

}  // namespace headgate::check
