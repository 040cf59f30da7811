// metrics_test.cc -- the table of metrics against the naming rules that dashboards rely on.
#include <gtest/gtest.h>

#include <cctype>
#include <map>
#include <set>
#include <string>

#include "dataplane/base/counters.h"
#include "tests/repo/tree.h"

namespace headgate {
namespace {

const std::set<std::string> kUnits = {"seconds", "bytes", "total", "active", "ratio"};

bool is_metric_name(std::string_view name) {
  if (!name.starts_with("headgate_") || name.ends_with("_") || name.find("__") != std::string_view::npos) return false;
  return name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string_view::npos;
}

// `reason="limit",code="2xx"`
bool is_label_list(std::string_view labels) {
  while (!labels.empty()) {
    const size_t equals = labels.find("=\"");
    if (equals == std::string_view::npos || equals == 0) return false;
    if (labels.substr(0, equals).find_first_not_of("abcdefghijklmnopqrstuvwxyz_") != std::string_view::npos) return false;
    const size_t end = labels.find('"', equals + 2);
    if (end == std::string_view::npos || end == equals + 2) return false;
    labels.remove_prefix(end + 1);
    if (!labels.empty() && (labels.front() != ',' || labels.size() == 1)) return false;
    if (!labels.empty()) labels.remove_prefix(1);
  }
  return true;
}

TEST(Metrics, NamesFollowTheRules) {
  for (const auto& row : counter_rows()) {
    EXPECT_TRUE(is_metric_name(row.name)) << row.name;
    EXPECT_EQ(row.name.ends_with("_total"), row.type == MetricType::kCounter) << row.name << ": _total is for counters";
    EXPECT_TRUE(is_label_list(row.labels)) << row.name << "{" << row.labels << "}";
    if (row.type == MetricType::kGauge) {
      const std::string unit(row.name.substr(row.name.rfind('_') + 1));
      EXPECT_TRUE(kUnits.contains(unit)) << row.name << ": a gauge ends with its unit";
    }
  }
  for (const auto& row : histogram_rows()) {
    EXPECT_TRUE(is_metric_name(row.name)) << row.name;
    EXPECT_TRUE(row.name.ends_with("_seconds")) << row.name << ": the buckets are seconds";
  }
}

TEST(Metrics, HelpIsASentence) {
  const auto check = [](std::string_view name, std::string_view help) {
    EXPECT_GE(help.size(), 10U) << name;
    EXPECT_TRUE(help.ends_with('.')) << name << ": " << help;
    EXPECT_EQ(help.find('\n'), std::string_view::npos) << name;
  };
  for (const auto& row : counter_rows()) check(row.name, row.help);
  for (const auto& row : histogram_rows()) check(row.name, row.help);
}

TEST(Metrics, NoSeriesTwiceAndOneHelpPerName) {
  std::set<std::string> series;
  std::map<std::string, CounterRow> first;
  for (const auto& row : counter_rows()) {
    EXPECT_TRUE(series.insert(std::string(row.name) + "{" + std::string(row.labels) + "}").second) << row.name << row.labels;
    const auto [seen, is_new] = first.emplace(std::string(row.name), row);
    if (is_new) continue;
    EXPECT_EQ(seen->second.help, row.help) << row.name;
    EXPECT_EQ(seen->second.type, row.type) << row.name;
    EXPECT_FALSE(row.labels.empty() || seen->second.labels.empty()) << row.name << ": with and without labels";
    const auto label = [](std::string_view labels) { return labels.substr(0, labels.find('=')); };
    EXPECT_EQ(label(seen->second.labels), label(row.labels)) << row.name;
  }
  for (const auto& row : histogram_rows()) EXPECT_TRUE(series.insert(std::string(row.name)).second) << row.name;
}

// The names of the enumerators, in the order of the table.
std::vector<std::string> identifiers() {
  std::vector<std::string> found;
  for (const auto& line : repo::read_lines(repo::kRoot / "dataplane/base/counters.inc")) {
    if (!line.text.starts_with("HG_COUNTER(") && !line.text.starts_with("HG_HISTOGRAM(")) continue;
    const size_t begin = line.text.find('(') + 1;
    found.push_back(line.text.substr(begin, line.text.find(',') - begin));
  }
  return found;
}

TEST(Metrics, EveryRowIsCountedSomewhere) {
  EXPECT_EQ(identifiers().size(), counter_rows().size() + histogram_rows().size());
  if (!std::filesystem::exists(repo::kRoot / "dataplane/main.cc")) GTEST_SKIP() << "no program in this tree";
  std::string code;
  for (const auto& file : repo::files_under({"dataplane/"}, {".cc", ".h"})) code += repo::read_file(repo::kRoot / file);
  for (const auto& id : identifiers()) {
    bool used = false;
    for (const char* scope : {"Counter::", "Histogram::"}) {
      const std::string name = scope + id;
      for (size_t at = code.find(name); at != std::string::npos && !used; at = code.find(name, at + 1)) {
        const char next = code[at + name.size()];
        used = std::isalnum(static_cast<unsigned char>(next)) == 0;
      }
    }
    EXPECT_TRUE(used) << id << " is exported and never counted";
  }
}

}  // namespace
}  // namespace headgate
