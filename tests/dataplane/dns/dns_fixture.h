// dns_fixture.h -- zones from master file text, and questions to them.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/dns/answer.h"
#include "dataplane/dns/message.h"
#include "dataplane/dns/zone_builder.h"
#include "dataplane/dns/zone_file.h"

namespace headgate::dns {

inline Name name_of(std::string_view text) {
  const auto name = Name::parse(text);
  EXPECT_TRUE(name.has_value()) << text << ": " << (name.has_value() ? "" : name.error().detail);
  return name.has_value() ? *name : Name();
}

inline ZoneSet build_or_fail(ZoneSetBuilder& builder) {
  std::vector<ZoneProblem> problems;
  auto zones = builder.build(problems);
  for (const ZoneProblem& problem : problems) {
    EXPECT_TRUE(problem.is_warning) << problem.to_string();
  }
  EXPECT_TRUE(zones.has_value());
  return zones.has_value() ? std::move(*zones) : ZoneSet();
}

inline ZoneSet zone_of(std::string_view text, std::string_view origin) {
  ZoneSetBuilder builder;
  std::vector<ZoneFileProblem> problems;
  EXPECT_TRUE(read_zone_file(text, name_of(origin).view(), {}, builder, problems));
  for (const ZoneFileProblem& problem : problems) ADD_FAILURE() << problem.to_string();
  return build_or_fail(builder);
}

// Records written as "name TYPE data" lines without a zone, as the names of a JSON file come.
inline void add_flat(ZoneSetBuilder& builder, std::string_view lines) {
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    const size_t first = line.find(' ');
    if (first == std::string_view::npos) continue;
    const size_t second = line.find(' ', first + 1);
    const auto type = parse_type(line.substr(first + 1, second - first - 1));
    ASSERT_TRUE(type.has_value()) << line;
    const auto rdata = parse_rdata(*type, line.substr(second + 1));
    ASSERT_TRUE(rdata.has_value()) << line << ": " << rdata.error().detail;
    const auto added = builder.add(name_of(line.substr(0, first)).view(), *type, 300, *rdata);
    ASSERT_TRUE(added.has_value()) << line << ": " << added.error().detail;
  }
}

inline ZoneSet flat_zones(std::string_view lines, const ZoneSetBuilder::Options& options = {}) {
  ZoneSetBuilder builder(options);
  add_flat(builder, lines);
  return build_or_fail(builder);
}

inline std::vector<uint8_t> answer_bytes(const ZoneSet& zones, Bytes query, const AnswerOptions& options = {},
                                         AnswerReport* report = nullptr) {
  std::vector<uint8_t> out(65535);
  out.resize(answer(zones, query, out, options, report));
  return out;
}

inline Message ask(const ZoneSet& zones, const Message& query, const AnswerOptions& options = {},
                   AnswerReport* report = nullptr) {
  const auto bytes = answer_bytes(zones, write_message(query), options, report);
  EXPECT_FALSE(bytes.empty());
  const auto response = parse_message(bytes);
  EXPECT_TRUE(response.has_value()) << (response.has_value() ? "" : response.error().detail);
  return response.has_value() ? *response : Message();
}

inline Message query_for(std::string_view name, uint16_t type, bool edns = true) {
  Message query;
  query.id = 0x1234;
  query.questions.push_back({name_of(name), type, kClassIn});
  if (edns) query.edns.emplace();
  return query;
}

inline Message ask(const ZoneSet& zones, std::string_view name, uint16_t type, const AnswerOptions& options = {}) {
  return ask(zones, query_for(name, type), options);
}

// "www.lan. 300 A 192.0.2.1" per record, in the order of the message or sorted.
inline std::vector<std::string> lines_of(const std::vector<Record>& records, bool sorted = false) {
  std::vector<std::string> lines;
  for (const Record& record : records) {
    lines.push_back(record.owner.to_string() + " " + std::to_string(record.ttl_s) + " " + type_name(record.type) + " " +
                    print_rdata(record.type, record.rdata));
  }
  if (sorted) std::sort(lines.begin(), lines.end());
  return lines;
}

using Lines = std::vector<std::string>;

}  // namespace headgate::dns
