// Every field of the configuration language is read by the dataplane, refused by it, or stands in the list here with the
// reason why nobody reads it. It is a search for the accessor in the sources: a field whose name another message has,
// too, is found with that one.
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include "headgate/config/v1/resources.pb.h"

namespace headgate::snapshot {
namespace {

namespace fs = std::filesystem;
using google::protobuf::Descriptor;

const std::map<std::string, std::string> kUnread{
    // Filters without code: the builder refuses each as "a filter that is not built in yet".
    {"HttpFilter.jwt_auth", "refused"}, {"JwtAuth", "of it"},
    {"HttpFilter.api_key_auth", "refused"}, {"ApiKeyAuth", "of it"},
    {"HttpFilter.cache", "refused"}, {"ResponseCache", "of it"},
    {"HttpFilter.cookie_rewrite", "refused"}, {"CookieRewrite", "of it"},
    {"HttpFilter.lua", "refused"}, {"LuaScript", "of it"},
    {"ExternalAuth.cache", "counts with cache_key, which is refused"}, {"CacheDuration", "of it"},
    // Read in another way.
    {"HttpFilter.grpc_web", "it has no fields: its case is enough"}, {"Route.echo", "likewise"},
    {"DnsService.allow_wildcard", "for the check of addresses"},
    {"TlsRedirect.force", "whoever adds the filter has decided that"},
    // Where things came from, for messages and for whoever watches files.
    {"BasicAuth.htpasswd_file", "origin"}, {"TlsSecret.chain_file", "origin"}, {"TlsSecret.key_file", "origin"},
    {"TlsSecret.ca_file", "origin"}, {"DnsZone.master_file_path", "origin"}, {"Endpoint.node", "for people"}, {"Endpoint.hostname", "for people"},
};

std::string sources() {
  std::ostringstream text;
  for (const auto& entry : fs::recursive_directory_iterator(fs::path(HEADGATE_SOURCE_DIR) / "dataplane")) {
    const std::string ending = entry.path().extension().string();
    if (ending != ".cc" && ending != ".h") continue;
    text << std::ifstream(entry.path()).rdbuf();
  }
  return text.str();
}

bool is_read(const std::string& text, const std::string& field) {
  const std::string name = field == "template" ? "template_" : field;
  for (const std::string& accessor : {name + "()", "has_" + name + "()", name + "_size()", name + "(0)"}) {
    for (size_t at = text.find(accessor); at != std::string::npos; at = text.find(accessor, at + 1)) {
      const char before = at == 0 ? ' ' : text[at - 1];
      if (before == '.' || before == '>') return true;
    }
  }
  return false;
}

void visit(const Descriptor* type, const std::string& text, std::set<std::string>& seen) {
  if (type->file()->package() != "headgate.config.v1" || !seen.insert(type->name()).second) return;
  for (int i = 0; i < type->field_count(); ++i) {
    const auto* field = type->field(i);
    const std::string name = type->name() + "." + field->name();
    if (!kUnread.contains(type->name()) && !kUnread.contains(name)) {
      EXPECT_TRUE(is_read(text, field->name())) << name << " is read nowhere: build it, refuse it, or say why here";
    }
    if (field->message_type() != nullptr) visit(field->message_type(), text, seen);
  }
}

TEST(Fields, EachIsReadOrRefused) {
  std::set<std::string> seen;
  visit(config::v1::ResourceSet::descriptor(), sources(), seen);
  EXPECT_GE(seen.size(), 50U);
}

TEST(Fields, TheListHasOnlyWhatExists) {
  const auto* file = config::v1::ResourceSet::descriptor()->file();
  for (const auto& [name, reason] : kUnread) {
    const std::string full = "headgate.config.v1." + name;
    EXPECT_TRUE(file->pool()->FindMessageTypeByName(full) != nullptr || file->pool()->FindFieldByName(full) != nullptr)
        << name << " (" << reason << ")";
  }
}

}  // namespace
}  // namespace headgate::snapshot
