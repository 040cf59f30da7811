// What must hold for every World: remembered equals anew, order of arrival changes nothing, what is refused touches
// nobody else.
#include <algorithm>
#include <random>
#include <set>

#include "tests/controlplane/translate/support.h"

namespace headgate::translate {
namespace {

using world::ObjectKind;

void expect_equal(const Output& left, const Output& right) {
  ASSERT_EQ(left.resources.size(), right.resources.size());
  auto other = right.resources.begin();
  for (const ResourcePtr& one : left.resources) {
    const Resource& a = *one;
    const Resource& b = **other++;
    ASSERT_EQ(a.name, b.name);
    ASSERT_EQ(a.kind, b.kind);
    ASSERT_EQ(a.body, b.body) << a.name;
    ASSERT_EQ(a.version, b.version);
    ASSERT_EQ(a.origin.size(), b.origin.size());
    for (size_t j = 0; j < a.origin.size(); ++j) {
      ASSERT_EQ(a.origin[j].SerializeAsString(), b.origin[j].SerializeAsString()) << a.name;
    }
  }
  std::vector<std::string> notes[2];
  for (const Note& note : left.notes) notes[0].push_back(note_text(note));
  for (const Note& note : right.notes) notes[1].push_back(note_text(note));
  ASSERT_EQ(notes[0], notes[1]);
  ASSERT_EQ(left.admitted.size(), right.admitted.size());
  auto other_admitted = right.admitted.begin();
  for (const ObjectRefPtr& one : left.admitted) {
    ASSERT_EQ(one->SerializeAsString(), (*other_admitted++)->SerializeAsString());
  }
}

// Whoever trusts the numbers misses nothing.
void expect_changes_are_counted(const Output& before, const Output& after) {
  const auto names = [](const Output& output) {
    std::set<std::string> all;
    for (const ObjectRefPtr& object : output.admitted) all.insert(object->namespace_() + "/" + object->name());
    return all;
  };
  EXPECT_TRUE(before.changes.resources != after.changes.resources || before.resources == after.resources);
  EXPECT_TRUE(before.changes.notes != after.changes.notes || before.notes == after.notes);
  EXPECT_TRUE(before.changes.admitted != after.changes.admitted || names(before) == names(after));
}

// Objects of a small world in which much collides.
class Maker {
 public:
  explicit Maker(unsigned seed) : random_(seed) {}

  unsigned upto(unsigned n) { return static_cast<unsigned>(random_() % n); }
  bool chance(unsigned percent) { return upto(100) < percent; }
  template <typename T>
  const T& one_of(const std::vector<T>& list) {
    return list[upto(static_cast<unsigned>(list.size()))];
  }

  kube::ObjectPtr object(ObjectKind kind) {
    switch (kind) {
      case ObjectKind::kIngress: return ingress();
      case ObjectKind::kIngressClass: return ingress_class();
      case ObjectKind::kService: return service();
      case ObjectKind::kEndpointSlice: return slice();
      case ObjectKind::kSecret: return secret();
      default: return config_map();
    }
  }

  std::shared_ptr<kubernetes::Ingress> ingress() {
    auto object = std::make_shared<kubernetes::Ingress>();
    name(*object->mutable_metadata(), one_of(names_));
    object->mutable_metadata()->set_creation_timestamp("2026-01-0" + std::to_string(1 + upto(3)) + "T00:00:00Z");
    object->mutable_metadata()->set_generation(upto(5));
    if (chance(80)) object->mutable_spec()->set_ingress_class_name(chance(80) ? "headgate" : "other");
    const std::vector<std::pair<std::string, std::vector<std::string>>> annotations{
        {"rewrite-target", {"/$1", "/x", "bad?"}}, {"use-regex", {"true", "false"}},
        {"ssl-redirect", {"false", "maybe"}},      {"force-ssl-redirect", {"true"}},
        {"from-to-www-redirect", {"true", "x"}},   {"server-alias", {"b.example", "z.example", "www.a.example,y.example"}},
        {"app-root", {"/app"}},                    {"permanent-redirect", {"https://x.example", "nope"}},
        {"backend-protocol", {"HTTPS", "GRPC"}},   {"service-upstream", {"true"}},
        {"affinity", {"cookie"}},                  {"upstream-hash-by", {"$request_uri", "$nope"}},
        {"load-balance", {"ewma"}},                {"canary", {"true"}},
        {"canary-weight", {"10"}},                 {"auth-secret", {"one", "two", "three"}},
        {"auth-type", {"basic", "digest"}},        {"auth-tls-secret", {"n1/one", "n2/two"}},
        {"auth-url", {"http://auth.example/x", "https://$host/y", "bad"}},
        {"limit-rps", {"5", "x"}},                 {"whitelist-source-range", {"10.0.0.0/8", "x"}},
        {"default-backend", {"s1", "s9"}},         {"custom-http-errors", {"404"}},
        {"custom-headers", {"one"}},               {"mirror-target", {"https://m.example$request_uri"}},
        {"enable-cors", {"true"}},                 {"proxy-body-size", {"2m"}},
        {"configuration-snippet", {"x"}},          {"no-such", {"x"}}};
    for (const auto& [key, values] : annotations) {
      if (chance(6)) (*object->mutable_metadata()->mutable_annotations())["nginx.ingress.kubernetes.io/" + key] = one_of(values);
    }
    for (unsigned i = upto(3); i > 0; --i) {
      kubernetes::IngressRule* rule = object->mutable_spec()->add_rules();
      rule->set_host(one_of(hosts_));
      for (unsigned j = upto(4); j > 0; --j) {
        kubernetes::HttpIngressPath* path = rule->mutable_http()->add_paths();
        path->set_path(one_of(paths_));
        path->set_path_type(one_of(types_));
        backend(*path->mutable_backend());
      }
    }
    if (chance(20)) backend(*object->mutable_spec()->mutable_default_backend());
    if (chance(40)) {
      kubernetes::IngressTls* tls = object->mutable_spec()->add_tls();
      if (chance(80)) tls->set_secret_name(one_of(secrets_));
      for (unsigned i = upto(3); i > 0; --i) tls->add_hosts(one_of(hosts_));
    }
    return object;
  }

 private:
  void name(kubernetes::ObjectMeta& metadata, const std::string& own) {
    metadata.set_namespace_(chance(60) ? "n1" : "n2");
    metadata.set_name(own);
    metadata.set_uid(metadata.namespace_() + own);
  }
  void backend(kubernetes::IngressBackend& into) {
    if (chance(5)) return;
    into.mutable_service()->set_name(one_of(services_));
    if (chance(50)) {
      into.mutable_service()->mutable_port()->set_number(chance(90) ? 80 : 81);
    } else {
      into.mutable_service()->mutable_port()->set_name("http");
    }
  }
  std::shared_ptr<kubernetes::IngressClass> ingress_class() {
    auto object = std::make_shared<kubernetes::IngressClass>();
    object->mutable_metadata()->set_name(chance(80) ? "headgate" : "other");
    object->mutable_spec()->set_controller(chance(80) ? "headgate.dev/ingress-controller" : "x");
    if (chance(30)) (*object->mutable_metadata()->mutable_annotations())["ingressclass.kubernetes.io/is-default-class"] = "true";
    return object;
  }
  std::shared_ptr<kubernetes::Service> service() {
    auto object = std::make_shared<kubernetes::Service>();
    name(*object->mutable_metadata(), one_of(services_));
    object->mutable_spec()->set_cluster_ip(chance(20) ? "None" : "10.96.0." + std::to_string(upto(200)));
    kubernetes::ServicePort* port = object->mutable_spec()->add_ports();
    port->set_port(80);
    if (chance(80)) port->set_name("http");
    if (chance(10)) port->set_protocol("UDP");
    if (chance(10)) port->set_app_protocol("kubernetes.io/h2c");
    return object;
  }
  std::shared_ptr<kubernetes::EndpointSlice> slice() {
    auto object = std::make_shared<kubernetes::EndpointSlice>();
    name(*object->mutable_metadata(), "slice" + std::to_string(upto(6)));
    (*object->mutable_metadata()->mutable_labels())["kubernetes.io/service-name"] = one_of(services_);
    kubernetes::SlicePort* port = object->add_ports();
    if (chance(70)) port->set_name("http");
    port->set_port(8080);
    for (unsigned i = upto(4); i > 0; --i) object->add_endpoints()->add_addresses("10.0.0." + std::to_string(upto(250)));
    return object;
  }
  std::shared_ptr<kubernetes::Secret> secret() {
    auto object = std::make_shared<kubernetes::Secret>();
    name(*object->mutable_metadata(), one_of(secrets_));
    auto& data = *object->mutable_data();
    if (chance(50)) {
      data["tls.crt"] = pem_;
      data["tls.key"] = chance(80) ? key_ : "bad";
    }
    if (chance(50)) data["ca.crt"] = chance(80) ? pem_ : "bad";
    if (chance(50)) data["auth"] = chance(80) ? "u:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=" : "u:plain";
    return object;
  }
  std::shared_ptr<kubernetes::ConfigMap> config_map() {
    auto object = std::make_shared<kubernetes::ConfigMap>();
    name(*object->mutable_metadata(), chance(70) ? "one" : "tcp");
    auto& data = *object->mutable_data();
    if (object->metadata().name() == "tcp") {
      data["9000"] = "n1/" + one_of(services_) + ":80";
    } else if (chance(50)) {
      data["X-Extra"] = "v";
      data["global-allowed-response-headers"] = "X-Extra,global-allowed-response-headers";
    } else {
      data["ssl-redirect"] = "false";
    }
    return object;
  }

  static std::string file(const char* path) {
    std::ifstream in(std::string(HEADGATE_SOURCE_DIR) + path);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }

  std::mt19937 random_;
  const std::string pem_ = file("/tests/repo/site.pem");
  const std::string key_ = file("/tests/repo/site.key");
  const std::vector<std::string> names_{"a", "b", "c", "d", "e", "f", "g", "h"};
  const std::vector<std::string> hosts_{"", "a.example", "www.a.example", "b.example", "*.example", "z.example"};
  const std::vector<std::string> paths_{"/", "/a", "/a/", "/b(.*)", "/b", "/(?!x)", "nope"};
  const std::vector<std::string> types_{"Exact", "Prefix", "ImplementationSpecific", "ImplementationSpecific"};
  const std::vector<std::string> services_{"s1", "s2", "s3"};
  const std::vector<std::string> secrets_{"one", "two", "three"};
};

Settings settings() {
  Settings settings;
  settings.config_map = "n1/one";
  settings.tcp_services = "n1/tcp";
  settings.default_backend = "n1/s1";
  settings.default_certificate = "n1/one";
  return settings;
}

constexpr ObjectKind kKinds[] = {ObjectKind::kIngress, ObjectKind::kIngressClass,  ObjectKind::kService,
                                 ObjectKind::kSecret,  ObjectKind::kEndpointSlice, ObjectKind::kConfigMap};

void change(world::World& world, Maker& maker) {
  const ObjectKind kind = maker.chance(60) ? ObjectKind::kIngress : kKinds[maker.upto(6)];
  const kube::ObjectPtr object = maker.object(kind);
  if (maker.chance(20)) {
    world.erase(kind, world::key_of(*object));
  } else {
    world.set(kind, object);
  }
}

TEST(Property, RememberedEqualsAnew) {
  for (int run = 0; run < 6; ++run) {
    const unsigned seed = std::random_device()();
    SCOPED_TRACE("seed " + std::to_string(seed));
    Maker maker(seed);
    world::World world;
    Translator translator(settings());
    Output before;
    for (int step = 0; step < 150; ++step) {
      for (unsigned i = maker.upto(step < 20 ? 8 : 3); i > 0; --i) change(world, maker);
      const Output& remembered = translator.update(world);
      ASSERT_NO_FATAL_FAILURE(expect_equal(remembered, translate(world, settings()))) << "step " << step;
      if (step % 10 == 0) expect_legal(remembered);
      expect_changes_are_counted(before, remembered);
      before = remembered;
      if (HasFailure()) return;
    }
  }
}

TEST(Property, OrderOfArrivalChangesNoByte) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Maker maker(seed);
  world::World first;
  for (int i = 0; i < 60; ++i) change(first, maker);
  std::vector<std::pair<ObjectKind, kube::ObjectPtr>> objects;
  for (const ObjectKind kind : kKinds) {
    first.objects(kind).visit_all([&](const world::ObjectKey&, const kube::ObjectPtr& object) { objects.emplace_back(kind, object); });
  }
  std::mt19937 random(seed);
  const Output expected = translate(first, settings());
  for (int i = 0; i < 5; ++i) {
    std::shuffle(objects.begin(), objects.end(), random);
    world::World second;
    Translator translator(settings());
    for (const auto& [kind, object] : objects) {
      second.set(kind, object);
      if (random() % 4 == 0) translator.update(second);
    }
    ASSERT_NO_FATAL_FAILURE(expect_equal(translator.update(second), expected));
  }
}

TEST(Property, WhatIsRefusedTouchesNobody) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Maker maker(seed);
  for (int run = 0; run < 40; ++run) {
    world::World world;
    for (int i = 0; i < 40; ++i) change(world, maker);
    const Output before = translate(world, settings());
    const auto bad = maker.ingress();
    bad->mutable_metadata()->set_name("refused");
    bad->mutable_metadata()->set_creation_timestamp("2000-01-01T00:00:00Z");  // it would win every conflict
    (*bad->mutable_metadata()->mutable_annotations())["nginx.ingress.kubernetes.io/limit-rps"] = "nonsense";
    world.set(ObjectKind::kIngress, bad);
    Output after = translate(world, settings());
    std::erase_if(after.notes, [](const Note& note) { return note.object.name() == "refused"; });
    ASSERT_NO_FATAL_FAILURE(expect_equal(before, after));
  }
}

}  // namespace
}  // namespace headgate::translate
