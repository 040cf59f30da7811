// translate.cc -- what a change among 5,000 Ingresses costs, and what an Ingress takes in memory.
// links: headgate_cp_translate
#include <malloc.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "controlplane/translate/translator.h"

namespace {

using namespace headgate;
using Clock = std::chrono::steady_clock;

constexpr int kIngresses = 5000;

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

std::string number(int i) { return std::to_string(100000 + i); }

std::shared_ptr<kubernetes::Ingress> ingress(int i, int generation) {
  auto object = std::make_shared<kubernetes::Ingress>();
  object->mutable_metadata()->set_namespace_("team-" + std::to_string(i % 100));
  object->mutable_metadata()->set_name("web-" + number(i));
  object->mutable_metadata()->set_uid("uid-" + number(i));
  object->mutable_metadata()->set_creation_timestamp("2026-01-01T00:00:00Z");
  object->mutable_metadata()->set_generation(generation);
  auto& annotations = *object->mutable_metadata()->mutable_annotations();
  annotations["nginx.ingress.kubernetes.io/proxy-body-size"] = std::to_string(1 + generation % 50) + "m";
  annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"] = "120";
  object->mutable_spec()->set_ingress_class_name("headgate");
  kubernetes::IngressRule* rule = object->mutable_spec()->add_rules();
  rule->set_host("web-" + number(i) + ".example.com");
  for (const char* path : {"/", "/api"}) {
    kubernetes::HttpIngressPath* entry = rule->mutable_http()->add_paths();
    entry->set_path(path);
    entry->set_path_type("Prefix");
    entry->mutable_backend()->mutable_service()->set_name("web-" + number(i));
    entry->mutable_backend()->mutable_service()->mutable_port()->set_number(80);
  }
  return object;
}

std::shared_ptr<kubernetes::Service> service(int i) {
  auto object = std::make_shared<kubernetes::Service>();
  object->mutable_metadata()->set_namespace_("team-" + std::to_string(i % 100));
  object->mutable_metadata()->set_name("web-" + number(i));
  object->mutable_spec()->set_cluster_ip("10.96.0.1");
  kubernetes::ServicePort* port = object->mutable_spec()->add_ports();
  port->set_name("http");
  port->set_port(80);
  return object;
}

std::shared_ptr<kubernetes::EndpointSlice> slice(int i, int last) {
  auto object = std::make_shared<kubernetes::EndpointSlice>();
  object->mutable_metadata()->set_namespace_("team-" + std::to_string(i % 100));
  object->mutable_metadata()->set_name("web-" + number(i) + "-x");
  (*object->mutable_metadata()->mutable_labels())["kubernetes.io/service-name"] = "web-" + number(i);
  kubernetes::SlicePort* port = object->add_ports();
  port->set_name("http");
  port->set_port(8080);
  for (int j = 0; j < 3; ++j) object->add_endpoints()->add_addresses("10.0." + std::to_string(j) + "." + std::to_string(last));
  return object;
}

void report(const char* what, std::vector<double> times) {
  std::sort(times.begin(), times.end());
  std::printf("%-44s median %8.0f us   99%% %8.0f us   most %8.0f us\n", what, times[times.size() / 2],
              times[times.size() * 99 / 100], times.back());
}

size_t heap_bytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

}  // namespace

int main() {
  world::World world;
  auto ours = std::make_shared<kubernetes::IngressClass>();
  ours->mutable_metadata()->set_name("headgate");
  ours->mutable_spec()->set_controller("headgate.dev/ingress-controller");
  world.set(world::ObjectKind::kIngressClass, ours);
  const size_t empty = heap_bytes();
  for (int i = 0; i < kIngresses; ++i) {
    world.set(world::ObjectKind::kIngress, ingress(i, 1));
    world.set(world::ObjectKind::kService, service(i));
    world.set(world::ObjectKind::kEndpointSlice, slice(i, 1));
  }
  const size_t objects = heap_bytes();
  translate::Translator translator{translate::Settings()};
  auto start = Clock::now();
  const size_t resources = translator.update(world).resources.size();
  std::printf("%d Ingresses, %zu resources; the first translation takes %.0f ms\n", kIngresses, resources,
              microseconds_since(start) / 1000);
  const size_t translated = heap_bytes();
  std::printf("per Ingress with its Service and slice: %zu bytes of objects, %zu bytes of translation\n",
              (objects - empty) / kIngresses, (translated - objects) / kIngresses);

  const auto repeat = [&](const char* what, const std::function<void(int)>& change) {
    std::vector<double> times;
    for (int round = 0; round < 500; ++round) {
      change(round);
      start = Clock::now();
      translator.update(world);
      times.push_back(microseconds_since(start));
    }
    report(what, std::move(times));
  };
  repeat("one Ingress changed", [&](int round) {
    world.set(world::ObjectKind::kIngress, ingress(round * 7 % kIngresses, 2 + round));
  });
  repeat("one EndpointSlice changed", [&](int round) {
    world.set(world::ObjectKind::kEndpointSlice, slice(round * 11 % kIngresses, 2 + round % 200));
  });
  repeat("one Service changed", [&](int round) { world.set(world::ObjectKind::kService, service(round * 13 % kIngresses)); });
  repeat("one Ingress more or less", [&](int round) {
    if (round % 2 == 0) {
      world.set(world::ObjectKind::kIngress, ingress(kIngresses + 1, round));
    } else {
      world.erase(world::ObjectKind::kIngress, world::key_of(*ingress(kIngresses + 1, 0)));
    }
  });
  repeat("nothing changed", [](int) {});
  start = Clock::now();
  translate::translate(world, {});
  std::printf("%-44s %8.0f ms\n", "all of it anew", microseconds_since(start) / 1000);
  return 0;
}
