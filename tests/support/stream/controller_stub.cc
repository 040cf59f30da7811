// controller_stub.cc -- a controller without Kubernetes: the real publish::Server, told what to publish by lines on its
// standard input. For tests of the dataplane with the real binary, and for measuring.
//
//   file SET PATH          publish what the users' JSON file PATH says
//   manifests SET PATH HTTP HTTPS [BACKEND]
//                          publish what the Kubernetes manifests in PATH become, with listeners at these ports of
//                          127.0.0.1, the ConfigMap shop/config and the default backend BACKEND (NAMESPACE/SERVICE)
//   hosts SET COUNT PORT   publish COUNT virtual hosts on a listener at 127.0.0.1:PORT, each with an Upstream and a shard
//   change SET INDEX TEXT  host INDEX of `hosts` answers TEXT from now on
//   withdraw SET
//   measure SET PORT N     N times: change a host, then ask the dataplane until it answers the new text; prints times
//   facts                  one line of JSON per dataplane, then "."
// Answers "ok" (or what was asked for) per line; "port N" when it listens. Ends with its standard input.
#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <google/protobuf/util/json_util.h>

#include "controlplane/kube/manifests.h"
#include "controlplane/publish/server.h"
#include "controlplane/translate/translator.h"
#include "dataplane/base/unique_fd.h"
#include "headgate/config/v1/resources.pb.h"
#include "proto/json/config_file.h"
#include "tests/support/stream/resource_output.h"

namespace headgate {
namespace {

class Stub {
 public:
  explicit Stub(publish::Server& server) : server_(server) {}

  void run(const std::string& line) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    std::string set;
    if (command == "file") {
      std::string path;
      words >> set >> path;
      publish_file(set, path);
    } else if (command == "manifests") {
      translate::Settings settings;
      std::string path;
      words >> set >> path >> settings.http.port >> settings.https.port >> settings.default_backend;
      if (!publish_manifests(set, path, settings)) {
        std::cout << "unreadable" << std::endl;
        return;
      }
    } else if (command == "hosts") {
      words >> set >> count_ >> port_;
      hosts_ = std::vector<std::string>(count_, "first");
      built_.clear();
      publish_hosts(set);
    } else if (command == "change") {
      size_t index = 0;
      words >> set >> index;
      std::getline(words >> std::ws, hosts_.at(index));
      publish_hosts(set);
    } else if (command == "withdraw") {
      words >> set;
      server_.withdraw(set);
    } else if (command == "measure") {
      int count = 0;
      words >> set >> port_ >> count;
      measure(set, count);
    } else if (command == "facts") {
      for (const publish::FactsPtr& facts : server_.facts()) {
        std::string text;
        (void)google::protobuf::util::MessageToJsonString(*facts, &text);
        std::cout << text << "\n";
      }
      std::cout << "." << std::endl;
      return;
    } else {
      std::cout << "unknown" << std::endl;
      return;
    }
    std::cout << "ok" << std::endl;
  }

 private:
  void publish_file(const std::string& set, const std::string& path) {
    std::ifstream in(path);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    json::ReadOptions options;
    options.read_file = [](const std::string& name) -> Result<std::string> {
      std::ifstream file(name);
      if (!file) return Error{.code = Errc::kNotFound};
      return std::string((std::istreambuf_iterator<char>(file)), {});
    };
    const json::ConfigFile file = json::read_config(text, options);
    for (const auto& diagnostic : file.diagnostics) std::cerr << json::to_string(diagnostic) << "\n";
    config::v1::ResourceSet resources = file.resources;
    resources.clear_settings();
    server_.publish(set, testing_support::output_of(resources));
  }

  bool publish_manifests(const std::string& set, const std::string& path, translate::Settings settings) {
    std::ifstream in(path);
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    const kube::Manifests manifests = kube::read_manifests({{path, text}});
    for (const std::string& error : manifests.errors) std::cerr << error << "\n";
    world::World world;
    for (const kube::ManifestObject& object : manifests.objects) world.set(object.kind, object.object);
    settings.watch_without_class = true;
    settings.http.address = settings.https.address = "127.0.0.1";
    settings.https_redirect_port = settings.https.port;
    settings.config_map = "shop/config";
    auto output = std::make_shared<translate::Output>(translate::translate(world, settings));
    for (const translate::Note& note : output->notes) std::cerr << note.reason << ": " << note.message << "\n";
    server_.publish(set, output);
    return manifests.errors.empty();
  }

  // Only what changed is encoded anew, as a controller that remembers its fragments does it.
  void publish_hosts(const std::string& set) {
    auto output = std::make_shared<translate::Output>();
    if (built_.empty()) {
      built_.resize(count_);
      built_texts_.assign(count_, "");
    }
    static std::vector<translate::ResourcePtr> fixed;
    if (fixed.empty()) fixed = testing_support::many_hosts_base(port_, count_);
    for (size_t i = 0; i < count_; ++i) {
      if (built_texts_[i] == hosts_[i]) continue;
      built_[i] = testing_support::one_host(i, hosts_[i]);
      built_texts_[i] = hosts_[i];
    }
    for (const auto& resource : fixed) output->resources.set(resource);
    for (const auto& resource : built_) output->resources.set(resource);
    server_.publish(set, output);
  }

  static bool ask(int fd, size_t index, const std::string& wanted) {
    const std::string request = "GET / HTTP/1.1\r\nHost: " + testing_support::host_name(index) + "\r\n\r\n";
    if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) < 0) return false;
    std::string answer;
    std::array<char, 4096> piece{};
    while (answer.find("\r\n\r\n") == std::string::npos || !answer.ends_with('\n')) {
      const ssize_t count = ::recv(fd, piece.data(), piece.size(), 0);
      if (count <= 0) return false;
      answer.append(piece.data(), static_cast<size_t>(count));
    }
    return answer.ends_with(wanted + "\n");
  }

  void measure(const std::string& set, int count) {
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      std::cout << "cannot connect\n";
      return;
    }
    std::vector<double> times;
    for (int i = 0; i < count; ++i) {
      const size_t index = static_cast<size_t>(i) * 7919 % count_;
      hosts_[index] = "change" + std::to_string(++changes_);
      publish_hosts(set);
      const auto published = std::chrono::steady_clock::now();
      while (!ask(fd.get(), index, hosts_[index])) {
        if (std::chrono::steady_clock::now() - published > std::chrono::seconds(10)) {
          std::cout << "no answer\n";
          return;
        }
        timespec pause{0, 200'000};
        ::nanosleep(&pause, nullptr);
      }
      times.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - published).count());
      timespec pause{0, 50'000'000};
      ::nanosleep(&pause, nullptr);
    }
    std::sort(times.begin(), times.end());
    std::cout << "publish() to answer: p50 " << times[times.size() / 2] << " ms, p99 "
              << times[times.size() * 99 / 100] << " ms, max " << times.back() << " ms\n";
  }

  publish::Server& server_;
  size_t count_ = 0;
  uint16_t port_ = 0;
  uint64_t changes_ = 0;
  std::vector<std::string> hosts_;
  std::vector<std::string> built_texts_;
  std::vector<translate::ResourcePtr> built_;
};

}  // namespace
}  // namespace headgate

int main(int argc, char** argv) {
  headgate::publish::ServerOptions options;
  options.address = argc > 1 ? argv[1] : "127.0.0.1:0";
  options.id = argc > 2 ? argv[2] : "stub";
  options.plaintext = true;
  std::string problem;
  const auto server = headgate::publish::Server::start(std::move(options), problem);
  if (server == nullptr) {
    std::cerr << problem << "\n";
    return 1;
  }
  std::cout << "port " << server->port() << std::endl;
  headgate::Stub stub(*server);
  std::string line;
  while (std::getline(std::cin, line)) stub.run(line);
  return 0;
}
