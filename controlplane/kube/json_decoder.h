// json_decoder.h -- JSON text straight into a message, by its descriptor; what the message lacks is stepped over.
//
// The mapping is that of protobuf's own JSON parser for what proto/kubernetes uses: text, bytes as base64, numbers
// (also in quotes), booleans, maps with text keys, messages, lists, google.protobuf.Value; null is absence. That parser
// takes in 11 MB/s of Ingresses, this one 50 to 100 (bench_kube_codec): all EndpointSlices of a large cluster are 100
// MB.
// Spec: RFC 8259; protobuf "JSON mapping".   Thread: any; const after its making.   Owner: Codec.
#pragma once

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace headgate::kube {

class JsonDecoder {
 public:
  // A field of another type than those above ends the program: the message is ours.
  explicit JsonDecoder(const google::protobuf::Descriptor& descriptor);
  JsonDecoder(const JsonDecoder&) = delete;
  JsonDecoder& operator=(const JsonDecoder&) = delete;
  ~JsonDecoder();

  // Map keys with this text are left out wherever they stand.
  void leave_out(std::string key) { left_out_ = std::move(key); }
  // False: `why` says what is wrong and where ("spec.rules[2].host: not a text"); `into` holds a part then.
  bool decode(std::string_view json, google::protobuf::Message& into, std::string& why) const;

 private:
  struct Shape;
  struct Member;
  class Run;
  const Shape* shape_of(const google::protobuf::Descriptor& descriptor);

  std::vector<std::unique_ptr<Shape>> shapes_;
  const Shape* root_;
  std::string left_out_;
};

}  // namespace headgate::kube
