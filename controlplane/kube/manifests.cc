#include "controlplane/kube/manifests.h"

#include <array>
#include <memory>
#include <optional>
#include <utility>

#include <google/protobuf/util/json_util.h>
#include <yaml-cpp/yaml.h>

#include "dataplane/base/text.h"
#include "kubernetes/core.pb.h"
#include "kubernetes/discovery.pb.h"
#include "kubernetes/networking.pb.h"

namespace headgate::kube {

namespace {

constexpr size_t kLargestFile = size_t{16} << 20;
constexpr size_t kMostNodes = 1000000;
constexpr int kDeepest = 100;

struct KindRow {
  std::string_view group_version;
  std::string_view name;
  ObjectKind kind;
  bool namespaced;
  std::shared_ptr<google::protobuf::Message> (*make)();
};

template <typename Message>
std::shared_ptr<google::protobuf::Message> make() {
  return std::make_shared<Message>();
}

constexpr std::array<KindRow, 9> kKinds{{
    {"networking.k8s.io/v1", "Ingress", ObjectKind::kIngress, true, make<kubernetes::Ingress>},
    {"networking.k8s.io/v1", "IngressClass", ObjectKind::kIngressClass, false, make<kubernetes::IngressClass>},
    {"v1", "Service", ObjectKind::kService, true, make<kubernetes::Service>},
    {"discovery.k8s.io/v1", "EndpointSlice", ObjectKind::kEndpointSlice, true, make<kubernetes::EndpointSlice>},
    {"v1", "Secret", ObjectKind::kSecret, true, make<kubernetes::Secret>},
    {"v1", "ConfigMap", ObjectKind::kConfigMap, true, make<kubernetes::ConfigMap>},
    {"v1", "Namespace", ObjectKind::kNamespace, false, make<kubernetes::Namespace>},
    {"v1", "Pod", ObjectKind::kPod, true, make<kubernetes::Pod>},
    {"v1", "Node", ObjectKind::kNode, false, make<kubernetes::Node>},
}};

const KindRow* row_of(std::string_view group_version, std::string_view name) {
  for (const KindRow& row : kKinds) {
    if (row.group_version == group_version && row.name == name) return &row;
  }
  return nullptr;
}

// Why a document cannot be taken; caught in read_file().
struct Refused {
  std::string why;
  int line;
};

bool is_plain(const YAML::Node& node) { return node.Tag() == "?" || node.Tag().empty(); }

std::optional<bool> boolean_of(std::string_view text) {
  for (const std::string_view word : {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"}) {
    if (text == word) return true;
  }
  for (const std::string_view word : {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"}) {
    if (text == word) return false;
  }
  return std::nullopt;
}

// A number as JSON writes it.
bool is_number(std::string_view text) {
  size_t i = text.starts_with('-') ? 1 : 0;
  const size_t first = i;
  while (i < text.size() && is_digit(text[i])) ++i;
  if (i == first || (text[first] == '0' && i > first + 1)) return false;
  if (i < text.size() && text[i] == '.') {
    const size_t fraction = ++i;
    while (i < text.size() && is_digit(text[i])) ++i;
    if (i == fraction) return false;
  }
  return i == text.size();
}

class JsonWriter {
 public:
  std::string take() { return std::move(json_); }

  void write(const YAML::Node& node, int depth) {
    if (depth > kDeepest) throw Refused{"more than 100 levels", line_of(node)};
    if (++nodes_ > kMostNodes) throw Refused{"more than a million nodes", line_of(node)};
    switch (node.Type()) {
      case YAML::NodeType::Undefined:
      case YAML::NodeType::Null: json_ += "null"; return;
      case YAML::NodeType::Scalar: return scalar(node);
      case YAML::NodeType::Sequence: {
        json_ += '[';
        bool first = true;
        for (const YAML::Node& entry : node) {
          if (!std::exchange(first, false)) json_ += ',';
          write(entry, depth + 1);
        }
        json_ += ']';
        return;
      }
      case YAML::NodeType::Map: {
        json_ += '{';
        bool first = true;
        for (const auto& entry : node) {
          // An absent value: the API server drops it, too.
          if (entry.second.IsNull() || (entry.second.IsScalar() && is_null(entry.second))) continue;
          if (!std::exchange(first, false)) json_ += ',';
          json_ += quote_json(entry.first.Scalar()) + ":";
          write(entry.second, depth + 1);
        }
        json_ += '}';
        return;
      }
    }
  }

  static int line_of(const YAML::Node& node) { return node.Mark().line + 1; }

 private:
  static bool is_null(const YAML::Node& node) {
    const std::string& text = node.Scalar();
    return is_plain(node) && (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL");
  }

  void scalar(const YAML::Node& node) {
    const std::string& text = node.Scalar();
    if (is_null(node)) {
      json_ += "null";
    } else if (const auto truth = is_plain(node) ? boolean_of(text) : std::nullopt) {
      json_ += *truth ? "true" : "false";
    } else if (is_plain(node) && is_number(text)) {
      json_ += text;
    } else {
      json_ += quote_json(text);
    }
  }

  std::string json_;
  size_t nodes_ = 0;
};

std::string text_of(const YAML::Node& map, const char* key) {
  const YAML::Node value = map[key];
  return value && value.IsScalar() ? value.Scalar() : std::string();
}

void set_default_namespace(google::protobuf::Message& object) {
  const auto* field = object.GetDescriptor()->FindFieldByName("metadata");
  auto* metadata =
      static_cast<kubernetes::ObjectMeta*>(object.GetReflection()->MutableMessage(&object, field));
  if (metadata->namespace_().empty()) metadata->set_namespace_("default");
}

// Secrets may be written as text; the API server moves it to `data`.
void add_string_data(const YAML::Node& document, google::protobuf::Message& object) {
  auto* secret = dynamic_cast<kubernetes::Secret*>(&object);
  if (secret == nullptr || !document["stringData"] || !document["stringData"].IsMap()) return;
  for (const auto& entry : document["stringData"]) {
    (*secret->mutable_data())[entry.first.Scalar()] = entry.second.IsScalar() ? entry.second.Scalar() : "";
  }
}

class ManifestReader {
 public:
  explicit ManifestReader(Manifests& into) : into_(into) {}

  void read_file(const ManifestFile& file) {
    file_ = &file;
    if (file.text.size() > kLargestFile) {
      into_.errors.push_back(file.name + ": larger than 16 MiB");
      return;
    }
    try {
      for (const YAML::Node& document : YAML::LoadAll(file.text)) read_document(document, 0);
    } catch (const Refused& refused) {
      into_.errors.push_back(at(refused.line) + refused.why);
    } catch (const YAML::Exception& error) {
      into_.errors.push_back(at(error.mark.line + 1) + error.msg);
    }
  }

 private:
  [[nodiscard]] std::string at(int line) const { return file_->name + ":" + std::to_string(line) + ": "; }

  void read_document(const YAML::Node& document, int depth) {
    if (!document || document.IsNull()) return;
    const int line = JsonWriter::line_of(document);
    if (!document.IsMap()) {
      into_.errors.push_back(at(line) + "expected an object with apiVersion and kind");
      return;
    }
    const std::string version = text_of(document, "apiVersion");
    const std::string kind = text_of(document, "kind");
    if (kind.empty() || version.empty()) {
      into_.errors.push_back(at(line) + "expected apiVersion and kind");
      return;
    }
    if (kind.ends_with("List") && document["items"] && document["items"].IsSequence()) {
      if (depth > 4) throw Refused{"lists inside lists inside lists", line};
      for (const YAML::Node& item : document["items"]) read_document(item, depth + 1);
      return;
    }
    const KindRow* row = row_of(version, kind);
    if (row == nullptr) {
      const YAML::Node metadata = document["metadata"];
      const std::string name = metadata && metadata.IsMap() ? text_of(metadata, "name") : "";
      into_.ignored.push_back(at(line) + version + " " + kind + (name.empty() ? "" : " " + name));
      return;
    }
    JsonWriter json;
    json.write(document, 0);
    std::shared_ptr<google::protobuf::Message> object = row->make();
    google::protobuf::util::JsonParseOptions options;
    options.ignore_unknown_fields = true;
    const auto status = google::protobuf::util::JsonStringToMessage(json.take(), object.get(), options);
    if (!status.ok()) {
      into_.errors.push_back(at(line) + kind + ": " + std::string(status.message()));
      return;
    }
    if (row->namespaced) set_default_namespace(*object);
    add_string_data(document, *object);
    into_.objects.push_back({row->kind, std::move(object), file_->name + ":" + std::to_string(line)});
  }

  Manifests& into_;
  const ManifestFile* file_ = nullptr;
};

}  // namespace

Manifests read_manifests(const std::vector<ManifestFile>& files) {
  Manifests manifests;
  ManifestReader reader(manifests);
  for (const ManifestFile& file : files) reader.read_file(file);
  return manifests;
}

}  // namespace headgate::kube
