// rules_test.cc -- what a reader would stumble over: headers without a first line, forbidden calls, stray files.
#include <gtest/gtest.h>

#include <cctype>
#include <set>

#include "tests/repo/tree.h"

namespace headgate::repo {
namespace {

constexpr size_t kMaxLines = 700;  // past that a file usually hides two rooms

bool is_word_character(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// `word` not as a part of a longer name. A word that begins with a colon or ends with '(' stands as it is.
size_t find_word(const std::string& text, const std::string& word, size_t from = 0) {
  for (size_t at = text.find(word, from); at != std::string::npos; at = text.find(word, at + 1)) {
    const bool starts = at == 0 || !is_word_character(text[at - 1]) || !is_word_character(word.front());
    const size_t end = at + word.size();
    const bool ends = end == text.size() || !is_word_character(text[end]) || !is_word_character(word.back());
    if (starts && ends) return at;
  }
  return std::string::npos;
}

// The code of a line: without what follows // and without string literals.
std::string code_of(const std::string& line) {
  std::string code;
  char quote = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    if (quote != 0) {
      if (line[i] == '\\') {
        ++i;
      } else if (line[i] == quote) {
        quote = 0;
      }
      continue;
    }
    if (line[i] == '/' && i + 1 < line.size() && line[i + 1] == '/') break;
    const bool digit_separator = line[i] == '\'' && i > 0 && std::isxdigit(static_cast<unsigned char>(line[i - 1])) != 0;
    if ((line[i] == '"' || line[i] == '\'') && !digit_separator) quote = line[i];
    code.push_back(line[i]);
  }
  return code;
}

// Calls that lose errors, read out of bounds or allocate without bound; base/number.h and base/regex.h stand for them.
const std::vector<std::string> kForbiddenCalls = {
    "strtol", "strtoll", "strtoul", "strtoull", "strtod", "atoi", "atol", "atoll", "atof", "sscanf", "sprintf", "vsprintf",
    "strcpy", "strcat", "strtok", "gets", "alloca", "rand", "srand", "std::regex", "std::stoi", "std::stol", "std::stoul",
    "std::stoull", "std::stod", "localtime", "gmtime", "asctime", "ctime", "inet_ntoa", "inet_addr", "gethostbyname",
    "getaddrinfo"};

std::string first_forbidden(const std::string& line) {
  const std::string code = code_of(line);
  for (const auto& call : kForbiddenCalls) {
    const size_t at = find_word(code, call);
    if (at == std::string::npos) continue;
    const size_t next = code.find_first_not_of(' ', at + call.size());
    const bool called = next != std::string::npos && code[next] == '(';
    if (called || call == "std::regex") return call;
  }
  return {};
}

const std::initializer_list<std::string_view> kSourceFolders = {"dataplane/", "controlplane/", "proto/"};

TEST(Rules, EveryFileSaysWhatItIs) {
  const auto files = files_under({"dataplane/", "controlplane/", "proto/", "tests/repo/", "tests/support/", "e2e/"},
                                 {".h", ".cc", ".inc"});
  const std::set<std::string> known(files.begin(), files.end());
  for (const auto& file : files) {
    const auto lines = read_lines(kRoot / file);
    ASSERT_FALSE(lines.empty()) << file;
    const std::string name = std::filesystem::path(file).filename().string();
    if (file.ends_with(".cc")) {
      // The header speaks for its .cc, poller.h also for poller_epoll.cc.
      bool has_header = false;
      std::string stem = file.substr(0, file.size() - 3);
      while (!has_header) {
        has_header = known.contains(stem + ".h");
        const size_t cut = stem.find_last_of("_/");
        if (cut == std::string::npos || stem[cut] == '/') break;
        stem.resize(cut);
      }
      // So does the header that a file of several implements: balancer.h for round_robin.cc.
      const std::string folder = file.substr(0, file.rfind('/') + 1);
      has_header = has_header || lines[0].text.starts_with("#include \"" + folder);
      has_header = has_header || (lines[0].text.starts_with("// ") && lines[0].text.size() > 20);
      if (has_header) continue;
    }
    const std::string expected = "// " + name + " -- ";
    EXPECT_TRUE(lines[0].text.starts_with(expected) && lines[0].text.size() > expected.size() + 10)
        << file << ":1: begins with `" << expected << "one line on what it is`";
  }
}

TEST(Rules, HeadersHaveOneGuard) {
  for (const auto& file : files_under({"dataplane/", "controlplane/", "proto/", "tests/", "e2e/"}, {".h"})) {
    EXPECT_NE(read_file(kRoot / file).find("\n#pragma once\n"), std::string::npos) << file;
  }
}

TEST(Rules, TextIsClean) {
  for (const auto& file : project_files()) {
    if (file.starts_with("tests/vectors/") || file.starts_with("tests/golden/") || file.starts_with("tests/fuzz/corpus/")) continue;
    const bool ours = has_extension(file, {".cc", ".h", ".inc", ".proto", ".py", ".txt", ".md", ".json", ".yaml", "/run"});
    if (!ours) continue;
    const std::string text = read_file(kRoot / file);
    if (text.empty()) continue;
    EXPECT_EQ(text.back(), '\n') << file << ": ends without a newline";
    EXPECT_EQ(text.find('\r'), std::string::npos) << file << ": carriage return";
    for (const auto& line : read_lines(kRoot / file)) {
      EXPECT_EQ(line.text.find('\t'), std::string::npos) << file << ":" << line.number << ": tab";
      const bool trailing = !line.text.empty() && line.text.back() == ' ';
      EXPECT_FALSE(trailing) << file << ":" << line.number << ": space at the end";
    }
  }
}

TEST(Rules, NoForbiddenCalls) {
  for (const auto& file : files_under(kSourceFolders, {".cc", ".h", ".inc"})) {
    for (const auto& line : read_lines(kRoot / file)) {
      const std::string call = first_forbidden(line.text);
      EXPECT_TRUE(call.empty()) << file << ":" << line.number << ": " << call;
    }
  }
}

TEST(Rules, TheCheckSeesWhatIsForbidden) {
  EXPECT_EQ(first_forbidden("  int x = atoi(text);"), "atoi");
  EXPECT_EQ(first_forbidden("  std::sprintf (b, 1);"), "sprintf");
  EXPECT_EQ(first_forbidden("  static const std::regex kWord(\"a\");"), "std::regex");
  EXPECT_EQ(first_forbidden("  return std::stoi(value);"), "std::stoi");
  EXPECT_EQ(first_forbidden("  std::snprintf(b, sizeof b, 1);"), "");
  EXPECT_EQ(first_forbidden("  // atoi(text) would lose the error"), "");
  EXPECT_EQ(first_forbidden("  log(\"atoi(\");"), "");
  EXPECT_EQ(first_forbidden("  x = operand(1) + 1'000'000;"), "");
}

// Paths of a machine the project was built on, and marks of work left undone. Written in pieces, so that this file
// does not find itself.
TEST(Rules, NoPathsOfABuildMachineAndNothingLeftUndone) {
  const std::vector<std::string> paths = {std::string("/wo") + "rk/", std::string("/ho") + "me/", std::string("/ro") + "ot/",
                                          std::string("/Us") + "ers/"};
  const std::vector<std::string> marks = {std::string("TO") + "DO", std::string("FIX") + "ME", std::string("X") + "XX"};
  for (const auto& file : project_files()) {
    if (file.starts_with("tests/vectors/") || file.starts_with("tests/fuzz/corpus/") || file == "LICENSE") continue;
    for (const auto& line : read_lines(kRoot / file)) {
      for (const auto& path : paths) {
        const size_t at = line.text.find(path);
        const bool found = at != std::string::npos && (at == 0 || !(is_word_character(line.text[at - 1]) || line.text[at - 1] == '.'));
        EXPECT_FALSE(found) << file << ":" << line.number << ": a path of one machine";
      }
      for (const auto& mark : marks) {
        EXPECT_EQ(find_word(line.text, mark), std::string::npos) << file << ":" << line.number << ": work left undone";
      }
    }
  }
}

TEST(Rules, TheTopLevelIsTheAgreedOne) {
  const std::set<std::string> agreed = {"CMakeLists.txt", "dataplane", "controlplane", "proto", "charts", "manifests", "tests",
                                        "e2e", "Dockerfile", "README.md", "LICENSE", "CHANGELOG.md", "run"};
  for (const auto& entry : std::filesystem::directory_iterator(kRoot)) {
    const std::string name = entry.path().filename().string();
    const bool built = name.starts_with("build") && entry.is_directory();
    if (name.starts_with('.') || built) continue;
    EXPECT_TRUE(agreed.contains(name)) << name << " does not belong to the top level";
  }
}

TEST(Rules, FilesFitOnePerson) {
  for (const auto& file : project_files()) {
    if (!has_extension(file, {".cc", ".h", ".inc", ".py", ".proto", "/run", ".cmake"})) continue;
    if (file.starts_with("tests/vectors/")) continue;
    const size_t lines = read_lines(kRoot / file).size();
    EXPECT_LE(lines, kMaxLines) << file << " has " << lines << " lines";
  }
}

TEST(Rules, ProgramsAreExecutable) {
  for (const char* program : {"run", ".ci/run", ".ci/count"}) {
    const auto mode = std::filesystem::status(kRoot / program).permissions();
    EXPECT_NE(mode & std::filesystem::perms::owner_exec, std::filesystem::perms::none) << program;
  }
}

// A type named after a role that fits anything says nothing; the glossary has better names.
TEST(Rules, NoTypeNamedAfterNothing) {
  const std::vector<std::string> endings = {"Manager", "Helper", "Util", "Utils", "Info", "Data", "Impl", "Context", "Base", "Peer"};
  const std::set<std::string> kAllowed = {"WorkerContext", "ServerContext", "ClientContext"};  // the last two: OpenSSL's word
  for (const auto& file : files_under(kSourceFolders, {".h", ".cc"})) {
    for (const auto& line : read_lines(kRoot / file)) {
      const std::string code = code_of(line.text);
      for (const char* keyword : {"class ", "struct "}) {
        const size_t at = find_word(code, keyword);
        if (at == std::string::npos) continue;
        size_t begin = at + std::string_view(keyword).size();
        if (code.compare(begin, 2, "[[") == 0) begin = code.find("]] ", begin) == std::string::npos ? begin : code.find("]] ", begin) + 3;
        size_t end = begin;
        while (end < code.size() && is_word_character(code[end])) ++end;
        const std::string name = code.substr(begin, end - begin);
        for (const auto& ending : endings) {
          EXPECT_FALSE(name.ends_with(ending) && !kAllowed.contains(name)) << file << ":" << line.number << ": " << name;
        }
      }
    }
  }
}

}  // namespace
}  // namespace headgate::repo
