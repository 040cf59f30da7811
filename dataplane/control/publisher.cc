#include "dataplane/control/publisher.h"

#include <algorithm>
#include <iterator>

#include "dataplane/base/log.h"

namespace headgate::control {

Publisher::Publisher(event::Loop& loop, SocketBroker& broker, std::vector<std::unique_ptr<worker::Worker>>& workers,
                     snapshot::EndpointResolver resolver)
    : loop_(loop), broker_(broker), workers_(workers), builder_(std::move(resolver)) {}

std::vector<SocketKey> Publisher::keys_of(const snapshot::Listener& listener, size_t workers) {
  std::vector<SocketKey> keys;
  for (uint32_t worker = 0; worker < workers; ++worker) {
    keys.push_back({.listener = listener.name,
                    .address = listener.address,
                    .transport = listener.bind.transport,
                    .worker = worker});
  }
  return keys;
}

void Publisher::publish(const snapshot::ResourceView& resources, Done done) {
  HG_CHECK(!busy());
  publish(builder_.build(resources), std::move(done));
}

void Publisher::publish(const config::v1::ResourceSet& resources, Done done) {
  HG_CHECK(!busy());
  publish(builder_.build(resources), std::move(done));
}

void Publisher::publish(snapshot::BuildOutcome built, Done done) {
  outcome_ = {};
  outcome_.problems = std::move(built.problems);
  if (built.snapshot == nullptr) {
    done(outcome_);
    return;
  }
  const std::vector<SocketKey> held = current_ == nullptr ? broker_.held() : std::vector<SocketKey>();
  std::vector<Opened> opened;
  for (const auto& listener : built.snapshot->listeners) {
    const bool open_now = current_ != nullptr && std::any_of(current_->listeners.begin(), current_->listeners.end(),
                                                             [&](const auto& old) {
                                                               return old->name == listener->name &&
                                                                      old->same_socket(*listener);
                                                             });
    if (open_now) continue;
    std::string failure;
    auto sockets = open(*listener, failure);
    if (!sockets) {
      outcome_.failures.push_back(failure);
      outcome_.unbound.push_back(listener->name);
      continue;
    }
    take_left_over(*listener, held, *sockets);
    opened.push_back(std::move(*sockets));
  }
  if (!outcome_.failures.empty()) {
    for (const Opened& listener : opened) {
      for (const auto& built_listener : built.snapshot->listeners) {
        if (built_listener->name == listener.listener) broker_.release(keys_of(*built_listener, workers_.size()));
      }
    }
    done(outcome_);
    return;
  }
  next_ = std::move(built.snapshot);
  done_ = std::move(done);
  waiting_ = workers_.size();
  for (size_t i = 0; i < workers_.size(); ++i) {
    std::vector<worker::ListenerSocket> sockets;
    for (Opened& listener : opened) {
      sockets.push_back({listener.listener, std::move(listener.sockets[i]), {}});
      if (i == 0) sockets.back().left_over = std::move(listener.left_over);
    }
    worker::Worker* worker = workers_[i].get();
    // A task is copied nowhere, but a lambda that owns descriptors must say so.
    worker->post([this, worker, snapshot = next_, sockets = std::move(sockets)]() mutable {
      std::vector<std::string> problems = worker->apply(std::move(snapshot), std::move(sockets));
      loop_.mailbox().post_fn([this, problems = std::move(problems)]() mutable { on_applied(std::move(problems)); });
    });
  }
}

Result<Publisher::Opened> Publisher::open(const snapshot::Listener& listener, std::string& failure) {
  Opened opened{.listener = listener.name};
  const ListenOptions options{.bind = listener.bind, .make_directory = false};
  for (const SocketKey& key : keys_of(listener, workers_.size())) {
    auto socket = broker_.acquire(key, options);
    if (!socket) {
      failure = listener.name + ": cannot listen on " + listener.address.to_string() + ": " + to_string(socket.error());
      broker_.release(keys_of(listener, key.worker));
      return socket.error();
    }
    opened.sockets.push_back(std::move(*socket));
  }
  return opened;
}

// The process before us had more workers: connections go to ours only from now on, and what is queued for the others is
// taken by our first worker. With fewer before, the steering of an earlier time must not keep any from ours.
void Publisher::take_left_over(const snapshot::Listener& listener, const std::vector<SocketKey>& held, Opened& opened) {
  if (listener.bind.transport != net::Transport::kStream || listener.address.is_unix()) return;
  uint32_t before = 0;
  for (const SocketKey& key : held) {
    if (key.address == listener.address && key.transport == listener.bind.transport) {
      before = std::max(before, key.worker + 1);
    }
  }
  const auto workers = static_cast<uint32_t>(workers_.size());
  if (before == 0 || before == workers || !listener.bind.reuse_port) return;
  if (auto steered = steer_connections(opened.sockets.front().get(), workers); !steered) {
    HG_LOG(kWarn, kControl, "the number of workers has changed and connections cannot be steered; some may be reset",
           {"listener", listener.name}, {"error", to_string(steered.error())});
  }
  for (uint32_t worker = workers; worker < before; ++worker) {
    const SocketKey key{.listener = listener.name,
                        .address = listener.address,
                        .transport = listener.bind.transport,
                        .worker = worker};
    auto socket = broker_.acquire(key, {.bind = listener.bind, .make_directory = false});
    if (!socket) continue;
    opened.left_over.push_back(std::move(*socket));
    broker_.release({&key, 1});  // the last process that holds it closes it
  }
}

void Publisher::on_applied(std::vector<std::string> problems) {
  std::move(problems.begin(), problems.end(), std::back_inserter(outcome_.failures));
  if (--waiting_ == 0) finish();
}

void Publisher::finish() {
  const std::shared_ptr<const snapshot::Snapshot> before = std::exchange(current_, std::move(next_));
  if (before != nullptr) {
    std::vector<SocketKey> gone;
    for (const auto& listener : before->listeners) {
      const bool stays = std::any_of(current_->listeners.begin(), current_->listeners.end(), [&](const auto& now) {
        return now->name == listener->name && now->same_socket(*listener);
      });
      if (!stays) std::ranges::move(keys_of(*listener, workers_.size()), std::back_inserter(gone));
    }
    broker_.release(gone);  // in one call: it waits for the parent once
  }
  builder_.retain(*current_);
  outcome_.in_force = true;
  outcome_.ok = outcome_.failures.empty();
  std::exchange(done_, nullptr)(outcome_);
}

}  // namespace headgate::control
