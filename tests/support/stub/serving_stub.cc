// serving_stub.cc -- a tiny serving process under the real parent, for tests/dataplane/control/parent_test.cc.
//
//   serving_stub STATE_DIR ADDRESS WORKERS
//
// STATE_DIR/mode says how the process behaves when it starts (read by the child only): "VERSION START", where START is ok,
// exitN, hang, segv or crash (serves for a moment). STATE_DIR/port is written when it is ready. A connection sends one
// line and gets one line (see answer()).
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "dataplane/base/number.h"
#include "dataplane/control/listening_sockets.h"
#include "dataplane/control/parent.h"
#include "dataplane/control/signals.h"
#include "dataplane/event/loop.h"
#include "dataplane/net/socket.h"

namespace headgate::control {
namespace {

class Stub final : public SocketBrokerObserver {
 public:
  Stub(std::string directory, std::string address, uint32_t workers)
      : directory_(std::move(directory)), address_text_(std::move(address)), workers_(workers) {}

  int run(UniqueFd channel) {
    std::ifstream(directory_ + "/mode") >> version_ >> start_;
    auto broker = channel.valid() ? make_parent_broker(std::move(channel)) : make_local_broker();
    if (!broker) return 9;
    broker_ = std::move(*broker);
    if (start_.starts_with("exit")) return static_cast<int>(*parse_decimal<uint32_t>(start_.substr(4)));
    if (start_ == "segv") ::raise(SIGSEGV);
    if (start_ == "hang") {
      for (;;) ::pause();
    }
    if (!listen()) return 8;
    constexpr std::array kSignals = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    if (!signals_.start(loop_, kSignals, [this](int number) { on_signal(number); })) return 7;
    if (!broker_->watch(loop_, *this)) return 6;
    write_port();
    broker_->report_ready();
    if (start_ == "crash") {
      ::usleep(20'000);
      ::raise(SIGSEGV);
    }
    loop_.run();
    return exit_code_;
  }

  void on_replaced() override {
    // What is queued is still answered, by us or by the one that replaces us.
    for (auto& acceptor : acceptors_) acceptor->accept_all();
    acceptors_.clear();
    loop_.stop();
  }
  void on_parent_gone() override { loop_.stop(); }

 private:
  struct Acceptor final : public event::FdObserver {
    Acceptor(Stub& owner, UniqueFd descriptor) : stub(owner), fd(std::move(descriptor)) {}
    void on_fd_ready(uint8_t) override { accept_all(); }
    void accept_all() {
      for (;;) {
        const int client = ::accept4(fd.get(), nullptr, nullptr, SOCK_CLOEXEC);
        if (client < 0) return;
        stub.serve(UniqueFd(client));
      }
    }
    Stub& stub;
    UniqueFd fd;
    event::FdWatch watch;
  };

  bool open(const std::string& name, const std::string& address, uint32_t worker) {
    const auto parsed = SocketAddress::parse(address);
    auto fd = parsed ? broker_->acquire({name, *parsed, net::Transport::kStream, worker}, {}) : parsed.error();
    if (!fd) {
      std::fprintf(stderr, "stub: %s\n", to_string(fd.error()).c_str());
      return false;
    }
    const auto local = net::local_address(fd->get());
    if (local && local->is_ip()) port_ = local->port();
    auto acceptor = std::make_unique<Acceptor>(*this, std::move(*fd));
    if (!acceptor->watch.start(loop_, acceptor->fd.get(), *acceptor)) return false;
    acceptors_.push_back(std::move(acceptor));
    return true;
  }

  bool listen() {
    for (uint32_t worker = 0; worker < workers_; ++worker) {
      if (!open("web", address_text_, worker)) return false;
    }
    return true;
  }

  void write_port() {
    const std::string temporary = directory_ + "/port." + std::to_string(::getpid());
    std::ofstream(temporary) << port_;
    ::rename(temporary.c_str(), (directory_ + "/port").c_str());
  }

  void on_signal(int number) {
    if (number == SIGHUP) ++hups_;
    if (number == SIGUSR1) ++usr1s_;
    if (number == SIGTERM || number == SIGINT) loop_.stop();
  }

  static void reply(const UniqueFd& client, const std::string& text) {
    const std::string line = text + "\n";
    [[maybe_unused]] const ssize_t sent = ::send(client.get(), line.data(), line.size(), MSG_NOSIGNAL);
  }

  void serve(UniqueFd client) {
    pollfd entry{.fd = client.get(), .events = POLLIN, .revents = 0};
    std::array<char, 512> bytes{};
    if (::poll(&entry, 1, 1000) <= 0) return;
    const ssize_t count = ::recv(client.get(), bytes.data(), bytes.size(), 0);
    if (count <= 0) return;
    std::istringstream line(std::string(bytes.data(), static_cast<size_t>(count)));
    std::string word;
    line >> word;
    if (word == "upgrade") {
      auto shared = std::make_shared<UniqueFd>(std::move(client));
      broker_->request_upgrade([shared](const UpgradeOutcome& outcome) {
        reply(*shared, outcome.ok ? "ok" : outcome.reason);
      });
      return;
    }
    reply(client, answer(word, line));
  }

  std::string answer(const std::string& word, std::istringstream& line) {
    const StartReason& reason = broker_->start_reason();
    if (word == "who") return std::to_string(::getpid()) + " " + version_ + " " + std::to_string(reason.restarts);
    if (word == "crash") return reason.crash;
    if (word == "lastgood") return reason.last_good;
    if (word == "segv") ::raise(SIGSEGV);
    if (word == "exit") {
      std::string code;
      line >> code;
      ::_exit(static_cast<int>(parse_decimal<uint32_t>(code).value_or(9)));
    }
    if (word == "signals") return std::to_string(hups_) + " " + std::to_string(usr1s_);
    if (word == "held") return std::to_string(broker_->held().size());
    if (word == "keep") {
      std::string text;
      line >> text;
      broker_->keep_last_good(text);
      return "kept";
    }
    std::string name;
    std::string address;
    line >> name >> address;
    if (word == "acquire") return open(name, address, 0) ? std::to_string(port_) : "refused";
    if (word == "release") {
      const auto parsed = SocketAddress::parse(address);
      acceptors_.pop_back();
      const SocketKey key{name, *parsed, net::Transport::kStream, 0};
      broker_->release({&key, 1});
      return "released";
    }
    return "what?";
  }

  std::string directory_;
  std::string address_text_;
  uint32_t workers_;
  std::string version_ = "v0";
  std::string start_ = "ok";
  event::Loop loop_;
  std::unique_ptr<SocketBroker> broker_;
  SignalWatch signals_;
  std::vector<std::unique_ptr<Acceptor>> acceptors_;
  uint16_t port_ = 0;
  int hups_ = 0;
  int usr1s_ = 0;
  int exit_code_ = 0;
};

Duration milliseconds_of(const char* variable, Duration otherwise) {
  const char* text = std::getenv(variable);
  const auto value = text == nullptr ? std::nullopt : parse_decimal<uint32_t>(text);
  return value ? Duration(std::chrono::milliseconds(*value)) : otherwise;
}

int run_stub(int argc, char** argv) {
  if (argc != 4) return 64;
  UniqueFd channel;
  if (std::getenv("STUB_NO_PARENT") == nullptr) {
    ParentOptions options;
    options.ready_limit = milliseconds_of("STUB_READY_MS", options.ready_limit);
    options.kill_after = milliseconds_of("STUB_KILL_MS", options.kill_after);
    ProcessRole role = run_parent(argc, argv, options);
    if (!role.serve) return role.exit_code;
    channel = std::move(role.channel);
  }
  return Stub(argv[1], argv[2], parse_decimal<uint32_t>(argv[3]).value_or(1)).run(std::move(channel));
}

}  // namespace
}  // namespace headgate::control

int main(int argc, char** argv) { return headgate::control::run_stub(argc, argv); }
