// ingress_reader.h -- the parts of reading an Ingress, one .cc per subject; included by ingress*.cc only.
// Thread: any.   Owner: read_ingress(), for one call.
//
// A value that is wrong has one of three effects, as in ingress-nginx, except that nothing widens silently:
//   reject()  the Ingress is not served: what it asks for cannot be told
//   deny()    its paths answer 503: what guards them is wrong
//   ignore()  the default holds: nothing but comfort is lost
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "controlplane/translate/annotations.h"
#include "controlplane/translate/ingress.h"

namespace headgate::translate {

class IngressReader {
 public:
  IngressReader(Reads& reads, const Settings& settings, const Defaults& defaults, const kubernetes::Ingress& ingress);
  IngressPtr read();

 private:
  // ingress.cc: class, rules, TLS, canary
  bool is_ours();
  bool class_is_ours(const kubernetes::IngressClass& object) const;
  bool default_class_is_ours();
  void read_rules();
  void add_path(int rule, int path, const std::string& host, const kubernetes::HttpIngressPath& entry);
  UpstreamPtr backend(const kubernetes::IngressBackend& entry, PathRule& rule, const std::string& where);
  void read_tls();
  void read_canary();

  // ingress_routing.cc: rewriting, redirects, names, header fields
  void read_rewrite();
  void read_redirects();
  void read_names();
  void read_headers();
  void add_headers_of(const std::string& annotation, bool request);

  // ingress_proxying.cc: how the upstream is spoken to and chosen
  Speech read_speech();
  void read_upstream_tls(Speech& speech);
  void read_sizes_and_times();
  void read_retry();
  void read_balance();
  void read_affinity();
  void read_mirror();
  void read_errors();

  // ingress_access.cc: who may come in, and how often
  void read_ranges();
  void read_limits();
  void read_basic_auth();
  void read_external_auth();
  void read_client_certificate();
  void read_cors();

  // Values of annotations; what is malformed is ignored with a note.
  [[nodiscard]] std::optional<std::string> text(std::string_view name, std::string_view alias = {}) const {
    return annotations_.value(name, alias);
  }
  bool flag(std::string_view name, bool otherwise);
  std::optional<bool> on_off(std::string_view name);
  std::optional<uint32_t> number(std::string_view name);
  // $variables in our words; empty with a note by `wrong` when one is unknown.
  std::optional<std::string> variables(std::string_view name, const std::string& value, int groups = -1);

  void reject(std::string_view name, const std::string& why);
  void deny(std::string_view name, const std::string& why);
  void ignore(std::string_view name, const std::string& why);
  // The object an annotation names; nullopt with deny(): malformed or in another namespace.
  std::optional<world::ObjectKey> object_of(std::string_view name, const std::string& value);

  config::v1::HttpFilter& add_filter() { return model_->filters.emplace_back(); }

  Reads& reads_;
  const Settings& settings_;
  const Defaults& defaults_;
  const kubernetes::Ingress& ingress_;
  const std::string& name_space_;
  Annotations annotations_;
  Notes notes_;
  std::shared_ptr<IngressModel> model_;
  Speech speech_{};
};

}  // namespace headgate::translate
