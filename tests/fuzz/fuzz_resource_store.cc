// fuzz_resource_store.cc -- scripts of pushes, reloads, blame and disconnects: after each step the store holds what it
// promises: what it serves has no broken reference, rejects and digest belong to what was given, nothing half applied.
// links: headgate_control
#include <cstdint>
#include <cstdlib>
#include <string>

#include "dataplane/control/last_good.h"
#include "dataplane/control/resource_store.h"
#include "tests/dataplane/control/last_good_bytes.h"

using namespace headgate;           // NOLINT
using namespace headgate::control;  // NOLINT
namespace cv = headgate::control::v1;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

class Script {
 public:
  Script(const uint8_t* data, size_t size) : data_(data), size_(size) {}
  uint8_t next() { return at_ < size_ ? data_[at_++] : 0; }
  [[nodiscard]] bool done() const { return at_ >= size_; }
  std::string name() { return std::string(1, static_cast<char>('a' + next() % 4)); }
  std::string rest(size_t limit) {
    const size_t count = std::min(limit, size_ - at_);
    std::string bytes(reinterpret_cast<const char*>(data_ + at_), count);
    at_ += count;
    return bytes;
  }

 private:
  const uint8_t* data_;
  size_t size_;
  size_t at_ = 0;
};

template <typename Message>
std::string body_of(Message& message, const std::string& name) {
  message.set_name(name);
  return message.SerializeAsString();
}

// Small worlds of four names per kind, so that references meet, plus raw bytes.
void add_resource(Script& script, cv::Push& push) {
  cv::Resource& resource = *push.add_upsert();
  std::string name = script.name();
  resource.set_version(static_cast<uint64_t>(script.next()) + 1);
  const uint8_t what = script.next();
  const auto kind = static_cast<cv::Kind>(what % 11);
  resource.mutable_key()->set_kind(kind);
  if (kind == cv::KIND_VIRTUAL_HOST) {
    config::v1::VirtualHost host;
    host.set_table(script.name());
    host.set_host(name + ".example");
    for (int i = script.next() % 4; i > 0; --i) {
      config::v1::Route& route = *host.add_routes();
      route.set_name(script.name());
      const uint8_t action = script.next();
      if (action % 4 == 0) route.mutable_match()->set_regex(action % 8 == 0 ? "(" : "a");
      if (action % 3 == 0) route.mutable_proxy()->add_backends()->set_upstream(script.name());
      if (action % 3 == 1) route.mutable_respond()->set_status(action * 10U);
    }
    resource.set_body(body_of(host, name));
  } else if (kind == cv::KIND_LISTENER) {
    config::v1::Listener listener;
    listener.set_address("127.0.0.1");
    listener.set_port(8000U + script.next() % 4);
    listener.set_transport(config::v1::LISTENER_TCP);
    listener.set_protocol(script.next() % 2 == 0 ? config::v1::LISTENER_HTTP : config::v1::LISTENER_HTTPS);
    listener.set_route_table(script.name());
    for (int i = script.next() % 3; i > 0; --i) listener.mutable_tls()->add_certificates()->set_secret(script.name());
    resource.set_body(body_of(listener, name));
  } else if (kind == cv::KIND_UPSTREAM) {
    config::v1::Upstream upstream;
    upstream.set_protocol(config::v1::UPSTREAM_HTTP1);
    if (script.next() % 4 == 0) upstream.mutable_tls()->set_ca(script.name());
    resource.set_body(body_of(upstream, name));
  } else if (kind == cv::KIND_ROUTE_TABLE) {
    config::v1::RouteTable table;
    resource.set_body(body_of(table, name));
  } else if (kind == cv::KIND_ENDPOINT_SHARD) {
    config::v1::EndpointShard shard;
    shard.add_upstreams()->set_upstream(script.name());
    resource.set_body(body_of(shard, name));
  } else {
    resource.set_body(script.rest(script.next()));
  }
  resource.mutable_key()->set_name(std::move(name));
}

void verify(const ResourceStore& store) {
  check::Problems problems;
  check::check_references(store.trial(), problems);
  require(!problems.has_errors());
  size_t clean = 0;
  for (const cv::KnownVersion& known : store.known()) clean += known.version() != 0 ? 1 : 0;
  require(store.known().size() == store.size());
  require((clean == store.size()) == store.rejects().empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Script script(data, size);
  ResourceStore store;
  uint64_t id = 1;
  require(store.begin(0));
  store.commit();
  while (!script.done()) {
    const uint64_t digest = store.digest();
    switch (script.next() % 6) {
      case 0:
      case 1: {  // a part of a Push
        cv::Push push;
        push.set_push_id(id);
        push.set_more(script.next() % 2 == 0);
        for (int i = script.next() % 8; i > 0; --i) add_resource(script, push);
        for (int i = script.next() % 3; i > 0; --i) {
          push.add_remove()->set_kind(static_cast<cv::Kind>(script.next() % 11));
          push.mutable_remove(push.remove_size() - 1)->set_name(script.name());
        }
        (void)store.stage(std::move(push));
        break;
      }
      case 2: store.drop_staged(); break;
      case 3: {  // a trial to its end
        const bool whole = store.has_whole_push();
        if (store.begin(0)) {
          if (script.next() % 2 == 0) {
            const check::Problem problem{.kind = static_cast<check::Kind>(script.next() % 9),
                                         .resource = script.name(),
                                         .field_path = script.next() % 2 == 0 ? "routes[1]" : script.name(),
                                         .rule = "build",
                                         .message = "no"};
            if (!store.blame({problem})) {
              store.refuse("no");
              ++id;
              break;
            }
          }
          store.commit();
        }
        require(whole || store.digest() == digest);
        require(!store.has_whole_push());
        if (whole) ++id;
        verify(store);
        break;
      }
      case 4: {  // another file
        auto base = std::make_shared<config::v1::ResourceSet>();
        if (script.next() % 2 == 0) base->add_route_tables()->set_name(script.name());
        store.set_base(script.next() % 3 == 0 ? nullptr : base);
        if (store.begin(0)) store.commit();
        break;
      }
      case 5: {  // another life
        auto push = decode_last_good(encode_last_good(all_that_serves(store, script.next() % 2 == 0)));
        require(push.has_value());
        ResourceStore other;
        push->set_push_id(1);
        require(other.stage(std::move(*push)));
        if (other.begin(0)) other.commit();
        verify(other);
        break;
      }
    }
  }
  return 0;
}
