// The index says "sound" only where the look at everything finds nothing, and for what a cluster does all day it does.
#include "proto/check/reference_index.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace headgate::check {
namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only
using MessagePtr = std::shared_ptr<google::protobuf::Message>;
using Key = std::pair<Kind, std::string>;

std::string pick(std::mt19937& random, const char* prefix, unsigned count) {
  return prefix + std::to_string(random() % count);
}

template <typename Message>
std::shared_ptr<Message> named(const std::string& name) {
  auto made = std::make_shared<Message>();
  made->set_name(name);
  return made;
}

// A message of that kind which refers to names of a few, some of which exist.
MessagePtr random_message(std::mt19937& random, Kind kind, const std::string& name) {
  switch (kind) {
    case Kind::kListener: {
      auto made = named<Listener>(name);
      made->set_route_table(pick(random, "t", 3));
      made->set_port(8000 + random() % 3);
      made->mutable_tls()->add_certificates()->set_secret(pick(random, "s", 3));
      return made;
    }
    case Kind::kRouteTable: {
      auto made = named<RouteTable>(name);
      if (random() % 4 == 0) made->add_filters()->mutable_mirror()->set_upstream(pick(random, "u", 5));
      return made;
    }
    case Kind::kVirtualHost: {
      auto made = named<VirtualHost>(name);
      made->set_table(pick(random, "t", 3));
      made->set_host(pick(random, "h", 8));
      if (random() % 4 == 0) made->add_aliases(pick(random, "h", 8));
      Route& route = *made->add_routes();
      route.mutable_proxy()->add_backends()->set_upstream(pick(random, "u", 5));
      if (random() % 4 == 0) route.mutable_proxy()->set_fallback_upstream(pick(random, "u", 5));
      if (random() % 4 == 0) route.add_filters()->mutable_external_auth()->set_upstream(pick(random, "u", 5));
      return made;
    }
    case Kind::kUpstream: {
      auto made = named<Upstream>(name);
      made->set_protocol(random() % 4 == 0 ? UPSTREAM_STREAM : UPSTREAM_HTTP1);
      if (random() % 4 == 0) made->mutable_tls()->set_ca(pick(random, "s", 3));
      return made;
    }
    case Kind::kEndpointShard: {
      auto made = named<EndpointShard>(name);
      made->add_upstreams()->set_upstream(pick(random, "u", 5));
      return made;
    }
    default: {
      auto made = named<TlsSecret>(name);
      if (random() % 3 != 0) made->set_chain_pem("chain");
      return made;
    }
  }
}

template <typename Message>
void add_to(google::protobuf::RepeatedPtrField<Message>* list, const google::protobuf::Message& message) {
  *list->Add() = static_cast<const Message&>(message);
}

bool has_errors(const std::map<Key, MessagePtr>& all) {
  ResourceSet set;
  for (const auto& [key, message] : all) {
    switch (key.first) {
      case Kind::kListener: add_to(set.mutable_listeners(), *message); break;
      case Kind::kRouteTable: add_to(set.mutable_route_tables(), *message); break;
      case Kind::kVirtualHost: add_to(set.mutable_virtual_hosts(), *message); break;
      case Kind::kUpstream: add_to(set.mutable_upstreams(), *message); break;
      case Kind::kEndpointShard: add_to(set.mutable_endpoint_shards(), *message); break;
      default: add_to(set.mutable_tls_secrets(), *message); break;
    }
  }
  Problems problems;
  check_references(set, problems);
  return problems.has_errors();
}

TEST(ReferenceIndex, WhatIsSoundHasNoErrors) {
  const unsigned seed = std::random_device()();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  ReferenceIndex index;
  std::map<Key, MessagePtr> all;  // without errors
  int sound = 0;
  int refused = 0;
  for (int round = 0; round < 3000; ++round) {
    struct Change {
      Key key;
      MessagePtr before;
      MessagePtr after;
    };
    std::vector<Change> changes;
    std::map<Key, MessagePtr> next = all;
    for (unsigned i = 1 + random() % 4; i > 0; --i) {
      static constexpr Kind kKinds[] = {Kind::kListener, Kind::kRouteTable,    Kind::kVirtualHost, Kind::kVirtualHost,
                                        Kind::kUpstream, Kind::kEndpointShard, Kind::kTlsSecret};
      const Kind kind = kKinds[random() % std::size(kKinds)];
      const char* const prefix = kind == Kind::kRouteTable ? "t" : kind == Kind::kUpstream ? "u" : "s";
      const Key key{kind, pick(random, prefix, kind == Kind::kVirtualHost ? 8 : 4)};
      if (std::any_of(changes.begin(), changes.end(), [&](const Change& change) { return change.key == key; })) continue;
      const auto known = all.find(key);
      Change change{key, known == all.end() ? nullptr : known->second, nullptr};
      if (random() % 4 != 0) change.after = random_message(random, kind, key.second);
      if (change.after != nullptr) {
        next[key] = change.after;
      } else {
        next.erase(key);
      }
      changes.push_back(std::move(change));
    }
    const auto apply = [&](bool forward) {
      for (const Change& change : changes) {
        const MessagePtr& out = forward ? change.before : change.after;
        const MessagePtr& in = forward ? change.after : change.before;
        if (out != nullptr) index.erase(change.key.first, *out);
        if (in != nullptr) index.insert(change.key.first, *in);
      }
    };
    apply(true);
    const bool is_sound = std::all_of(changes.begin(), changes.end(), [&](const Change& change) {
      return index.is_sound(change.key.first, change.before.get(), change.after.get());
    });
    const bool errors = has_errors(next);
    ASSERT_FALSE(is_sound && errors) << "round " << round;
    sound += is_sound ? 1 : 0;
    refused += errors ? 1 : 0;
    if (errors) {
      apply(false);
    } else {
      all = std::move(next);
    }
  }
  // Neither answer is the only one.
  EXPECT_GT(sound, 100);
  EXPECT_GT(refused, 100);
}

TEST(ReferenceIndex, EverydayChangesNeedNoLookAtEverything) {
  ReferenceIndex index;
  auto table = named<RouteTable>("t");
  auto upstream = named<Upstream>("u");
  upstream->set_protocol(UPSTREAM_HTTP1);
  auto host = named<VirtualHost>("t/a");
  host->set_table("t");
  host->set_host("a");
  host->add_routes()->mutable_proxy()->add_backends()->set_upstream("u");
  auto shard = named<EndpointShard>("s");
  shard->add_upstreams()->set_upstream("u");
  index.insert(Kind::kRouteTable, *table);
  index.insert(Kind::kUpstream, *upstream);
  index.insert(Kind::kVirtualHost, *host);
  index.insert(Kind::kEndpointShard, *shard);
  EXPECT_TRUE(index.is_sound(Kind::kVirtualHost, nullptr, host.get()));
  EXPECT_TRUE(index.is_sound(Kind::kVirtualHost, host.get(), host.get()));
  EXPECT_TRUE(index.is_sound(Kind::kEndpointShard, shard.get(), shard.get()));
  EXPECT_TRUE(index.is_sound(Kind::kUpstream, upstream.get(), upstream.get()));
  // One more certificate for a listener, and an address that is taken.
  auto secret = named<TlsSecret>("c");
  secret->set_chain_pem("chain");
  auto listener = named<Listener>("l");
  listener->set_route_table("t");
  listener->set_port(443);
  listener->mutable_tls()->add_certificates()->set_secret("c");
  index.insert(Kind::kTlsSecret, *secret);
  index.insert(Kind::kListener, *listener);
  EXPECT_TRUE(index.is_sound(Kind::kListener, nullptr, listener.get()));
  auto other = named<Listener>("m");
  other->set_port(443);
  index.insert(Kind::kListener, *other);
  EXPECT_FALSE(index.is_sound(Kind::kListener, nullptr, other.get()));
  index.erase(Kind::kListener, *other);
  // An Ingress goes with all that is its own.
  index.erase(Kind::kUpstream, *upstream);
  EXPECT_FALSE(index.is_sound(Kind::kUpstream, upstream.get(), nullptr)) << "still referred to";
  index.erase(Kind::kVirtualHost, *host);
  index.erase(Kind::kEndpointShard, *shard);
  EXPECT_TRUE(index.is_sound(Kind::kUpstream, upstream.get(), nullptr));
  EXPECT_TRUE(index.is_sound(Kind::kVirtualHost, host.get(), nullptr));
}

}  // namespace
}  // namespace headgate::check
