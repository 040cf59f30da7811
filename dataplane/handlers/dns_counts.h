// dns_counts.h -- what both halves of the DNS server decide and count the same way.
// Thread: worker.
#pragma once

#include "dataplane/base/bytes.h"
#include "dataplane/base/counters.h"
#include "dataplane/dns/answer.h"

namespace headgate::handlers {

// Not ours: may resolvers be asked instead? Only what they would be asked by a client, too (class IN, no meta types).
inline bool is_for_resolvers(const dns::AnswerReport& report, const dns::QueryView& view) {
  return (report.outcome == dns::Outcome::kNotOurs || report.falls_through) && view.klass == dns::kClassIn &&
         !dns::is_meta_type(view.type);
}

inline void count_dns_response(Counters& counters, Bytes response) {
  switch (response[3] & 15) {
    case dns::kRcodeNoError: counters.add(Counter::kDnsNoError); return;
    case dns::kRcodeNxDomain: counters.add(Counter::kDnsNxDomain); return;
    case dns::kRcodeRefused: counters.add(Counter::kDnsRefused); return;
    default: counters.add(Counter::kDnsOtherCode); return;
  }
}

}  // namespace headgate::handlers
