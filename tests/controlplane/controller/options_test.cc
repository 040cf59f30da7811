// The command line of the controller: what it takes, what it refuses, and that --help names it all.
#include "controlplane/controller/options.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace headgate::controller {
namespace {

ParsedOptions parse(const std::vector<const char*>& words, std::map<std::string, std::string> environment = {}) {
  return parse_options(words, [&](const char* name) -> const char* {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

TEST(ControllerOptions, TakesFlagsWithOneOrTwoDashesAndEquals) {
  const ParsedOptions parsed = parse({"-config", "a.json", "--stream-address=127.0.0.1:0", "-insecure", "--http", ":80",
                                      "-https=[::]:443", "-publish-status-address", "192.0.2.1,lb.example.test"});
  ASSERT_TRUE(parsed.problems.empty()) << parsed.problems.front();
  EXPECT_EQ(parsed.options.config, "a.json");
  EXPECT_EQ(parsed.options.stream_address, "127.0.0.1:0");
  EXPECT_EQ(parsed.options.translation.http, (translate::BindAddress{"", 80}));
  EXPECT_EQ(parsed.options.translation.https, (translate::BindAddress{"::", 443}));
  EXPECT_EQ(parsed.options.publish_addresses, (std::vector<std::string>{"192.0.2.1", "lb.example.test"}));
  EXPECT_FALSE(parsed.options.kubernetes);
}

TEST(ControllerOptions, InAPodTheClusterIsTheSourceUnlessAFileIsNamed) {
  const std::map<std::string, std::string> pod{{"KUBERNETES_SERVICE_HOST", "10.0.0.1"}, {"POD_NAMESPACE", "edge"}};
  EXPECT_TRUE(parse({}, pod).options.kubernetes);
  EXPECT_FALSE(parse({"-config", "a.json", "-insecure"}, pod).options.kubernetes);
  EXPECT_TRUE(parse({"-config", "a.json", "-in-cluster"}, pod).options.kubernetes);
}

TEST(ControllerOptions, RefusesWhatCannotWork) {
  const struct {
    std::vector<const char*> words;
    const char* said;
  } kRows[] = {
      {{}, "nothing to serve"},
      {{"-config", "a.json"}, "-state-dir"},
      {{"-kubeconfig", "k"}, "POD_NAMESPACE"},
      {{"-config", "a.json", "-insecure", "-webhook-address", ":9443"}, "needs -in-cluster"},
      {{"-confg", "a.json"}, "unknown flag '-confg'"},
      {{"-config"}, "-config needs a value"},
      {{"-insecure=yes"}, "takes no value"},
      {{"-config-map", "name"}, "expected NAMESPACE/NAME"},
      {{"-config-map", "a/b/c"}, "expected NAMESPACE/NAME"},
      {{"-https-redirect-port", "0"}, "expected a port"},
      {{"-log-level", "loud"}, "expected one of"},
      {{"serve"}, "unexpected word 'serve'"},
      {{"check"}, "check needs -f"},
      {{"-watch-namespace", "a", "-watch-namespace", "b", "-watch-namespace", "a"}, "given before"},
  };
  for (const auto& row : kRows) {
    const ParsedOptions parsed = parse(row.words);
    ASSERT_FALSE(parsed.problems.empty()) << row.said;
    EXPECT_NE(parsed.problems.front().find(row.said), std::string::npos) << parsed.problems.front();
  }
}

TEST(ControllerOptions, HelpFitsTheScreen) {
  const std::string help = help_text();
  size_t begin = 0;
  while (begin < help.size()) {
    const size_t end = help.find('\n', begin);
    EXPECT_LE(end - begin, 130U) << help.substr(begin, end - begin);
    begin = end + 1;
  }
  EXPECT_NE(help.find("-default-ssl-certificate NS/NAME"), std::string::npos);
}

}  // namespace
}  // namespace headgate::controller
