#include "tests/support/stream/resource_output.h"


namespace headgate::testing_support {

namespace cv = control::v1;

std::shared_ptr<const translate::Output> output_of(const config::v1::ResourceSet& set) {
  auto output = std::make_shared<translate::Output>();
  const auto take = [&](cv::Kind kind, const auto& list) {
    for (const auto& message : list) output->resources.set(translate::encode(kind, message.name(), message));
  };
  if (set.has_settings()) {
    output->resources.set(translate::encode(cv::KIND_PROXY_SETTINGS, set.settings().name(), set.settings()));
  }
  take(cv::KIND_LISTENER, set.listeners());
  take(cv::KIND_ROUTE_TABLE, set.route_tables());
  take(cv::KIND_VIRTUAL_HOST, set.virtual_hosts());
  take(cv::KIND_UPSTREAM, set.upstreams());
  take(cv::KIND_ENDPOINT_SHARD, set.endpoint_shards());
  take(cv::KIND_TLS_SECRET, set.tls_secrets());
  take(cv::KIND_TICKET_KEYS, set.ticket_keys());
  take(cv::KIND_DNS_ZONE, set.dns_zones());
  return output;
}

std::string host_name(size_t index) { return "host-" + std::to_string(index) + ".example.test"; }

std::vector<translate::ResourcePtr> many_hosts_base(uint16_t port, size_t hosts) {
  std::vector<translate::ResourcePtr> all;
  config::v1::Listener listener;
  listener.set_name("web");
  listener.set_address("127.0.0.1");
  listener.set_port(port);
  listener.set_transport(config::v1::LISTENER_TCP);
  listener.set_protocol(config::v1::LISTENER_HTTP);
  listener.set_route_table("web");
  all.push_back(translate::encode(cv::KIND_LISTENER, "web", listener));
  config::v1::RouteTable table;
  table.set_name("web");
  all.push_back(translate::encode(cv::KIND_ROUTE_TABLE, "web", table));
  for (size_t i = 0; i < hosts; ++i) {
    config::v1::Upstream upstream;
    upstream.set_name("ns/service-" + std::to_string(i));
    upstream.set_protocol(config::v1::UPSTREAM_HTTP1);
    all.push_back(translate::encode(cv::KIND_UPSTREAM, upstream.name(), upstream));
    config::v1::EndpointShard shard;
    shard.set_name("ns/slice-" + std::to_string(i));
    shard.add_upstreams()->set_upstream(upstream.name());
    for (int one = 1; one <= 2; ++one) {
      config::v1::Endpoint& endpoint = *shard.add_endpoints();
      endpoint.set_host("127.0." + std::to_string(i % 250) + "." + std::to_string(one));
      endpoint.set_port(8080);
    }
    all.push_back(translate::encode(cv::KIND_ENDPOINT_SHARD, shard.name(), shard));
  }
  return all;
}

translate::ResourcePtr one_host(size_t index, const std::string& text) {
  config::v1::VirtualHost host;
  host.set_name("web/" + host_name(index));
  host.set_table("web");
  host.set_host(host_name(index));
  config::v1::Route& answer = *host.add_routes();
  answer.set_name("answer");
  answer.mutable_match()->set_prefix("/");
  answer.mutable_respond()->set_body(text + "\n");
  config::v1::Route& api = *host.add_routes();
  api.set_name("api");
  api.mutable_match()->set_prefix("/api");
  api.mutable_proxy()->add_backends()->set_upstream("ns/service-" + std::to_string(index));
  return translate::encode(cv::KIND_VIRTUAL_HOST, host.name(), host, {});
}

}  // namespace headgate::testing_support
