// Manifests in, resources and notes out, as files: tests/golden/translate/NAME.in.yaml -> NAME.out.json.
// Lines "# settings: KEY VALUE" at the top change the Settings. What an empty World gives with these Settings is left
// out of the output. HG_UPDATE_GOLDEN=1 writes the outputs anew: read them before you commit.
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "dataplane/base/text.h"
#include "tests/controlplane/translate/support.h"

namespace headgate::translate {
namespace {

namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string json_of(const google::protobuf::Message& message) {
  std::string json;
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.preserve_proto_field_names = true;
  EXPECT_TRUE(google::protobuf::util::MessageToJsonString(message, &json, options).ok());
  while (json.ends_with('\n')) json.pop_back();
  return json;
}

std::string body_of(const Resource& resource) {
  const auto as = [&](auto message) {
    EXPECT_TRUE(message.ParseFromString(resource.body));
    return json_of(message);
  };
  switch (resource.kind) {
    case control::v1::KIND_LISTENER: return as(config::v1::Listener());
    case control::v1::KIND_ROUTE_TABLE: return as(config::v1::RouteTable());
    case control::v1::KIND_UPSTREAM: return as(config::v1::Upstream());
    case control::v1::KIND_ENDPOINT_SHARD: return as(config::v1::EndpointShard());
    case control::v1::KIND_PROXY_SETTINGS: return as(config::v1::ProxySettings());
    case control::v1::KIND_VIRTUAL_HOST: return as(config::v1::VirtualHost());
    case control::v1::KIND_TLS_SECRET: {
      config::v1::TlsSecret secret;
      EXPECT_TRUE(secret.ParseFromString(resource.body));
      std::string parts;
      if (!secret.chain_pem().empty()) parts += " chain";
      if (!secret.key_pem().empty()) parts += " key";
      if (!secret.ca_pem().empty()) parts += " authorities";
      if (!secret.crl_pem().empty()) parts += " revocations";
      return quote_json("(parts:" + parts + ")");
    }
    default: return "null";
  }
}

std::string text_of(const Output& output, const Output& nothing) {
  std::string text = "{\n";
  const auto list = [&](const char* name, const std::vector<std::string>& entries) {
    text += std::string("\"") + name + "\": [";
    for (size_t i = 0; i < entries.size(); ++i) text += (i == 0 ? "\n  " : ",\n  ") + quote_json(entries[i]);
    text += entries.empty() ? "],\n" : "\n],\n";
  };
  std::vector<std::string> notes;
  for (const Note& note : output.notes) notes.push_back(note_text(note));
  list("notes", notes);
  std::vector<std::string> admitted;
  for (const ObjectRefPtr& ref : output.admitted) admitted.push_back(ref_text(*ref));
  list("admitted", admitted);
  text += "\"resources\": {";
  bool first = true;
  for (const ResourcePtr& resource : output.resources) {
    const bool usual = std::any_of(nothing.resources.begin(), nothing.resources.end(), [&](const ResourcePtr& other) {
      return other->version == resource->version;
    });
    if (usual) continue;
    text += std::exchange(first, false) ? "\n" : ",\n";
    text += quote_json(control::v1::Kind_Name(resource->kind).substr(5) + " " + resource->name) + ": " + body_of(*resource);
  }
  return text + "\n}\n}\n";
}

std::vector<std::string> names() {
  std::vector<std::string> found;
  for (const auto& entry : fs::directory_iterator(fs::path(HEADGATE_SOURCE_DIR) / "tests/golden/translate")) {
    const std::string file = entry.path().filename().string();
    if (file.ends_with(".in.yaml")) found.push_back(file.substr(0, file.size() - 8));
  }
  std::sort(found.begin(), found.end());
  return found;
}

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, IsAsWritten) {
  const fs::path folder = fs::path(HEADGATE_SOURCE_DIR) / "tests/golden/translate";
  const std::string yaml = read_file(folder / (GetParam() + ".in.yaml"));
  const fs::path out = folder / (GetParam() + ".out.json");
  const Settings settings = settings_of(yaml);
  const Output output = translate(world_of(yaml), settings);
  expect_legal(output);
  const std::string text = text_of(output, translate({}, settings));
  if (std::getenv("HG_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(out, std::ios::binary) << text;
    return;
  }
  EXPECT_EQ(read_file(out), text);
}

std::string test_name(const testing::TestParamInfo<std::string>& param) {
  std::string name = param.param;
  std::replace_if(name.begin(), name.end(), [](char c) { return !is_alpha(c) && !is_digit(c); }, '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Translate, Golden, testing::ValuesIn(names()), test_name);

}  // namespace
}  // namespace headgate::translate
