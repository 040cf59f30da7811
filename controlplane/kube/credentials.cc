#include "controlplane/kube/credentials.h"

#include "dataplane/base/log.h"
#include "dataplane/base/text.h"
#include "dataplane/tls/crypto.h"

namespace headgate::kube {
namespace {

constexpr Duration kTokenLife = std::chrono::seconds(50);  // "at least once a minute"

}  // namespace

std::string Credentials::authorization() {
  if (const std::string bearer = token(); !bearer.empty()) return "Bearer " + bearer;
  if (config_.username.empty()) return {};
  const std::string pair = config_.username + ":" + config_.password;
  return "Basic " + tls::base64_encode(Bytes(reinterpret_cast<const uint8_t*>(pair.data()), pair.size()));
}

void Credentials::forget() {
  const std::lock_guard lock(mutex_);
  stale_ = true;
}

std::string Credentials::token() {
  if (config_.token_file.empty()) return config_.token;
  const std::lock_guard lock(mutex_);
  const MonotonicTime now = clock_.now();
  if (!stale_ && now - read_at_ < kTokenLife) return file_token_;
  auto text = read_small_file(config_.token_file);
  if (!text) {
    HG_LOG(kWarn, kControl, "token file cannot be read; the token read before stays", {"file", config_.token_file},
           {"error", to_string(text.error())});
    return file_token_;
  }
  std::string_view token = *text;
  while (!token.empty() && (token.back() == '\n' || token.back() == '\r' || token.back() == ' ')) {
    token.remove_suffix(1);
  }
  if (is_field_value(token) && !token.empty()) {
    file_token_ = std::string(token);
    stale_ = false;
    read_at_ = now;
  } else {
    HG_LOG(kWarn, kControl, "token file holds no token; the token read before stays", {"file", config_.token_file});
  }
  return file_token_;
}

}  // namespace headgate::kube
