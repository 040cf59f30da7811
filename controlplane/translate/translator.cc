#include "controlplane/translate/translator.h"

#include <algorithm>
#include <array>

#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "proto/check/check.h"

namespace headgate::translate {

namespace v1 = config::v1;
using control::v1::ObjectRef;
using world::ObjectKey;
using world::ObjectKind;

namespace {

constexpr std::array<ObjectKind, 6> kKinds{ObjectKind::kIngress, ObjectKind::kIngressClass,
                                           ObjectKind::kService, ObjectKind::kEndpointSlice,
                                           ObjectKind::kSecret,  ObjectKind::kConfigMap};

// Uses by what belongs to no Ingress come first.
const Precedence kGlobalUser{"", "", ""};

std::string place_of(const ObjectRef& ref) {
  return ref.group() + "\n" + ref.kind() + "\n" + ref.namespace_() + "\n" + ref.name();
}

bool same_origin(const std::vector<ObjectRef>& a, const std::vector<ObjectRef>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const ObjectRef& left, const ObjectRef& right) {
    return left.generation() == right.generation() && left.uid() == right.uid() && left.name() == right.name() &&
           left.namespace_() == right.namespace_() && left.kind() == right.kind();
  });
}

template <typename Key, typename Value>
void erase_from(std::map<Key, Value>& map, const Key& key, const auto& member) {
  const auto at = map.find(key);
  if (at == map.end()) return;
  at->second.erase(member);
  if (at->second.empty()) map.erase(at);
}

// Index in "routes[3].match.regex"; -1: the problem is not one of a route.
int route_of(std::string_view field_path) {
  if (!field_path.starts_with("routes[")) return -1;
  field_path.remove_prefix(7);
  const auto index = parse_decimal<uint32_t>(field_path.substr(0, field_path.find(']')));
  return index ? static_cast<int>(*index) : -1;
}

}  // namespace

void Translator::reset() {
  global_reads_.clear();
  ingresses_.clear();
  readers_.clear();
  hosts_.clear();
  claims_.clear();
  upstreams_.clear();
  upstreams_of_service_.clear();
  secret_uses_.clear();
  feeds_.clear();
  notes_of_.clear();
  note_places_.clear();
  output_ = {.changes = {output_.changes.resources + 1, output_.changes.notes + 1, output_.changes.admitted + 1}};
  changed_resources_.clear();
  dirty_hosts_.clear();
  dirty_upstreams_.clear();
  dirty_secrets_.clear();
  dirty_services_.clear();
  dirty_slices_.clear();
}

const Output& Translator::update(const world::World& world) {
  std::set<ReadKey> changed;
  std::set<ObjectKey> dirty_ingresses;
  for (const ObjectKind kind : kKinds) {
    world::ObjectMap::changes_between(
        world_.objects(kind), world.objects(kind),
        [&](const ObjectKey& key, const kube::ObjectPtr&, const kube::ObjectPtr&) {
          if (kind == ObjectKind::kIngress) {
            dirty_ingresses.insert(key);
          } else if (kind == ObjectKind::kEndpointSlice) {
            dirty_slices_.insert(key);
          } else {
            changed.insert({kind, key});
            changed.insert({kind, {}});
          }
        });
  }
  if (refresh_globals(world, changed)) {
    // What everything rests on is another: all from the beginning.
    dirty_ingresses.clear();
    world.objects(ObjectKind::kIngress).visit_all([&](const ObjectKey& key, const kube::ObjectPtr&) {
      dirty_ingresses.insert(key);
    });
    world.objects(ObjectKind::kEndpointSlice).visit_all([&](const ObjectKey& key, const kube::ObjectPtr&) {
      dirty_slices_.insert(key);
    });
  } else {
    for (const ReadKey& key : changed) {
      const auto readers = readers_.find(key);
      if (readers != readers_.end()) dirty_ingresses.insert(readers->second.begin(), readers->second.end());
    }
  }
  for (const ObjectKey& key : dirty_ingresses) read_again(world, key);
  settle_names();
  // First all that these hosts had, then what they have now: a name may go from one to another.
  for (const std::string& name : dirty_hosts_) {
    for (const std::string& resource : hosts_[name].resources) put(control::v1::KIND_VIRTUAL_HOST, resource, nullptr);
  }
  for (const std::string& name : dirty_hosts_) rebuild_host(name);
  for (const std::string& name : dirty_upstreams_) rebuild_upstream(name);
  rebuild_shards(world);
  rebuild_secrets();
  if (dirty_listeners_) rebuild_listeners();
  finish();
  world_ = world;
  return output_;
}

// True: everything must be read again, and the state has been emptied for it.
bool Translator::refresh_globals(const world::World& world, const std::set<ReadKey>& changed) {
  const bool touched = fresh_ || std::any_of(changed.begin(), changed.end(),
                                             [&](const ReadKey& key) { return global_reads_.contains(key); });
  if (!touched) return false;
  Reads reads(world, secrets_);
  Globals now = read_globals(reads, settings_);
  const auto name_of = [](const UpstreamPtr& spec) { return spec == nullptr ? std::string() : spec->name(); };
  const bool all =
      fresh_ || now.config != globals_.config || name_of(now.default_backend) != name_of(globals_.default_backend);
  if (all) {
    reset();
  } else {
    for (const UpstreamPtr& spec : globals_.upstreams) leave_upstream(spec->name(), kGlobalUser);
    for (const v1::Listener& listener : globals_.l4_listeners) {
      put(control::v1::KIND_LISTENER, listener.name(), nullptr);
    }
    if (globals_.default_certificate != nullptr) {
      const std::string& name = globals_.default_certificate->message.name();
      secret_uses_[name].users.erase(kGlobalUser);
      dirty_secrets_.insert(name);
    }
  }
  fresh_ = false;
  globals_ = std::move(now);
  for (ReadKey& key : reads.take()) global_reads_.insert(std::move(key));
  put_message(control::v1::KIND_PROXY_SETTINGS, globals_.settings.name(), globals_.settings, {});
  put_message(control::v1::KIND_ROUTE_TABLE, globals_.table.name(), globals_.table, {});
  if (!settings_.fallback_chain_pem.empty()) {
    v1::TlsSecret secret;
    secret.set_name(kFallbackCertificate);
    secret.set_chain_pem(settings_.fallback_chain_pem);
    secret.set_key_pem(settings_.fallback_key_pem);
    put_message(control::v1::KIND_TLS_SECRET, secret.name(), secret, {});
  }
  for (const UpstreamPtr& spec : globals_.upstreams) enter_upstream(spec, kGlobalUser, std::nullopt);
  if (globals_.default_certificate != nullptr) {
    const std::string& name = globals_.default_certificate->message.name();
    secret_uses_[name].content = globals_.default_certificate;
    secret_uses_[name].users.insert(kGlobalUser);
    dirty_secrets_.insert(name);
  }
  for (const v1::Listener& listener : globals_.l4_listeners) {
    put_message(control::v1::KIND_LISTENER, listener.name(), listener, {});
  }
  set_notes("global", globals_.notes);
  dirty_listeners_ = true;
  return all;
}

void Translator::read_again(const world::World& world, const ObjectKey& key) {
  const auto known = ingresses_.find(key);
  const bool was_served = known != ingresses_.end() && known->second.model->served;
  if (known != ingresses_.end()) {
    withdraw(*known->second.model);
    for (const ReadKey& read : known->second.reads) erase_from(readers_, read, key);
    ingresses_.erase(known);
  }
  const auto ingress = world.find<kubernetes::Ingress>(key.name_space, key.name);
  const std::string source = "i/" + key.name_space + "/" + key.name;
  if (ingress == nullptr) {
    if (was_served) ++output_.changes.admitted;
    return set_notes(source, {});
  }
  Reads reads(world, secrets_);
  IngressEntry entry;
  entry.model = read_ingress(reads, settings_, globals_.defaults, *ingress);
  if (entry.model->served != was_served) ++output_.changes.admitted;
  entry.reads = reads.take();
  for (const ReadKey& read : entry.reads) readers_[read].insert(key);
  enter(entry.model);
  set_notes(source, entry.model->notes);
  ingresses_.emplace(key, std::move(entry));
}

void Translator::withdraw(const IngressModel& model) {
  if (!model.served) return;
  for (const std::string& host : model.hosts) {
    hosts_[host].ingresses.erase(model.precedence);
    dirty_hosts_.insert(host);
  }
  for (const UpstreamPtr& spec : model.upstreams) leave_upstream(spec->name(), model.precedence);
  for (const auto& secret : model.secrets) {
    secret_uses_[secret->message.name()].users.erase(model.precedence);
    dirty_secrets_.insert(secret->message.name());
  }
  output_.admitted.erase(AdmittedName{model.ref.namespace_(), model.ref.name()});
}

void Translator::enter(const IngressPtr& model) {
  if (!model->served) return;
  for (const std::string& host : model->hosts) {
    hosts_[host].ingresses[model->precedence] = model;
    dirty_hosts_.insert(host);
  }
  for (const UpstreamPtr& spec : model->upstreams) enter_upstream(spec, model->precedence, model->balance);
  for (const auto& secret : model->secrets) {
    SecretUse& use = secret_uses_[secret->message.name()];
    use.content = secret;
    use.users.insert(model->precedence);
    dirty_secrets_.insert(secret->message.name());
  }
  output_.admitted.set({model, &model->ref});
}

void Translator::enter_upstream(const UpstreamPtr& spec, const Precedence& user,
                                const std::optional<v1::LoadBalancing>& balance) {
  upstreams_[spec->name()][user] = {spec, balance};
  dirty_upstreams_.insert(spec->name());
}

void Translator::leave_upstream(const std::string& name, const Precedence& user) {
  erase_from(upstreams_, name, user);
  dirty_upstreams_.insert(name);
}

// Names that hosts want besides their own. A name that is a host of its own goes to nobody else; of several that want
// one, the first by precedence gets it.
void Translator::settle_names() {
  std::set<std::string> names;
  for (const std::string& host : std::set<std::string>(dirty_hosts_)) {
    HostEntry& entry = hosts_[host];
    const auto each = [&](const NameWishes& wishes, auto visit) {
      for (const std::string& alias : wishes.aliases) visit(alias);
      if (!wishes.redirected_name.empty()) visit(wishes.redirected_name);
    };
    each(entry.wishes, [&](const std::string& name) {
      erase_from(claims_, name, std::pair(entry.wishes.precedence, host));
      names.insert(name);
    });
    std::vector<IngressPtr> ingresses;
    for (const auto& [precedence, model] : entry.ingresses) ingresses.push_back(model);
    entry.wishes = wishes_of(host, ingresses);
    each(entry.wishes, [&](const std::string& name) {
      claims_[name].insert({entry.wishes.precedence, host});
      names.insert(name);
    });
    names.insert(host);
  }
  for (const std::string& name : names) {
    const auto claim = claims_.find(name);
    if (claim == claims_.end()) continue;
    for (const auto& [precedence, host] : claim->second) dirty_hosts_.insert(host);
  }
}

void Translator::rebuild_host(const std::string& name) {
  HostEntry& entry = hosts_[name];
  HostInput input;
  input.host = name;
  input.default_backend = globals_.default_backend;
  for (const auto& [precedence, model] : entry.ingresses) input.ingresses.push_back(model);
  std::vector<Note> lost;
  const auto wins = [&](const std::string& wanted, const char* annotation) {
    const auto own = hosts_.find(wanted);
    const bool is_host = own != hosts_.end() && !own->second.ingresses.empty();
    const auto claim = claims_.find(wanted);
    const bool first = claim != claims_.end() && claim->second.begin()->second == name;
    if (!is_host && first) return true;
    for (const IngressPtr& ingress : input.ingresses) {
      if (ingress->canary || (ingress->aliases.empty() && !ingress->from_to_www)) continue;
      lost.push_back({ingress->ref, true, "NameTaken",
                      std::string(annotation) + ": " + wanted + " belongs to " +
                          (is_host ? "a rule with that host" : "the older host " + claim->second.begin()->second)});
      break;
    }
    return false;
  };
  for (const std::string& alias : entry.wishes.aliases) {
    if (wins(alias, "server-alias")) input.aliases.push_back(alias);
  }
  if (!entry.wishes.redirected_name.empty() && wins(entry.wishes.redirected_name, "from-to-www-redirect")) {
    const auto& aliases = input.aliases;
    if (std::find(aliases.begin(), aliases.end(), entry.wishes.redirected_name) == aliases.end()) {
      input.redirected_name = entry.wishes.redirected_name;
    }
  }
  HostOutput merged = merge_host(input, settings_, globals_.defaults);
  std::vector<Note> notes = std::move(merged.notes);
  notes.insert(notes.end(), lost.begin(), lost.end());

  entry.resources.clear();
  for (MergedHost& host : merged.hosts) {
    if (!hold_against_check(host, notes)) continue;
    entry.resources.push_back(host.message.name());
    put_message(control::v1::KIND_VIRTUAL_HOST, host.message.name(), host.message, std::move(host.origin));
  }
  set_notes("h/" + name, std::move(notes));

  HostCertificates certificates;
  const auto certificate = entry.resources.empty() ? std::nullopt : certificate_of(name, input.ingresses);
  if (certificate) {
    for (const std::string& alias : input.aliases) certificates.emplace(alias, *certificate);
    if (!input.redirected_name.empty()) certificates.emplace(input.redirected_name, *certificate);
    certificates.emplace(name, *certificate);
  }
  dirty_listeners_ = dirty_listeners_ || certificates != entry.certificates;
  entry.certificates = std::move(certificates);
  if (entry.ingresses.empty()) hosts_.erase(name);
}

// False: not even without the routes in question would the host be taken.
bool Translator::hold_against_check(MergedHost& host, std::vector<Note>& notes) {
  enum class Step { kAnswer503, kRemove, kGiveUp };
  for (const Step step : {Step::kAnswer503, Step::kRemove, Step::kGiveUp}) {
    check::Problems problems;
    problems.start(check::Kind::kVirtualHost, host.message.name());
    check::check_virtual_host(host.message, problems);
    if (!problems.has_errors()) return true;
    if (step == Step::kGiveUp) break;
    std::set<int> routes;
    for (const check::Problem& problem : problems.list()) {
      if (problem.severity != check::Severity::kError) continue;
      const int index = route_of(problem.field_path);
      const bool one = index >= 0 && index < host.message.routes_size();
      const std::string what = problem.field_path + ": " + problem.message;
      if (one) {
        routes.insert(index);
        const v1::Route& route = host.message.routes(index);
        if (step == Step::kAnswer503 && route.origin_size() > 0) {
          notes.push_back({host.origin[route.origin(0)], true, "NotServable",
                           "route " + route.name() + ": " + what + "; it answers 503"});
        }
        continue;
      }
      for (const ObjectRef& ref : host.origin) {
        notes.push_back({ref, true, "NotServable", what + "; the host answers 503"});
      }
      host.message.clear_filters();
      host.message.clear_aliases();
      for (int i = 0; i < host.message.routes_size(); ++i) routes.insert(i);
    }
    for (auto index = routes.rbegin(); index != routes.rend(); ++index) {
      if (step == Step::kRemove) {
        host.message.mutable_routes()->DeleteSubrange(*index, 1);
      } else {
        v1::Route& route = *host.message.mutable_routes(*index);
        route.clear_filters();
        route.mutable_respond()->Clear();
        route.mutable_respond()->set_status(503);
      }
    }
  }
  return false;
}

// Keeps the index of which slices feed an Upstream, and marks those that feed it now or did before.
void Translator::feed_from(const std::string& name, const Feed& now) {
  const auto known = feeds_.find(name);
  const Feed before = known == feeds_.end() ? Feed{} : known->second;
  if (before == now) return;
  if (!before.service.name.empty()) {
    erase_from(upstreams_of_service_, before.service, name);
    dirty_services_.insert(before.service);
  }
  if (now.service.name.empty()) {
    feeds_.erase(name);
    return;
  }
  feeds_[name] = now;
  upstreams_of_service_[now.service].insert(name);
  dirty_services_.insert(now.service);
}

void Translator::rebuild_upstream(const std::string& name) {
  const auto found = upstreams_.find(name);
  if (found == upstreams_.end()) {
    put(control::v1::KIND_UPSTREAM, name, nullptr);
    put(control::v1::KIND_ENDPOINT_SHARD, name, nullptr);
    return feed_from(name, {});
  }
  const UpstreamSpec& spec = *found->second.begin()->second.spec;
  feed_from(name, {spec.service, spec.port_name, spec.udp});
  v1::Upstream message = spec.message;
  for (const auto& [precedence, user] : found->second) {
    if (precedence == kGlobalUser) continue;
    if (user.balance) *message.mutable_balance() = *user.balance;
    break;
  }
  check::Problems problems;
  problems.start(check::Kind::kUpstream, name);
  check::check_upstream(message, problems);
  if (problems.has_errors()) {
    const std::string why = problems.list().front().message;
    const v1::UpstreamProtocol protocol = message.protocol();
    message.Clear();
    message.set_name(name);
    message.set_protocol(protocol);
    message.set_unavailable_status_reason(why);
  }
  std::vector<ObjectRef> origin;
  if (!spec.service.name.empty()) {
    ObjectRef& ref = origin.emplace_back();
    ref.set_kind("Service");
    ref.set_namespace_(spec.service.name_space);
    ref.set_name(spec.service.name);
  }
  put_message(control::v1::KIND_UPSTREAM, name, message, std::move(origin));
  if (spec.own_shard) {
    put_message(control::v1::KIND_ENDPOINT_SHARD, name, *spec.own_shard, {});
  } else {
    put(control::v1::KIND_ENDPOINT_SHARD, name, nullptr);
  }
}

void Translator::rebuild_shards(const world::World& world) {
  for (const ObjectKey& service : dirty_services_) {
    world.visit_slices(service.name_space, service.name,
                       [&](const ObjectKey& key, const kubernetes::EndpointSlice&) { dirty_slices_.insert(key); });
  }
  for (const ObjectKey& key : dirty_slices_) {
    const std::string name = key.name_space + "/" + key.name;
    const auto slice = world.find<kubernetes::EndpointSlice>(key.name_space, key.name);
    if (slice == nullptr) {
      put(control::v1::KIND_ENDPOINT_SHARD, name, nullptr);
      continue;
    }
    std::vector<SliceTarget> targets;
    const auto users = upstreams_of_service_.find({key.name_space, world::service_of(*slice)});
    if (users != upstreams_of_service_.end()) {
      for (const std::string& upstream : users->second) {
        const Feed& feed = feeds_.at(upstream);
        targets.push_back({upstream, feed.port_name, feed.udp});
      }
    }
    const v1::EndpointShard shard = shard_of(*slice, targets);
    if (shard.upstreams().empty()) {
      put(control::v1::KIND_ENDPOINT_SHARD, name, nullptr);
    } else {
      put_message(control::v1::KIND_ENDPOINT_SHARD, name, shard,
                  {reference_to("discovery.k8s.io", "EndpointSlice", slice->metadata())});
    }
  }
}

void Translator::rebuild_secrets() {
  for (const std::string& name : dirty_secrets_) {
    const auto use = secret_uses_.find(name);
    if (use == secret_uses_.end()) continue;
    if (use->second.users.empty()) {
      put(control::v1::KIND_TLS_SECRET, name, nullptr);
      const auto [name_space, object] = object_name(name, "");
      secrets_.forget({name_space, object});
      secret_uses_.erase(use);
    } else {
      put(control::v1::KIND_TLS_SECRET, name, use->second.content->resource);
    }
  }
}

void Translator::rebuild_listeners() {
  HostCertificates certificates;
  for (const auto& [name, entry] : hosts_) certificates.insert(entry.certificates.begin(), entry.certificates.end());
  std::set<std::string> made;
  for (const v1::Listener& listener : http_listeners(settings_, globals_, certificates)) {
    made.insert(listener.name());
    put_message(control::v1::KIND_LISTENER, listener.name(), listener, {});
  }
  for (const char* name : {"http", "https"}) {
    if (!made.contains(name)) put(control::v1::KIND_LISTENER, name, nullptr);
  }
}

void Translator::put(control::v1::Kind kind, const std::string& name, ResourcePtr resource) {
  changed_resources_[{kind, name}] = std::move(resource);
}

void Translator::put_message(control::v1::Kind kind, const std::string& name, const google::protobuf::Message& message,
                             std::vector<ObjectRef> origin) {
  put(kind, name, encode(kind, name, message, std::move(origin)));
}

void Translator::set_notes(const std::string& source, std::vector<Note> notes) {
  const auto known = notes_of_.find(source);
  if (known == notes_of_.end() ? notes.empty() : known->second == notes) return;
  ++output_.changes.notes;
  if (known != notes_of_.end()) {
    std::set<NotePlace> places;
    for (const Note& note : known->second) places.insert({place_of(note.object), source});
    for (const NotePlace& place : places) {
      const auto range = std::equal_range(note_places_.begin(), note_places_.end(), place);
      const auto first = range.first - note_places_.begin();
      const auto last = range.second - note_places_.begin();
      output_.notes.erase(output_.notes.begin() + first, output_.notes.begin() + last);
      note_places_.erase(range.first, range.second);
    }
  }
  for (const Note& note : notes) {
    const NotePlace place{place_of(note.object), source};
    const auto at = std::upper_bound(note_places_.begin(), note_places_.end(), place);
    output_.notes.insert(output_.notes.begin() + (at - note_places_.begin()), note);
    note_places_.insert(at, place);
  }
  if (notes.empty()) {
    notes_of_.erase(source);
  } else {
    notes_of_[source] = std::move(notes);
  }
}

void Translator::finish() {
  Resources& all = output_.resources;
  for (auto& [key, resource] : changed_resources_) {
    const ResourceName name{key.first, key.second};
    if (resource == nullptr) {
      if (!all.erase(name)) continue;
    } else {
      const ResourcePtr* const before = all.find(name);
      const bool same = before != nullptr && (*before)->version == resource->version &&
                        same_origin((*before)->origin, resource->origin);
      if (same) continue;
      all.set(std::move(resource));
    }
    ++output_.changes.resources;
  }
  changed_resources_.clear();
  dirty_hosts_.clear();
  dirty_upstreams_.clear();
  dirty_secrets_.clear();
  dirty_services_.clear();
  dirty_slices_.clear();
  dirty_listeners_ = false;
}

bool Translator::reads(ObjectKind kind, const ObjectKey& key) const {
  const ReadKey read{kind, key};
  return readers_.contains(read) || global_reads_.contains(read);
}

Output translate(const world::World& world, const Settings& settings) {
  Translator translator(settings);
  return translator.update(world);
}

}  // namespace headgate::translate
