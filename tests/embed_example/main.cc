// main.cc -- an example of headgate::Server: example SOCKET [CERTIFICATE KEY]
//
// Prints "port N" (and "tls N"), serves until SIGTERM, reads the certificate again on SIGHUP.
#include <signal.h>

#include <chrono>
#include <iostream>
#include <string>
#include <thread>

#include "dataplane/embed/server.h"

namespace {

void add_routes(headgate::Server& server) {
  server.on("GET", "/hello/{name}", [](const headgate::RequestView& request, headgate::Response& response) {
    response.set_body("hello " + std::string(request.parameter("name")) + "\n");
  });
  server.on("POST", "/echo", [](const headgate::RequestView& request, headgate::Response& response) {
    response.set_body(std::string(request.body()), request.header("Content-Type").value_or("application/octet-stream"));
  });
  server.on("GET", "/count", [](const headgate::RequestView&, headgate::Response& response) {
    response.set_stream(
        [next = 0](std::string& chunk) mutable {
          chunk = std::to_string(next) + "\n";
          return ++next < 1000;
        },
        "text/plain");
  });
  server.on_blocking("GET", "/slow", [](const headgate::Request& request, headgate::Responder& responder) {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    responder.send(headgate::Response().set_body("slow " + request.query_value("who").value_or("nobody") + "\n"));
  });
  server.on_blocking("GET", "/report", [](const headgate::Request&, headgate::Responder& responder) {
    responder.begin(headgate::Response().set_header("Content-Type", "text/csv"));
    for (int line = 0; line < 100000; ++line) {
      if (!responder.write(std::to_string(line) + ";row\n")) return;
    }
    responder.end();
  });
  server.on("GET", "/fails", [](const headgate::RequestView&, headgate::Response&) { throw std::runtime_error("on purpose"); });
  server.on_error([](const headgate::Failure& failure, const headgate::RequestView&, headgate::Response& response) {
    response.set_body("{\"error\":" + std::to_string(failure.status) + "}\n", "application/json");
  });
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 4) {
    std::cerr << "usage: example SOCKET [CERTIFICATE KEY]\n";
    return 2;
  }
  // Before the first thread, so that all of them leave these signals to us.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&signals, number);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  headgate::Server server({.workers = 2, .blocking_threads = 4});
  add_routes(server);
  const auto port = server.listen("127.0.0.1:0");
  auto tls_port = port;
  bool ready = port.has_value() && server.listen("unix:" + std::string(argv[1])).has_value();
  if (ready && argc == 4) {
    tls_port = server.listen("127.0.0.1:0", {.certificate_file = argv[2], .key_file = argv[3]});
    ready = tls_port.has_value();
  }
  if (!ready || !server.start()) {
    std::cerr << server.problem() << "\n";
    return 1;
  }
  std::cout << "port " << *port << "\n";
  if (argc == 4) std::cout << "tls " << *tls_port << "\n";
  std::cout << "ready" << std::endl;
  int number = 0;
  while (sigwait(&signals, &number) == 0 && number == SIGHUP) {
    if (!server.reload_certificates()) std::cerr << server.problem() << "\n";
    std::cout << "reloaded" << std::endl;
  }
  server.stop(std::chrono::seconds(5));
  std::cout << "stopped" << std::endl;
  return 0;
}
