// grpc_web.h -- lets browsers call gRPC: application/grpc-web and -text requests become gRPC, the answers become what
// they came as.
//
// A message travels as it is; trailers, which browsers cannot read, become the last frame of the body. In the text form
// the body is base64 both ways. What is no gRPC-Web request passes untouched, and so does an answer that is no gRPC.
// Spec: gRPC "PROTOCOL-WEB".   Thread: the filter is const; each run belongs to one Exchange.
#pragma once

#include "dataplane/http/filter.h"

namespace headgate::filters {

class GrpcWeb final : public http::Filter {
 public:
  http::FilterRun* start(http::Exchange& exchange, WorkerContext& worker) const override;
};

}  // namespace headgate::filters
