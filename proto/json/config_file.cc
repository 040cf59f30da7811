#include "proto/json/config_file.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <tuple>

#include "dataplane/base/text.h"
#include "proto/check/normalize.h"
#include "proto/json/reading.h"
#include "proto/json/shape.h"

namespace headgate::json {

namespace {

constexpr size_t kMaxDiagnostics = 1000;

std::string position_key(check::Kind kind, std::string_view resource, std::string_view field_path) {
  std::string key(check::kind_name(kind));
  key.push_back('\0');
  key += resource;
  key.push_back('\0');
  key += field_path;
  return key;
}

}  // namespace

std::string to_string(const Diagnostic& diagnostic) {
  std::string out = diagnostic.file;
  if (diagnostic.line != 0) out += ":" + std::to_string(diagnostic.line) + ":" + std::to_string(diagnostic.column);
  out += diagnostic.severity == Severity::kError ? ": error: " : ": warning: ";
  if (!diagnostic.path.empty()) out += diagnostic.path + ": ";
  return out + diagnostic.message + " [" + diagnostic.rule + "]";
}

bool has_errors(const std::vector<Diagnostic>& diagnostics) {
  return std::any_of(diagnostics.begin(), diagnostics.end(),
                     [](const Diagnostic& one) { return one.severity == Severity::kError; });
}

void Positions::add(check::Kind kind, std::string_view resource, std::string_view field_path, NodeId node) {
  if (node != kNoNode) nodes_.emplace(position_key(kind, resource, field_path), node);
}

void Positions::add_list(check::Kind kind, std::string_view resource, std::string_view field_path,
                         std::vector<NodeId> nodes) {
  lists_.emplace(position_key(kind, resource, field_path), std::move(nodes));
}

NodeId Positions::find(check::Kind kind, std::string_view resource, std::string_view field_path) const {
  while (true) {
    const auto node = nodes_.find(position_key(kind, resource, field_path));
    if (node != nodes_.end()) return node->second;
    if (field_path.ends_with(']')) {
      const size_t open = field_path.rfind('[');
      const auto list = lists_.find(position_key(kind, resource, field_path.substr(0, open)));
      size_t index = 0;
      std::from_chars(field_path.data() + open + 1, field_path.data() + field_path.size() - 1, index);
      if (list != lists_.end() && index < list->second.size()) return list->second[index];
      field_path = field_path.substr(0, open);
      continue;
    }
    if (field_path.empty()) return kNoNode;
    const size_t cut = field_path.find_last_of(".[");
    // "a[1].b" -> "a[1]"; "a[1]" was handled above; "a" -> "".
    field_path = cut == std::string_view::npos ? std::string_view() : field_path.substr(0, cut);
  }
}

void Reading::report(Severity severity, uint32_t offset, NodeId node, std::string_view rule, std::string message) {
  if (out.diagnostics.size() >= kMaxDiagnostics) return;
  const TextPosition at = doc.position(offset);
  out.diagnostics.push_back(
      {severity, options.file_name, at.line, at.column, doc.path(node), std::string(rule), std::move(message)});
}

void Reading::error(NodeId node, std::string_view rule, std::string message) {
  error_nodes_.insert(node);
  report(Severity::kError, doc.node(node).offset, node, rule, std::move(message));
}

void Reading::warning(NodeId node, std::string_view rule, std::string message) {
  report(Severity::kWarning, doc.node(node).offset, node, rule, std::move(message));
}

void Reading::error_at_key(NodeId node, std::string_view rule, std::string message) {
  error_nodes_.insert(node);
  report(Severity::kError, doc.node(node).key_offset, node, rule, std::move(message));
}

bool Reading::has_error_within(NodeId node) const {
  return std::any_of(error_nodes_.begin(), error_nodes_.end(), [&](NodeId bad) {
    for (; bad != kNoNode; bad = doc.node(bad).parent) {
      if (bad == node) return true;
    }
    return false;
  });
}

void Reading::add_check_problems(const std::vector<check::Problem>& problems) {
  std::set<std::tuple<NodeId, std::string_view, std::string_view>> seen;  // a rule with two hosts is checked twice
  for (const check::Problem& problem : problems) {
    NodeId node = positions.find(problem.kind, problem.resource, problem.field_path);
    const bool placed = node != kNoNode;
    if (!placed) node = doc.root();
    // Where the reader has complained, the message is a follow-up of what it could not read.
    if (placed && has_error_within(node)) continue;
    if (!seen.insert({node, problem.rule, problem.message}).second) continue;
    const Severity severity = problem.severity == check::Severity::kError ? Severity::kError : Severity::kWarning;
    report(severity, doc.node(node).offset, node, problem.rule, placed ? problem.message : to_string(problem));
  }
}

std::optional<std::string_view> Reading::text(NodeId node) const {
  if (node == kNoNode || doc.node(node).kind != NodeKind::kString) return std::nullopt;
  return doc.node(node).text;
}

std::optional<double> Reading::number(NodeId node) const {
  if (node == kNoNode || doc.node(node).kind != NodeKind::kNumber) return std::nullopt;
  double value = 0;
  const std::string_view text = doc.node(node).text;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc()) return std::nullopt;
  // Out of range for its shape (reported): nothing that later conversions could not hold.
  if (error_nodes_.contains(node)) return std::nullopt;
  return value;
}

std::optional<bool> Reading::truth(NodeId object, std::string_view key) const {
  const NodeId node = member(object, key);
  if (node == kNoNode || doc.node(node).kind != NodeKind::kBoolean) return std::nullopt;
  return doc.node(node).boolean;
}

std::vector<NodeId> Reading::each(NodeId node) const {
  std::vector<NodeId> nodes;
  if (node == kNoNode) return nodes;
  if (doc.node(node).kind != NodeKind::kArray) return {node};
  for (NodeId child = doc.first(node); child != kNoNode; child = doc.next(child)) nodes.push_back(child);
  return nodes;
}

std::vector<std::string> Reading::texts(NodeId object, std::string_view key) const {
  std::vector<std::string> out_texts;
  for (const NodeId node : each(member(object, key))) {
    if (const auto value = text(node)) out_texts.emplace_back(*value);
  }
  return out_texts;
}

bool Reading::duration(NodeId object, std::string_view key, google::protobuf::Duration* into) const {
  const auto value = number(object, key);
  if (!value) return false;
  const double whole = std::floor(*value);
  auto nanos = static_cast<int64_t>(std::llround((*value - whole) * 1e9));
  auto seconds = static_cast<int64_t>(whole);
  if (nanos >= 1'000'000'000) {
    ++seconds;
    nanos = 0;
  }
  into->set_seconds(seconds);
  into->set_nanos(static_cast<int32_t>(nanos));
  return true;
}

std::string Reading::resolve(std::string_view path) const {
  const std::filesystem::path given{std::string(path)};
  std::string whole =
      (given.is_absolute() ? given : std::filesystem::path(options.folder) / given).lexically_normal().string();
  if (whole.size() > 1 && whole.ends_with('/')) whole.pop_back();
  return whole;
}

std::optional<std::string> Reading::contents(NodeId node) {
  const auto name = text(node);
  if (!name) return std::nullopt;
  if (name->empty()) {
    error(node, "file", "expected the name of a file");
    return std::nullopt;
  }
  const std::string path = resolve(*name);
  if (!options.read_file) {
    error(node, "file", "files cannot be read here");
    return std::nullopt;
  }
  auto result = options.read_file(path);
  if (!result.has_value()) {
    error(node, "file", "cannot read " + quote_json(path) + ": " + to_string(result.error()));
    return std::nullopt;
  }
  return std::move(*result);
}

ListenerEntry* Reading::listener(std::string_view name) {
  for (ListenerEntry& entry : listeners) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

std::string folder_of(const std::string& file, const std::string& working_directory) {
  const std::filesystem::path path(file);
  const std::filesystem::path whole = path.is_absolute() ? path : std::filesystem::path(working_directory) / path;
  return whole.lexically_normal().parent_path().string();
}

ConfigFile read_config(std::string text, const ReadOptions& options) {
  ConfigFile out;
  out.document = std::make_unique<Document>();
  Document& doc = *out.document;
  const bool readable = doc.read(std::move(text));
  Reading reading(doc, options, out);
  for (const SyntaxError& error : doc.errors()) {
    const TextPosition at = doc.position(error.offset);
    out.diagnostics.push_back({Severity::kError, options.file_name, at.line, at.column,
                               error.node == kNoNode ? "$" : doc.path(error.node), "syntax", error.message});
  }
  const bool whole = readable || std::all_of(doc.errors().begin(), doc.errors().end(),
                                             [](const SyntaxError& e) { return e.recovered; });
  if (whole && doc.root() != kNoNode) {
    const NodeId root = doc.root();
    check_shape(doc, root, file_shape(), [&](NodeId node, std::string_view rule, std::string message) {
      if (rule == "unknown-key") {
        reading.error_at_key(node, rule, std::move(message));
      } else {
        reading.error(node, rule, std::move(message));
      }
    });
    if (reading.is_object(root)) {
      reading.positions.add(check::Kind::kSettings, "default", "", root);
      out.resources.mutable_settings()->set_name("default");
      read_timeouts(reading, root);
      read_logging(reading, root);
      read_listen(reading, root);
      read_tls(reading, root);
      read_upstreams(reading, root);
      read_dns(reading, root);
      read_dispatch(reading, root);
      check::normalize(out.resources);
      reading.add_check_problems(check::check_resources(out.resources, options.now));
    }
  }
  std::stable_sort(out.diagnostics.begin(), out.diagnostics.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::tie(a.line, a.column) < std::tie(b.line, b.column);
  });
  return out;
}

}  // namespace headgate::json
