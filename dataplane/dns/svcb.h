// svcb.h -- parameters of SVCB and HTTPS records: text <-> wire form.
// Spec: RFC 9460 2.1, 2.2, 7, 8, appendix A.   Thread: any.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/base/result.h"

namespace headgate::dns {

inline constexpr uint16_t kSvcMandatory = 0, kSvcAlpn = 1, kSvcNoDefaultAlpn = 2, kSvcPort = 3, kSvcIpv4Hint = 4,
                          kSvcEch = 5, kSvcIpv6Hint = 6;

struct SvcParam {
  uint16_t key = 0;
  std::vector<uint8_t> value{};
};

// One "key" or "key=value" (`has_value`), the value with its master file escapes already resolved into `value`.
// kInvalid with the reason.
Result<SvcParam> parse_svc_param(std::string_view key, bool has_value, std::string_view value);

// Sorts by key and appends the wire form; kInvalid: a key twice, or the rules of check_svc_params() broken.
Result<void> append_svc_params(std::vector<SvcParam>& params, std::vector<uint8_t>& into);

// Is `wire` a valid list: keys rising, values well formed, mandatory keys present, no-default-alpn only with alpn?
// kMalformed with the reason.
Result<void> check_svc_params(Bytes wire);

// Appends " key=value ..." of a valid list.
void print_svc_params(Bytes wire, std::string& into);

}  // namespace headgate::dns
