#include "proto/json/command_line.h"

#include "proto/json/print.h"
#include "tests/proto/config_fixture.h"

namespace headgate::json {
namespace {

using namespace config::v1;  // NOLINT: the names of the messages, in this file only

ConfigFile read_line(const CommandLine& line) {
  const CommandLineText text = translate_command_line(line);
  for (const Diagnostic& one : text.problems) ADD_FAILURE() << to_string(one);
  ConfigFile file = read_text(text.json);
  EXPECT_TRUE(file.ok()) << text.json << problems_of(file);
  return file;
}

std::string problem_of(const CommandLine& line) {
  const CommandLineText text = translate_command_line(line);
  EXPECT_EQ(text.json.empty(), !text.problems.empty());
  return text.problems.empty() ? "" : to_string(text.problems.front());
}

CommandLine words(std::vector<std::string> listen, std::vector<std::string> to = {}) {
  CommandLine line;
  line.listen = std::move(listen);
  line.to = std::move(to);
  return line;
}

TEST(CommandLine, StaticFiles) {
  CommandLine line = words({"http://:8080"});
  EXPECT_EQ(read_line(line).resources.virtual_hosts(0).routes(0).static_files().root(), "/srv/site/html");
  line.root = "/srv/www";
  line.backlog = 4096;
  const ConfigFile file = read_line(line);
  EXPECT_EQ(file.resources.virtual_hosts(0).routes(0).static_files().root(), "/srv/www");
  EXPECT_EQ(file.resources.listeners(0).backlog(), 4096U);
}

TEST(CommandLine, Certificates) {
  CommandLine line = words({"https://:443", "http://:80"});
  line.cert = "a.pem";
  line.key = "a.key";
  const ConfigFile file = read_line(line);
  EXPECT_EQ(file.resources.listeners(0).tls().certificates_size(), 1);
  EXPECT_FALSE(file.resources.listeners(1).has_tls());
}

TEST(CommandLine, TargetWithoutASchemeTakesTheListeners) {
  const ConfigFile tcp = read_line(words({"tcp://:3307"}, {"db.lan:3306"}));
  EXPECT_EQ(tcp.resources.listeners(0).forward(0).upstream(), "tcp://db.lan:3306");
  const ConfigFile udp = read_line(words({"udp://127.0.0.1:5353"}, {"udp://192.0.2.53:53"}));
  EXPECT_EQ(udp.resources.upstreams(0).protocol(), UPSTREAM_DATAGRAM);
  const ConfigFile web = read_line(words({"http://:80"}, {"127.0.0.1:8000"}));
  EXPECT_EQ(web.resources.virtual_hosts(0).routes(0).proxy().backends(0).upstream(), "http://127.0.0.1:8000");
}

TEST(CommandLine, PairsOfSchemes) {
  const ConfigFile proxied = read_line(words({"unix:///tmp/app.sock"}, {"http://127.0.0.1:8000"}));
  EXPECT_EQ(proxied.resources.listeners(0).protocol(), LISTENER_HTTP);
  const ConfigFile forwarded = read_line(words({"unix:///tmp/app.sock"}, {"tcp://127.0.0.1:8000"}));
  EXPECT_EQ(forwarded.resources.listeners(0).protocol(), LISTENER_STREAM);
  const ConfigFile bytes = read_line(words({"tcp://:9000"}, {"http://127.0.0.1"}));
  EXPECT_EQ(bytes.resources.listeners(0).forward(0).upstream(), "tcp://127.0.0.1:80");
  const ConfigFile secure = read_line(words({"tcp://:9000"}, {"https://app.lan"}));
  EXPECT_EQ(secure.resources.listeners(0).forward(0).upstream(), "ssl://app.lan:443");
  const ConfigFile datagrams = read_line(words({"unixgram:///tmp/log"}, {"udp://127.0.0.1:514"}));
  EXPECT_EQ(datagrams.resources.listeners(0).protocol(), LISTENER_DATAGRAM);
  const ConfigFile socket = read_line(words({"http://:80"}, {"unix:///run/app.sock"}));
  EXPECT_EQ(socket.resources.upstreams(0).protocol(), UPSTREAM_HTTP1);
}

TEST(CommandLine, SeveralTargetsAreAPool) {
  const ConfigFile file = read_line(words({"tcp://:3307", "tcp://:3308"}, {"a.lan:1", "b.lan:1"}));
  ASSERT_EQ(file.resources.upstreams_size(), 1);
  EXPECT_EQ(file.resources.upstreams(0).name(), "to");
  EXPECT_EQ(file.resources.endpoint_shards(0).endpoints_size(), 2);
  EXPECT_EQ(file.resources.listeners(1).forward(0).upstream(), "to");
  const ConfigFile mixed = read_line(words({"tcp://:1", "http://:2"}, {"a.lan:1", "b.lan:1"}));
  EXPECT_EQ(mixed.resources.upstreams_size(), 2);
}

TEST(CommandLine, Refused) {
  EXPECT_NE(problem_of(words({})).find("expected an address to listen on"), std::string::npos);
  EXPECT_NE(problem_of(words({"tcp://:1"})).find("where to? expected -to"), std::string::npos);
  EXPECT_NE(problem_of(words({"htp://:1"})).find("unknown scheme"), std::string::npos);
  EXPECT_NE(problem_of(words({"http://:1"}, {"udp://x:1"})).find("cannot answer for"), std::string::npos);
  EXPECT_NE(problem_of(words({"tcp://:1"}, {"grpc://x:1"})).find("cannot answer for"), std::string::npos);
  EXPECT_NE(problem_of(words({"tcp://:1"}, {"upstream://x"})).find("no named upstreams"), std::string::npos);
  EXPECT_NE(problem_of(words({"tcp://:1"}, {"x"})).find("no usual port"), std::string::npos);
  CommandLine line = words({"http://:1"}, {"x:1"});
  line.root = "y";
  EXPECT_NE(problem_of(line).find("one of the two"), std::string::npos);
  CommandLine half = words({"https://:1"});
  half.cert = "a.pem";
  EXPECT_NE(problem_of(half).find("go together"), std::string::npos);
}

TEST(CommandLine, ProblemsOfTheTextHaveNoPlace) {
  ConfigFile file = read_text(translate_command_line(words({"https://:1"})).json);
  ASSERT_FALSE(file.ok());
  drop_positions(file.diagnostics);
  EXPECT_EQ(to_string(file.diagnostics.front()), "command line: error: $.listen[0]: a listener that ends TLS needs a certificate [missing]");
}

TEST(CommandLine, IsTheSameAsTheExampleFile) {
  const ConfigFile file = read_line(words({"tcp://127.0.0.1:3307"}, {"127.0.0.1:3306"}));
  EXPECT_EQ(print_config(read_text(print_config(file))), print_config(file));
}

}  // namespace
}  // namespace headgate::json
