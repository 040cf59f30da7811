#include "dataplane/embed/server.h"

#include <algorithm>
#include <future>
#include <thread>
#include <vector>

#include "dataplane/base/log.h"
#include "dataplane/embed/handlers.h"
#include "dataplane/embed/listening.h"
#include "dataplane/embed/thread_pool.h"
#include "dataplane/event/timer_wheel.h"
#include "dataplane/snapshot/snapshot.h"
#include "dataplane/worker/worker.h"

namespace headgate {
namespace {

constexpr Duration kTicketCheck = std::chrono::minutes(5);

Error invalid(const char* detail) { return {.code = Errc::kInvalid, .detail = detail}; }

}  // namespace

class Server::State {
 public:
  explicit State(const ServerOptions& options) : options_(options), pool_(options.blocking_threads, options.blocking_queue) {
    if (options_.workers == 0) options_.workers = std::max(1U, std::thread::hardware_concurrency());
  }

  void add(embed::RouteEntry entry) { entries_.push_back(std::move(entry)); }
  void set_hook(ErrorHook hook) { settings_.hook = std::move(hook); }
  Result<uint16_t> listen(std::string_view address, const ListenOptions& options);
  Result<void> start();
  Result<void> reload_certificates();
  Result<void> set_certificate(std::string_view certificate_pem, std::string_view key_pem);
  void stop(Duration grace);
  [[nodiscard]] const std::string& problem() const { return problem_; }
  [[nodiscard]] bool running() const { return stage_ == Stage::kRunning; }

 private:
  enum class Stage : uint8_t { kNew, kRunning, kStopped };

  Error fail(const Error& error, std::string_view why) {
    problem_ = why;
    return error;
  }
  [[nodiscard]] const char* bad_option() const;
  std::shared_ptr<const snapshot::Snapshot> make_snapshot();
  std::vector<std::string> apply(std::vector<std::vector<worker::ListenerSocket>> sockets);
  void start_workers();
  Result<void> use_certificates();
  void end_threads();
  void post_ticket_keys();
  void on_ticket_check();
  [[nodiscard]] bool on_own_thread() const;

  ServerOptions options_;
  std::string problem_;
  Stage stage_ = Stage::kNew;
  std::vector<embed::RouteEntry> entries_;
  embed::HandlerSettings settings_;
  // Counts of connections outlive Sessions, routes outlive calls of the pool, and the workers' mailboxes both.
  std::shared_ptr<ConnectionCounts> connections_ = std::make_shared<ConnectionCounts>();
  std::vector<std::unique_ptr<embed::Listening>> listening_;
  std::shared_ptr<const routing::RouteTable> routes_;
  std::shared_ptr<const snapshot::Snapshot> snapshot_;
  std::shared_ptr<const tls::TicketKeys> ticket_keys_;  // worker 0, once it runs
  std::vector<std::unique_ptr<worker::Worker>> workers_;
  std::vector<std::thread::id> worker_threads_;
  std::unique_ptr<event::Timer> ticket_check_;  // worker 0
  embed::ThreadPool pool_;
};

Result<uint16_t> Server::State::listen(std::string_view address, const ListenOptions& options) {
  if (stage_ != Stage::kNew) return fail(invalid("listen() after start()"), "listen() comes before start()");
  std::string why;
  auto opened = embed::Listening::open(address, options, options_.workers, why);
  if (!opened) return fail(opened.error(), why);
  listening_.push_back(*std::move(opened));
  return listening_.back()->address().port();
}

const char* Server::State::bad_option() const {
  const ServerLimits& limits = options_.limits;
  if (options_.workers > 1024) return "more than 1024 workers";
  if (options_.blocking_threads == 0 || options_.blocking_threads > 4096) return "blocking_threads is from 1 to 4096";
  if (options_.blocking_queue == 0) return "blocking_queue is at least 1";
  if (limits.header_bytes == 0 || limits.header_fields == 0 || limits.target_bytes == 0 || limits.body_bytes == 0 ||
      limits.connections == 0 || limits.connections_per_address == 0) {
    return "a limit is at least 1";
  }
  for (const auto timeout : {limits.header_timeout, limits.body_timeout, limits.idle_timeout, limits.send_timeout}) {
    if (timeout.count() <= 0) return "a timeout is at least 1 ms";
  }
  return nullptr;
}

std::shared_ptr<const snapshot::Snapshot> Server::State::make_snapshot() {
  auto made = std::make_shared<snapshot::Snapshot>();
  made->version = snapshot_ == nullptr ? 1 : snapshot_->version + 1;
  const ServerLimits& limits = options_.limits;
  for (const auto& listening : listening_) {
    auto listener = std::make_shared<snapshot::Listener>();
    listener->name = listening->address().to_string();
    listener->address = listening->address();
    listener->tls = listening->tls();
    listener->connections = {.total = limits.connections, .per_address = limits.connections_per_address};
    listener->connection_counts = connections_;
    listener->routes = routes_;
    http::HttpLimits& http = listener->http;
    http.header_bytes = limits.header_bytes;
    http.header_fields = limits.header_fields;
    http.target_bytes = limits.target_bytes;
    http.body_bytes = limits.body_bytes;
    http.header_timeout = limits.header_timeout;
    http.body_timeout = limits.body_timeout;
    http.idle_timeout = limits.idle_timeout;
    http.send_timeout = limits.send_timeout;
    made->listeners.push_back(std::move(listener));
  }
  return made;
}

Result<void> Server::State::start() {
  if (stage_ != Stage::kNew) return fail(invalid("start() twice"), "a Server starts once");
  if (const char* bad = bad_option()) return fail(invalid("option"), bad);
  if (listening_.empty()) return fail(invalid("nothing to listen on"), "listen() before start()");
  settings_.body_bytes = options_.limits.body_bytes;
  settings_.pool = &pool_;
  std::string why;
  auto routes = embed::build_routes(entries_, settings_, why);
  if (!routes) return fail(routes.error(), why);
  routes_ = *std::move(routes);
  const bool blocks = std::ranges::any_of(entries_, [](const auto& entry) { return entry.blocking != nullptr; });
  entries_.clear();
  snapshot_ = make_snapshot();

  std::vector<std::vector<worker::ListenerSocket>> sockets(options_.workers);
  for (const auto& listening : listening_) {
    std::vector<UniqueFd> taken = listening->take_sockets();
    for (size_t i = 0; i < taken.size(); ++i) {
      sockets[i].push_back({listening->address().to_string(), std::move(taken[i])});
    }
  }
  stage_ = Stage::kRunning;
  if (blocks) pool_.start();
  start_workers();
  const std::vector<std::string> problems = apply(std::move(sockets));
  if (problems.empty()) return {};
  stop(Duration(0));
  return fail({.code = Errc::kSystem, .detail = "a listener did not start"}, problems.front());
}

void Server::State::start_workers() {
  for (uint32_t i = 0; i < options_.workers; ++i) {
    // Old Snapshots are few and small: they go where the last one lets go of them.
    workers_.push_back(std::make_unique<worker::Worker>(worker::WorkerOptions{.index = i, .count = options_.workers},
                                                        [](std::shared_ptr<const snapshot::Snapshot>) {}));
  }
  const bool tls = std::ranges::any_of(listening_, [](const auto& listening) { return listening->tls() != nullptr; });
  if (tls) {
    ticket_keys_ = tls::TicketKeys::make(system_clock().wall());
    post_ticket_keys();
    ticket_check_ = std::make_unique<event::Timer>(workers_.front()->context().loop.timers(),
                                                   event::Timer::call<&State::on_ticket_check>, this);
    workers_.front()->post([this] { ticket_check_->arm(kTicketCheck); });
  }
  for (const auto& worker : workers_) worker->start();
}

// Every worker has it when this returns. What they say is wrong is returned.
std::vector<std::string> Server::State::apply(std::vector<std::vector<worker::ListenerSocket>> sockets) {
  struct Outcome {
    std::vector<std::string> problems;
    std::thread::id thread;
  };
  std::vector<std::future<Outcome>> outcomes;
  for (size_t i = 0; i < workers_.size(); ++i) {
    worker::Worker* const worker = workers_[i].get();
    std::promise<Outcome> promise;
    outcomes.push_back(promise.get_future());
    worker->post([worker, snapshot = snapshot_, own = std::move(sockets[i]), promise = std::move(promise)]() mutable {
      promise.set_value({worker->apply(std::move(snapshot), std::move(own)), std::this_thread::get_id()});
    });
  }
  std::vector<std::string> problems;
  worker_threads_.clear();
  for (auto& future : outcomes) {
    Outcome outcome = future.get();
    worker_threads_.push_back(outcome.thread);
    std::ranges::move(outcome.problems, std::back_inserter(problems));
  }
  return problems;
}

void Server::State::post_ticket_keys() {
  for (const auto& worker : workers_) {
    worker->post([to = worker.get(), keys = ticket_keys_]() mutable { to->set_ticket_keys(std::move(keys)); });
  }
}

void Server::State::on_ticket_check() {
  auto keys = tls::TicketKeys::rotate(ticket_keys_, system_clock().wall());
  if (keys != ticket_keys_) {
    ticket_keys_ = std::move(keys);
    post_ticket_keys();
  }
  ticket_check_->arm(kTicketCheck);
}

Result<void> Server::State::reload_certificates() {
  if (stage_ != Stage::kRunning) return fail(invalid("not running"), "reload_certificates() comes after start()");
  std::string why;
  for (const auto& listening : listening_) {
    if (auto read = listening->reload(why); !read) return fail(read.error(), why);
  }
  return use_certificates();
}

Result<void> Server::State::set_certificate(std::string_view certificate_pem, std::string_view key_pem) {
  if (stage_ != Stage::kRunning) return fail(invalid("not running"), "set_certificate() comes after start()");
  std::string why;
  for (const auto& listening : listening_) {
    if (auto set = listening->set_certificate(certificate_pem, key_pem, why); !set) return fail(set.error(), why);
  }
  return use_certificates();
}

Result<void> Server::State::use_certificates() {
  snapshot_ = make_snapshot();
  const auto problems = apply(std::vector<std::vector<worker::ListenerSocket>>(workers_.size()));
  if (problems.empty()) return {};
  return fail({.code = Errc::kTls, .detail = "a worker kept its certificate"}, problems.front());
}

bool Server::State::on_own_thread() const {
  return pool_.on_own_thread() || std::ranges::find(worker_threads_, std::this_thread::get_id()) != worker_threads_.end();
}

void Server::State::stop(Duration grace) {
  if (stage_ != Stage::kRunning) return;
  HG_CHECK(!on_own_thread());  // a thread cannot wait for its own end
  stage_ = Stage::kStopped;
  std::vector<std::future<void>> drained;
  for (const auto& worker : workers_) {
    auto promise = std::make_shared<std::promise<void>>();
    drained.push_back(promise->get_future());
    worker->post([to = worker.get(), grace, promise] {
      to->drain(to->context().loop.now() + grace, [promise] { promise->set_value(); });
    });
  }
  for (auto& future : drained) future.wait();
  // No Exchange is left, so nothing that runs in the pool waits for a client any more.
  pool_.stop();
  end_threads();
}

void Server::State::end_threads() {
  for (const auto& worker : workers_) worker->stop();
  for (const auto& worker : workers_) worker->join();
  ticket_check_.reset();
  workers_.clear();
  worker_threads_.clear();
  listening_.clear();
  snapshot_.reset();
}

Server::Server(ServerOptions options) : state_(std::make_unique<State>(options)) {}

Server::~Server() { state_->stop(Duration(0)); }

void Server::on(std::string_view method, std::string_view pattern, Handler handler) {
  HG_CHECK(!state_->running());
  state_->add({.method = std::string(method), .pattern = std::string(pattern), .handler = std::move(handler)});
}
void Server::on(std::string_view pattern, Handler handler) { on({}, pattern, std::move(handler)); }

void Server::on_blocking(std::string_view method, std::string_view pattern, BlockingHandler handler) {
  HG_CHECK(!state_->running());
  state_->add({.method = std::string(method), .pattern = std::string(pattern), .blocking = std::move(handler)});
}
void Server::on_blocking(std::string_view pattern, BlockingHandler handler) {
  on_blocking({}, pattern, std::move(handler));
}

void Server::on_error(ErrorHook hook) {
  HG_CHECK(!state_->running());
  state_->set_hook(std::move(hook));
}

Result<uint16_t> Server::listen(std::string_view address, const ListenOptions& options) {
  return state_->listen(address, options);
}
Result<void> Server::start() { return state_->start(); }
Result<void> Server::reload_certificates() { return state_->reload_certificates(); }
Result<void> Server::set_certificate(std::string_view certificate_pem, std::string_view key_pem) {
  return state_->set_certificate(certificate_pem, key_pem);
}
void Server::stop(std::chrono::milliseconds grace) { state_->stop(grace); }
const std::string& Server::problem() const { return state_->problem(); }

}  // namespace headgate
