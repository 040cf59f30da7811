// Rewriting, redirects, further names and header fields.
#include <algorithm>
#include <map>

#include "controlplane/translate/ingress_reader.h"
#include "dataplane/base/host_name.h"
#include "dataplane/base/text.h"

namespace headgate::translate {

namespace v1 = config::v1;

namespace {

bool is_rewrite_target(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return is_alpha(c) || is_digit(c) || std::string_view("-._~/:$").find(c) != std::string_view::npos;
  });
}

bool is_redirect_url(std::string_view text) {
  return (text.starts_with("http://") || text.starts_with("https://")) && text.find('$') == std::string_view::npos &&
         is_field_value(text) && text.find(' ') == std::string_view::npos;
}

// One "Name: value" per line.
std::vector<std::pair<std::string, std::string>> header_lines(const std::string& text) {
  std::vector<std::pair<std::string, std::string>> lines;
  for (const std::string& line : list_of(text, "\n")) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) {
      lines.emplace_back(line, "");
    } else {
      lines.emplace_back(trim(std::string_view(line).substr(0, colon)), trim(std::string_view(line).substr(colon + 1)));
    }
  }
  return lines;
}

}  // namespace

void IngressReader::read_rewrite() {
  if (const auto target = text("rewrite-target")) {
    if (!is_rewrite_target(*target)) {
      ignore("rewrite-target", quote_json(*target) + " may hold only letters, digits and - . _ ~ / : $");
    } else {
      model_->rewrite_target = *target;
    }
  }
  model_->regex = flag("use-regex", false);
  if (model_->regex) model_->regex_reason = "use-regex";
  if (const auto prefix = text("x-forwarded-prefix")) {
    if (!is_field_value(*prefix)) {
      reject("x-forwarded-prefix", "it holds control characters");
    } else if (model_->rewrite_target.empty()) {
      notes_.inform("AnnotationWithoutEffect", "x-forwarded-prefix: it counts only together with rewrite-target");
    } else if (prefix->find('$') != std::string::npos) {
      notes_.warn("AnnotationNotSupported",
                  "x-forwarded-prefix: groups of the path are not supported yet in it; it is left out");
    } else {
      model_->proxy.mutable_forwarded()->set_prefix(*prefix);
    }
  }
}

void IngressReader::read_redirects() {
  model_->ssl_redirect = flag("ssl-redirect", defaults_.ssl_redirect);
  model_->force_ssl_redirect = flag("force-ssl-redirect", defaults_.force_ssl_redirect);
  model_->from_to_www = false;
  if (const auto www = text("from-to-www-redirect")) {
    const auto parsed = parse_bool(*www);
    if (!parsed) {
      reject("from-to-www-redirect", quote_json(*www) + " is not true or false");
    } else {
      model_->from_to_www = *parsed;
    }
  }
  if (const auto root = text("app-root")) {
    if (!root->starts_with('/') || !is_field_value(*root) || root->find('$') != std::string::npos) {
      ignore("app-root", quote_json(*root) + " is no path that starts with \"/\"");
    } else {
      model_->app_root = *root;
    }
  }
  // The temporary one wins; a code out of range is the default.
  const struct {
    const char* name;
    const char* code_name;
    uint32_t code;
    uint32_t highest;
  } kinds[] = {{"temporal-redirect", "temporal-redirect-code", 302, 307},
               {"permanent-redirect", "permanent-redirect-code", 301, 308}};
  bool redirects = false;
  for (const auto& kind : kinds) {
    const auto url = text(kind.name);
    uint32_t code = kind.code;
    if (const auto wanted = number(kind.code_name)) {
      const bool known =
          *wanted >= 300 && *wanted <= kind.highest && *wanted != 304 && *wanted != 305 && *wanted != 306;
      if (known) {
        code = *wanted;
      } else {
        ignore(kind.code_name,
               std::to_string(*wanted) + " is no code of a redirect up to " + std::to_string(kind.highest));
      }
    }
    if (!url) continue;
    if (!is_redirect_url(*url)) {
      reject(kind.name, quote_json(*url) + " is no http:// or https:// URL without variables");
    } else if (!redirects) {
      redirects = true;
      v1::RedirectFilter* redirect = add_filter().mutable_redirect();
      redirect->set_status(code);
      redirect->set_location(*url);
    } else {
      notes_.inform("AnnotationWithoutEffect", std::string(kind.name) + ": temporal-redirect wins");
    }
  }
}

void IngressReader::read_names() {
  const auto aliases = text("server-alias");
  if (!aliases) return;
  for (const std::string& entry : list_of(*aliases)) {
    const std::string name = normalize_host(entry);
    const HostPatternKind kind = host_pattern_kind(name);
    if (entry.starts_with('~') || kind == HostPatternKind::kInvalid || kind == HostPatternKind::kAny) {
      notes_.warn("AnnotationNotSupported",
                  "server-alias: " + quote_json(entry) +
                      " is left out: only names and \"*.example.com\" are supported, no patterns");
    } else if (std::find(model_->aliases.begin(), model_->aliases.end(), name) == model_->aliases.end()) {
      model_->aliases.push_back(name);
    }
  }
}

void IngressReader::add_headers_of(const std::string& annotation, bool request) {
  const auto value = text(annotation);
  if (!value) return;
  v1::HeaderMods mods;
  for (const auto& [name, header] : header_lines(*value)) {
    if (!is_token(name) || !is_field_value(header)) {
      reject(annotation, quote_json(name) + " is no field name, or its value has control characters");
      return;
    }
    const std::string ours =
        our_variables(header, {{"namespace", name_space_}, {"ingress_name", ingress_.metadata().name()}});
    const std::string wrong = request ? unknown_variable(ours) : std::string();
    if (!wrong.empty()) {
      reject(annotation, wrong);
      return;
    }
    v1::NameValue* set = mods.add_set();
    set->set_name(name);
    set->set_value(ours);
  }
  v1::HttpFilter& filter = add_filter();
  *(request ? filter.mutable_request_headers() : filter.mutable_response_headers()) = std::move(mods);
}

void IngressReader::read_headers() {
  add_headers_of("set-request-headers", true);
  add_headers_of("set-response-headers", false);
  for (const bool request : {true, false}) {
    const char* name = request ? "remove-request-headers" : "remove-response-headers";
    const auto value = text(name);
    if (!value) continue;
    v1::HeaderMods mods;
    for (const std::string& field : list_of(*value, ",\n")) {
      if (!is_token(field)) {
        reject(name, quote_json(field) + " is no field name");
        break;
      }
      mods.add_remove(field);
    }
    v1::HttpFilter& filter = add_filter();
    *(request ? filter.mutable_request_headers() : filter.mutable_response_headers()) = std::move(mods);
  }
  const auto name = text("custom-headers");
  if (!name) return;
  const auto key = object_of("custom-headers", *name);
  if (!key) return;
  const auto map = reads_.find<kubernetes::ConfigMap>(key->name_space, key->name);
  if (map == nullptr) return deny("custom-headers", "there is no ConfigMap " + key->name_space + "/" + key->name);
  v1::HeaderMods mods;
  const std::map<std::string, std::string> sorted(map->data().begin(), map->data().end());
  for (const auto& [field, value] : sorted) {
    const auto& allowed = defaults_.allowed_response_headers;
    if (std::find(allowed.begin(), allowed.end(), field) == allowed.end()) {
      return deny("custom-headers",
                  field + " is not listed in global-allowed-response-headers of the controller's ConfigMap");
    }
    if (!is_token(field) || !is_field_value(value)) {
      return deny("custom-headers", quote_json(field) + " is no header field");
    }
    v1::NameValue* set = mods.add_set();
    set->set_name(field);
    // Values are texts here, not templates.
    std::string literal;
    for (const char c : value) literal += c == '$' ? "$$" : std::string(1, c);
    set->set_value(literal);
  }
  *add_filter().mutable_response_headers() = std::move(mods);
}

}  // namespace headgate::translate
