// merge.h -- the Ingresses of one host made into its VirtualHost: who wins, in what order paths match, what is implied.
// Thread: any (pure).   Owner: the caller.
//
// Paths of a host match as in ingress-nginx: exact, then the longest prefix; or, as soon as one Ingress of the host
// uses regular expressions (use-regex, or a rewrite-target that is not the path), all of them as patterns without case,
// anchored at the start only, the longest pattern first.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/translate/ingress.h"

namespace headgate::translate {

inline constexpr const char* kTable = "ingress";

struct HostInput {
  std::string host;                      // "*": every host
  std::vector<IngressPtr> ingresses;     // served ones, in order of precedence
  std::vector<std::string> aliases;      // further names that this host got
  std::string redirected_name{};         // the name with or without "www." that is sent here; empty: none
  UpstreamPtr default_backend{};         // for what no path takes; null: 404
};

struct MergedHost {
  config::v1::VirtualHost message;
  std::vector<control::v1::ObjectRef> origin;
};
struct HostOutput {
  std::vector<MergedHost> hosts;  // none: only canaries want it
  std::vector<Note> notes;
};
HostOutput merge_host(const HostInput& input, const Settings& settings, const Defaults& defaults);

// What a host asks for beyond itself, of the first Ingress that asks.
struct NameWishes {
  std::vector<std::string> aliases;
  std::string redirected_name;
  Precedence precedence{};  // of who asks; of the alias when there are both
};
NameWishes wishes_of(const std::string& host, const std::vector<IngressPtr>& ingresses);

// The certificate of a host: nullopt: it has no TLS; empty: the default certificate.
std::optional<std::string> certificate_of(const std::string& host, const std::vector<IngressPtr>& ingresses);

}  // namespace headgate::translate
