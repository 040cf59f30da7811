// resource_view.h -- a set of resources as a value: copies share what did not change, and differences are found at the
// cost of what differs. One message object is one content: whoever changes a resource puts another object in its place.
// Thread: control.   Owner: control::ResourceStore, Builder (by value).
#pragma once

#include <memory>
#include <string>
#include <tuple>

#include "dataplane/base/shared_map.h"
#include "headgate/config/v1/resources.pb.h"
#include "proto/check/check.h"

namespace headgate::snapshot {

class ResourceView {
 public:
  struct ByName {
    template <typename T>
    const std::string& operator()(const std::shared_ptr<const T>& message) const {
      return message->name();
    }
  };
  template <typename T>
  using Map = SharedMap<std::shared_ptr<const T>, ByName>;

  // The messages of `set`, which must outlive the view and all its copies.
  static ResourceView borrowed(const config::v1::ResourceSet& set);
  // The messages of `set`, which lives as long as any of them is in a view.
  static ResourceView shared(std::shared_ptr<const config::v1::ResourceSet> set);

  // All of one type, by name.
  template <typename T>
  [[nodiscard]] const Map<T>& all() const {
    return std::get<Map<T>>(maps_);
  }
  // Null: there is none.
  template <typename T>
  [[nodiscard]] const T* find(const std::string& name) const {
    const auto* const found = all<T>().find(name);
    return found == nullptr ? nullptr : found->get();
  }
  // visit(const T&) in the order of names.
  template <typename T, typename Visitor>
  void visit(const Visitor& visitor) const {
    all<T>().visit_all([&](const std::shared_ptr<const T>& message) { visitor(*message); });
  }
  // visit(old, now) for each resource that is another object; null where there is none.
  template <typename T, typename Visitor>
  static void changes_between(const ResourceView& before, const ResourceView& after, const Visitor& visitor) {
    using Entry = std::shared_ptr<const T>;
    Map<T>::changes_between(before.all<T>(), after.all<T>(), [&](const Entry* old, const Entry* now) {
      visitor(old == nullptr ? nullptr : old->get(), now == nullptr ? nullptr : now->get());
    });
  }
  [[nodiscard]] bool has_settings() const { return settings_ != nullptr; }
  // Those that everything else is built with.
  [[nodiscard]] const config::v1::ProxySettings& settings() const {
    return settings_ == nullptr ? config::v1::ProxySettings::default_instance() : *settings_;
  }

  void set_settings(std::shared_ptr<const config::v1::ProxySettings> settings) { settings_ = std::move(settings); }
  // Not kSettings. `message` is of that kind, and nobody changes it any more.
  void set(check::Kind kind, const std::shared_ptr<const google::protobuf::Message>& message);
  void erase(check::Kind kind, const std::string& name);

 private:
  template <typename T>
  Map<T>& all() {
    return std::get<Map<T>>(maps_);
  }

  std::tuple<Map<config::v1::Listener>, Map<config::v1::RouteTable>, Map<config::v1::VirtualHost>,
             Map<config::v1::Upstream>, Map<config::v1::EndpointShard>, Map<config::v1::TlsSecret>,
             Map<config::v1::TicketKeys>, Map<config::v1::DnsZone>>
      maps_;
  std::shared_ptr<const config::v1::ProxySettings> settings_;
};

}  // namespace headgate::snapshot
