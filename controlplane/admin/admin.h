// admin.h -- health and metrics of the controller, on our own HTTP server.
//
//   /livez    200 while the loop turns
//   /readyz   200 when every source has been read once and dataplanes are served
//   /metrics  Prometheus text
//   /debug/proxies  what is known of each dataplane, as text
//
// Thread: handlers run on the Server's worker; `state` is called there.   Owner: Controller.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "controlplane/publish/server.h"
#include "dataplane/base/clock.h"
#include "dataplane/embed/server.h"

namespace headgate::admin {

class Admin {
 public:
  // Counted by the loop.
  struct Counts {
    std::atomic<uint64_t> translations = 0;
    std::atomic<uint64_t> translate_nanoseconds = 0;
    std::atomic<uint64_t> file_reads = 0;
    std::atomic<uint64_t> file_failures = 0;
    std::atomic<int64_t> turned_at_ns = 0;  // monotonic
    std::atomic<uint64_t> resources = 0;
    std::atomic<uint64_t> notes = 0;
  };
  struct Sample {
    std::string name;
    std::string help;
    bool counter = false;
    std::vector<std::pair<std::string, std::string>> labels;
    double value = 0;
  };
  struct State {
    bool ready = false;
    std::string waiting_for;  // while not ready
    bool leads = false;
    std::vector<publish::FactsPtr> proxies;
    std::vector<Sample> samples;  // of one name together
  };

  Admin(const Counts& counts, std::function<State()> state) : counts_(counts), state_(std::move(state)) {}

  // Empty, or what is wrong with the address.
  std::string start(const std::string& address);
  void stop();

 private:
  [[nodiscard]] bool is_alive() const;
  [[nodiscard]] std::string metrics() const;

  const Counts& counts_;
  const std::function<State()> state_;
  std::unique_ptr<Server> server_;
};

}  // namespace headgate::admin
