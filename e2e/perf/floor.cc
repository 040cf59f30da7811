// floor.cc -- the least a proxy can cost: one upstream connection per client, bytes copied, nothing looked at.
//   perf_floor PORT UPSTREAM_PORT
// What a system under test needs above this is its own doing; the figure survives a change of machine.
#include <vector>

#include "e2e/perf/sockets.h"

namespace headgate::perf {
namespace {

struct Pair;
struct End {
  int fd = -1;
  End* other = nullptr;
  Pair* pair = nullptr;
  std::string unsent;
};
struct Pair {
  End client;
  End upstream;
  bool dead = false;
};

// Moves what is there from one end to the other. False: the pair is over.
bool pump(End& from) {
  static char buffer[262144];
  End& to = *from.other;
  for (;;) {
    if (!to.unsent.empty()) {
      const ssize_t sent = send(to.fd, to.unsent.data(), to.unsent.size(), MSG_NOSIGNAL);
      if (sent < 0) return errno == EAGAIN;
      to.unsent.erase(0, static_cast<size_t>(sent));
      if (!to.unsent.empty()) return true;
    }
    const ssize_t got = recv(from.fd, buffer, sizeof buffer, 0);
    if (got <= 0) return got < 0 && errno == EAGAIN;
    const ssize_t sent = send(to.fd, buffer, static_cast<size_t>(got), MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    const auto done = static_cast<size_t>(sent < 0 ? 0 : sent);
    if (done < static_cast<size_t>(got)) to.unsent.assign(buffer + done, static_cast<size_t>(got) - done);
    if (static_cast<size_t>(got) < sizeof buffer && to.unsent.empty()) return true;
  }
}

int run(uint16_t port, uint16_t upstream_port) {
  const int listener = listen_on(port);
  const int poller = epoll_create1(EPOLL_CLOEXEC);
  watch(poller, listener, EPOLLIN, nullptr);
  std::vector<epoll_event> events(512);
  std::vector<Pair*> dead;
  for (;;) {
    const int count = epoll_wait(poller, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      auto* end = static_cast<End*>(events[static_cast<size_t>(i)].data.ptr);
      if (end == nullptr) {
        for (int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK); fd >= 0;
             fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK)) {
          set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
          auto* pair = new Pair;
          pair->client = {fd, &pair->upstream, pair, {}};
          pair->upstream = {connect_to(upstream_port), &pair->client, pair, {}};
          for (End* each : {&pair->client, &pair->upstream}) watch(poller, each->fd, EPOLLIN | EPOLLOUT | EPOLLET, each);
        }
        continue;
      }
      if (end->pair->dead) continue;
      const uint32_t ready = events[static_cast<size_t>(i)].events;
      bool alive = true;
      if ((ready & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) alive = pump(*end);
      if (alive && (ready & EPOLLOUT) != 0 && !end->unsent.empty()) alive = pump(*end->other);
      if (!alive) {
        end->pair->dead = true;
        close(end->pair->client.fd);
        close(end->pair->upstream.fd);
        dead.push_back(end->pair);
      }
    }
    for (Pair* pair : dead) delete pair;
    dead.clear();
  }
}

}  // namespace
}  // namespace headgate::perf

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("perf_floor PORT UPSTREAM_PORT\n", stderr);
    return 2;
  }
  headgate::perf::prepare();
  return headgate::perf::run(headgate::perf::port_of(argv[1]), headgate::perf::port_of(argv[2]));
}
