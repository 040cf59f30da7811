// push.cc -- what a Push of one changed resource among many costs the control thread of a dataplane, and what they take.
// links: headgate_control
#include <malloc.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>

#include "dataplane/control/resource_store.h"
#include "dataplane/snapshot/build.h"

namespace {

using namespace headgate;
namespace cv = control::v1;

double milliseconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

double heap_mib() {
  const struct mallinfo2 info = mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd) / (1 << 20);
}

std::string number(int i) { return std::to_string(100000 + i); }

template <typename Message>
void add(cv::Push& push, cv::Kind kind, const Message& message, uint64_t version) {
  cv::Resource& resource = *push.add_upsert();
  resource.mutable_key()->set_kind(kind);
  resource.mutable_key()->set_name(message.name());
  resource.set_version(version);
  resource.set_body(message.SerializeAsString());
  cv::ObjectRef& origin = *resource.add_origin();
  origin.set_kind("Ingress");
  origin.set_namespace_("shop");
  origin.set_name(message.name());
  origin.set_uid("0c2c3a8e-8d0c-4c0f-9d0e-0c2c3a8e8d0c");
}

void add_host(cv::Push& push, int i, uint64_t version) {
  config::v1::VirtualHost host;
  host.set_name("web/h" + number(i) + ".example");
  host.set_table("web");
  host.set_host("h" + number(i) + ".example");
  config::v1::Route& route = *host.add_routes();
  route.set_name("shop/i" + number(i));
  route.mutable_match()->set_prefix("/");
  route.mutable_proxy()->add_backends()->set_upstream("shop/u" + number(i));
  route.mutable_proxy()->mutable_timeouts()->mutable_request()->set_seconds(static_cast<int64_t>(60 + version));
  add(push, cv::KIND_VIRTUAL_HOST, host, version);
}

void add_upstream(cv::Push& push, int i) {
  config::v1::Upstream upstream;
  upstream.set_name("shop/u" + number(i));
  upstream.set_protocol(config::v1::UPSTREAM_HTTP1);
  add(push, cv::KIND_UPSTREAM, upstream, 1);
}

void add_shard(cv::Push& push, int i, uint64_t version) {
  config::v1::EndpointShard shard;
  shard.set_name("shop/s" + number(i));
  shard.add_upstreams()->set_upstream("shop/u" + number(i));
  config::v1::Endpoint& endpoint = *shard.add_endpoints();
  endpoint.set_host("10.0.0." + std::to_string(version % 250));
  endpoint.set_port(8080);
  endpoint.set_ready(true);
  endpoint.set_weight(1);
  add(push, cv::KIND_ENDPOINT_SHARD, shard, version);
}

void add_base(cv::Push& push) {
  config::v1::RouteTable table;
  table.set_name("web");
  add(push, cv::KIND_ROUTE_TABLE, table, 1);
  config::v1::Listener listener;
  listener.set_name("web");
  listener.set_address("127.0.0.1");
  listener.set_port(8080);
  listener.set_transport(config::v1::LISTENER_TCP);
  listener.set_protocol(config::v1::LISTENER_HTTP);
  listener.set_route_table("web");
  add(push, cv::KIND_LISTENER, listener, 1);
}

class Dataplane {
 public:
  void apply(cv::Push push) {
    push.set_push_id(++id_);
    const bool staged = store_.stage(std::move(push)) && store_.begin(0);
    auto built = builder_.build(store_.view());
    if (!staged || built.snapshot == nullptr || !store_.rejects().empty()) {
      std::printf("not applied\n");
      for (const auto& problem : built.problems) std::printf("%s\n", check::to_string(problem).c_str());
      std::exit(1);
    }
    store_.commit();
    snapshot_ = built.snapshot;
    builder_.retain(*snapshot_);
  }

 private:
  control::ResourceStore store_;
  snapshot::Builder builder_;
  std::shared_ptr<const snapshot::Snapshot> snapshot_;
  uint64_t id_ = 0;
};

void measure(const char* what, Dataplane& dataplane, const std::function<void(cv::Push&, uint64_t)>& change) {
  constexpr int kTurns = 50;
  const double begin = milliseconds();
  for (int turn = 0; turn < kTurns; ++turn) {
    cv::Push push;
    change(push, static_cast<uint64_t>(turn + 2));
    dataplane.apply(std::move(push));
  }
  std::printf("  %-22s %8.2f ms CPU\n", what, (milliseconds() - begin) / kTurns);
}

}  // namespace

int main() {
  for (const int count : {100, 3000, 10000}) {
    const double heap = heap_mib();
    Dataplane dataplane;
    cv::Push all;
    add_base(all);
    for (int i = 0; i < count; ++i) {
      add_host(all, i, 1);
      add_upstream(all, i);
      add_shard(all, i, 1);
    }
    const double begin = milliseconds();
    dataplane.apply(std::move(all));
    std::printf("%d hosts\n  %-22s %8.2f ms CPU, %.1f MiB\n", count, "all at once", milliseconds() - begin, heap_mib() - heap);
    measure("one host", dataplane, [](cv::Push& push, uint64_t turn) { add_host(push, 7, turn); });
    measure("one shard", dataplane, [](cv::Push& push, uint64_t turn) { add_shard(push, 7, turn); });
    measure("one Ingress more", dataplane, [&](cv::Push& push, uint64_t turn) {
      const int i = count + static_cast<int>(turn);
      add_host(push, i, 1);
      add_upstream(push, i);
      add_shard(push, i, 1);
    });
  }
}
