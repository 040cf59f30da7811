// words.h -- parts of messages in the words of people. Nothing secret is among them: no values of headers that are set,
// no users, no keys.
// Thread: any (pure).
#pragma once

#include <string>

#include "dataplane/base/clock.h"
#include "dataplane/upstream/endpoint.h"
#include "headgate/config/v1/resources.pb.h"

namespace headgate::explain {

std::string match_words(const config::v1::Route& route);     // "prefix /api, method GET, header X-Version"
std::string action_words(const config::v1::Route& route);    // "redirect 308 to https://$host$request_uri"
std::string filter_words(const config::v1::HttpFilter& filter);  // "rewrite"
std::string upstream_words(const config::v1::Upstream& upstream);
std::string endpoint_words(const upstream::Endpoint& endpoint, MonotonicTime now);  // "usable"

}  // namespace headgate::explain
