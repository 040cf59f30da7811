#include "dataplane/control/config_check.h"

#include "dataplane/control/config_loader.h"
#include "dataplane/explain/explain.h"
#include "dataplane/snapshot/build.h"
#include "proto/json/print.h"

namespace headgate::control {
namespace {

json::ConfigFile load(const Options& options, ConfigReport& report) {
  Options named = options;
  named.config = options.file;
  json::ConfigFile file = ConfigLoader(named).load();
  report.problems = lines_of(file.diagnostics);
  report.ok = file.ok();
  return file;
}

}  // namespace

ConfigReport check_config(const Options& options) {
  ConfigReport report;
  const json::ConfigFile file = load(options, report);
  if (!report.ok) return report;
  // Some things only show when the objects are made: a key that OpenSSL refuses, an expression too large.
  const snapshot::BuildOutcome built = snapshot::Builder().build(file.resources);
  for (const check::Problem& problem : built.problems) {
    const char* severity = problem.severity == check::Severity::kError ? ": error: " : ": warning: ";
    report.problems.push_back(options.file + severity + check::to_string(problem));
  }
  report.ok = built.snapshot != nullptr;
  if (report.ok) report.text = options.file + ": ok\n";
  return report;
}

ConfigReport print_config(const Options& options) {
  ConfigReport report;
  const json::ConfigFile file = load(options, report);
  if (!report.ok) return report;
  report.text = options.resources ? json::print_resources(file.resources) : json::print_config(file);
  if (!report.text.ends_with('\n')) report.text += '\n';
  return report;
}

ConfigReport explain_config(const Options& options, explain::Question question) {
  ConfigReport report;
  std::string problem;
  if (!explain::parse(question, problem)) {
    report.problems.push_back("headgate: " + problem);
    return report;
  }
  const json::ConfigFile file = ConfigLoader(options).load();
  report.problems = lines_of(file.diagnostics);
  if (!file.ok()) return report;
  const snapshot::BuildOutcome built = snapshot::Builder().build(file.resources);
  for (const check::Problem& one : built.problems) report.problems.push_back(options.config + ": " + check::to_string(one));
  if (built.snapshot == nullptr) return report;
  report.text = explain::explain(*built.snapshot, file.resources, question, system_clock().now()).text;
  report.ok = true;
  return report;
}

std::string configured_admin(const Options& options) {
  if (options.config.empty()) return "";
  const json::ConfigFile file = ConfigLoader(options).load();
  return file.ok() ? file.resources.settings().admin() : "";
}

}  // namespace headgate::control
