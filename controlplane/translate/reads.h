// reads.h -- a World that remembers what was asked of it: what a memoised result depends on.
// Thread: that of the translation.   Owner: the reading of one object.
#pragma once

#include <compare>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/translate/secrets.h"
#include "controlplane/world/world.h"

namespace headgate::translate {

// One object, present or not; with an empty name: every object of the kind.
struct ReadKey {
  world::ObjectKind kind{};
  world::ObjectKey key{};

  auto operator<=>(const ReadKey&) const = default;
  bool operator==(const ReadKey&) const = default;
};

class Reads {
 public:
  Reads(const world::World& world, SecretCache& secrets) : world_(world), secrets_(secrets) {}

  template <typename Message>
  std::shared_ptr<const Message> find(std::string_view name_space, std::string_view name) {
    keys_.push_back({world::kind_of<Message>(), {std::string(name_space), std::string(name)}});
    return world_.find<Message>(name_space, name);
  }
  template <typename Message>
  void visit_all(const std::function<void(const world::ObjectKey&, const Message&)>& visitor) {
    keys_.push_back({world::kind_of<Message>(), {}});
    world_.visit<Message>(visitor);
  }
  // TLS material of a Secret; null: there is no such Secret.
  std::shared_ptr<const SecretContent> tls_material(std::string_view name_space, std::string_view name) {
    keys_.push_back({world::ObjectKind::kSecret, {std::string(name_space), std::string(name)}});
    return secrets_.content_of(world_, {std::string(name_space), std::string(name)});
  }
  [[nodiscard]] std::vector<ReadKey> take() { return std::move(keys_); }

 private:
  const world::World& world_;
  SecretCache& secrets_;
  std::vector<ReadKey> keys_;
};

}  // namespace headgate::translate
