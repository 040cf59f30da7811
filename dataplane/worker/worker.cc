#include "dataplane/worker/worker.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>

#include "dataplane/base/log.h"

namespace headgate::worker {
namespace {

constexpr Duration kDrainTick = std::chrono::milliseconds(20);

}  // namespace

Worker::Worker(const WorkerOptions& options, SnapshotRef::Retire retire)
    : context_{.loop = loop_, .counters = counters_, .random = random_},
      pools_(context_),
      retire_(std::move(retire)),
      drain_tick_(loop_.timers(), event::Timer::call<&Worker::on_drain_tick>, this),
      options_(options) {
  context_.worker_index = options.index;
  context_.worker_count = options.count;
  context_.date = &date_;
  context_.pools = &pools_;
}

Worker::~Worker() {
  join();
  listeners_.clear();
  leaving_.clear();
  if (current_ != nullptr) current_->release();
}

void Worker::start() {
  thread_ = std::thread([this] { run(); });
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

void Worker::run() {
  const std::string name = "worker-" + std::to_string(options_.index);
  ::pthread_setname_np(::pthread_self(), name.c_str());
  if (options_.cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(options_.cpu, &set);
    ::pthread_setaffinity_np(::pthread_self(), sizeof(set), &set);
  }
  loop_.run();
  // Sessions hold timers and streams of this loop: they end on its thread.
  for (auto& listener : listeners_) listener->close_all();
  for (auto& listener : leaving_) listener->close_all();
  loop_.run_once(Duration(0));
  if (context_.release_files != nullptr) context_.release_files(context_);
  if (context_.release_dns_forwarders != nullptr) context_.release_dns_forwarders(context_);
}

std::vector<std::string> Worker::apply(std::shared_ptr<const snapshot::Snapshot> snapshot,
                                       std::vector<ListenerSocket> sockets) {
  std::vector<std::string> problems;
  SnapshotRef* const before = current_;
  current_ = SnapshotRef::make(std::move(snapshot), retire_);
  const snapshot::Snapshot& next = **current_;
  pools_.bind(next.upstreams);
  context_.file_cache_bytes = next.file_cache_bytes;
  context_.open_files = next.open_files;
  const auto wanted = [&next](const OpenListener& open) -> std::shared_ptr<const snapshot::Listener> {
    for (const auto& listener : next.listeners) {
      if (listener->name == open.settings().name && listener->same_socket(open.settings())) return listener;
    }
    return nullptr;
  };
  for (size_t i = 0; i < listeners_.size();) {
    if (auto settings = wanted(*listeners_[i])) {
      if (auto updated = listeners_[i]->update(std::move(settings), *current_); !updated) {
        problems.push_back(listeners_[i]->settings().name + ": " + to_string(updated.error()));
      }
      ++i;
    } else {
      close_listener(i, loop_.now() + listeners_[i]->settings().drain);
    }
  }
  for (ListenerSocket& socket : sockets) {
    const auto settings = std::find_if(next.listeners.begin(), next.listeners.end(),
                                       [&](const auto& listener) { return listener->name == socket.listener; });
    if (settings == next.listeners.end()) continue;
    auto listener = std::make_unique<OpenListener>(context_, overload_, *settings, std::move(socket.fd), *current_);
    if (ticket_keys_ != nullptr) listener->set_ticket_keys(ticket_keys_);
    if (auto started = listener->start(); !started) {
      problems.push_back(socket.listener + ": " + to_string(started.error()));
      continue;
    }
    for (UniqueFd& fd : socket.left_over) listener->take_over(std::move(fd));
    listener->set_accepting(accepting_);
    listeners_.push_back(std::move(listener));
  }
  if (before != nullptr) before->release();
  return problems;
}

void Worker::close_listener(size_t index, MonotonicTime deadline) {
  std::unique_ptr<OpenListener> leaving = std::move(listeners_[index]);
  listeners_.erase(listeners_.begin() + static_cast<ptrdiff_t>(index));
  leaving->drain(deadline);
  leaving_.push_back(std::move(leaving));
  if (drain_deadline_ < deadline) drain_deadline_ = deadline;
  drain_tick_.arm(kDrainTick);
}

void Worker::set_ticket_keys(std::shared_ptr<const tls::TicketKeys> keys) {
  ticket_keys_ = std::move(keys);
  for (auto& listener : listeners_) listener->set_ticket_keys(ticket_keys_);
}

void Worker::set_memory_pressure(MemoryPressure pressure) {
  overload_.memory.store(pressure, std::memory_order_relaxed);
  post([this, accepting = pressure != MemoryPressure::kStop] {
    accepting_ = accepting;
    for (auto& listener : listeners_) listener->set_accepting(accepting);
  });
}

void Worker::drain(MonotonicTime deadline, std::function<void()> done) {
  drained_ = std::move(done);
  drain_deadline_ = deadline;
  while (!listeners_.empty()) close_listener(listeners_.size() - 1, deadline);
  check_drained();
}

void Worker::on_drain_tick() { check_drained(); }

void Worker::check_drained() {
  if (loop_.now() >= drain_deadline_) {
    for (auto& listener : leaving_) listener->close_all();
  }
  for (auto& listener : leaving_) {
    // Its last Sessions may still be in the list of disposals, which refer to it.
    if (listener->empty()) loop_.defer_delete(std::move(listener));
  }
  std::erase(leaving_, nullptr);
  if (!leaving_.empty()) {
    drain_tick_.arm(kDrainTick);
  } else if (drained_) {
    std::exchange(drained_, nullptr)();
  }
}

}  // namespace headgate::worker
