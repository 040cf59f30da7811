// vectors.h -- reads tests/vectors/http1/*.txt.
//
// A vector is one line: name, expected outcome, [argument], bytes; fields are separated by " | ". In the outcome and in the bytes \r \n \t
// \0 \v \f \\ and \xHH stand for what they say, and "{N*c}" for N times the character c. '#' starts a comment line.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "dataplane/base/number.h"

namespace headgate::http1 {

struct Vector {
  std::string name;
  std::string expected;
  std::string argument;
  std::string bytes;
};

inline std::string unescape(std::string_view text) {
  std::string bytes;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '{') {
      const size_t star = text.find('*', i);
      const size_t end = text.find('}', i);
      const auto count = star == std::string_view::npos ? std::nullopt
                                                        : parse_decimal<uint32_t>(text.substr(i + 1, star - i - 1));
      if (count && end == star + 2) {
        bytes.append(*count, text[star + 1]);
        i = end;
        continue;
      }
    }
    if (text[i] != '\\' || i + 1 >= text.size()) {
      bytes += text[i];
      continue;
    }
    switch (text[++i]) {
      case 'r': bytes += '\r'; break;
      case 'n': bytes += '\n'; break;
      case 't': bytes += '\t'; break;
      case 'v': bytes += '\v'; break;
      case 'f': bytes += '\f'; break;
      case '0': bytes += '\0'; break;
      case 'x':
        bytes += static_cast<char>(parse_hex(text.substr(i + 1, 2)).value_or(0));
        i += 2;
        break;
      default: bytes += text[i];
    }
  }
  return bytes;
}

inline std::vector<Vector> read_vectors(const std::string& file) {
  std::ifstream in(std::string(HEADGATE_SOURCE_DIR) + "/tests/vectors/http1/" + file);
  EXPECT_TRUE(in.good()) << file;
  std::vector<Vector> vectors;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::vector<std::string> parts;
    size_t at = 0;
    for (size_t bar = line.find(" | "); bar != std::string::npos && parts.size() < 3; bar = line.find(" | ", at)) {
      parts.push_back(line.substr(at, bar - at));
      at = bar + 3;
    }
    parts.push_back(line.substr(at));
    EXPECT_EQ(parts.size(), 4U) << line;
    if (parts.size() == 4) vectors.push_back({parts[0], unescape(parts[1]), parts[2] == "-" ? "" : parts[2], unescape(parts[3])});
  }
  return vectors;
}

}  // namespace headgate::http1
