#include "controlplane/translate/resource.h"

#include <cstddef>
#include <tuple>
#include <utility>

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "dataplane/tls/crypto.h"

namespace headgate::translate {

namespace {

std::string serialize(const google::protobuf::Message& message) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream coded(&stream);
  coded.SetSerializationDeterministic(true);
  message.SerializeToCodedStream(&coded);
  coded.Trim();
  return bytes;
}

// Of a strong digest: tenants write part of what is hashed, and must not be able to make a change look like none.
uint64_t content_version(const Resource& resource) {
  const tls::Sha256Digest body = tls::sha256(resource.body);
  std::string text = control::v1::Kind_Name(resource.kind) + '\n' + resource.name + '\n';
  text.append(body.begin(), body.end());
  const tls::Sha256Digest whole = tls::sha256(text);
  uint64_t version = 0;
  for (size_t i = 0; i < sizeof version; ++i) version = version << 8 | whole[i];
  return version == 0 ? 1 : version;
}

}  // namespace

ResourcePtr encode(control::v1::Kind kind, std::string name, const google::protobuf::Message& message,
                   std::vector<control::v1::ObjectRef> origin) {
  auto resource = std::make_shared<Resource>();
  resource->kind = kind;
  resource->name = std::move(name);
  resource->body = serialize(message);
  resource->origin = std::move(origin);
  resource->version = content_version(*resource);
  return resource;
}

}  // namespace headgate::translate
