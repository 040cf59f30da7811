// load.cc -- loads that Debian's tools do not offer.
//   perf_load idle PORT COUNT SECONDS         opens COUNT connections, one GET on each, prints "open N", holds them
//   perf_load rate PORT CONNECTIONS RPS SECS  open loop: latency counts from the moment a request was due to be sent,
//                                             so that a server which stalls cannot hide behind a waiting client
#include <sys/prctl.h>

#include <algorithm>
#include <cstddef>
#include <deque>
#include <vector>

#include "e2e/perf/sockets.h"

namespace headgate::perf {
namespace {

constexpr std::string_view kRequest = "GET / HTTP/1.1\r\nHost: bench.local\r\nUser-Agent: perf\r\nAccept: */*\r\n\r\n";

int hold(uint16_t port, size_t count, double seconds) {
  std::vector<int> open;
  static char buffer[65536];
  for (size_t i = 0; i < count; ++i) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    const auto own = loopback(0, INADDR_LOOPBACK + static_cast<uint32_t>(i / 20000));
    const auto address = loopback(port);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&own), sizeof own) != 0) die("bind");
    if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) break;
    if (send(fd, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) < 0 || recv(fd, buffer, sizeof buffer, 0) <= 0) break;
    open.push_back(fd);
  }
  std::printf("open %zu\n", open.size());
  std::fflush(stdout);
  usleep(static_cast<useconds_t>(seconds * 1e6));
  return 0;
}

struct Client {
  int fd = -1;
  uint64_t due = 0;
  size_t missing = 0;  // bytes of the answer still to come, once its head was read
  std::string head;
};

// True: the answer is whole.
bool take(Client& client, std::string_view data) {
  if (client.missing == 0) {
    client.head.append(data);
    const size_t end = client.head.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    size_t length = 0;
    const size_t field = client.head.find("ontent-");
    for (size_t at = field; at != std::string::npos; at = client.head.find("ontent-", at + 1)) {
      std::string_view rest = std::string_view(client.head).substr(at + 7);
      if (!rest.starts_with("Length: ") && !rest.starts_with("length: ")) continue;
      rest.remove_prefix(8);
      std::from_chars(rest.data(), rest.data() + rest.size(), length);
    }
    client.missing = end + 4 + length;
    data = client.head;
  }
  client.missing -= std::min(client.missing, data.size());
  if (client.missing != 0) return false;
  client.head.clear();
  return true;
}

int rate(uint16_t port, size_t connections, double rps, double seconds) {
  prctl(PR_SET_TIMERSLACK, 1UL);
  const int poller = epoll_create1(EPOLL_CLOEXEC);
  std::vector<Client> clients(connections);
  std::deque<Client*> ready;
  for (auto& client : clients) {
    client.fd = connect_to(port);
    watch(poller, client.fd, EPOLLIN, &client);
    ready.push_back(&client);
  }
  std::vector<double> latencies;
  latencies.reserve(static_cast<size_t>(rps * seconds) + 1);
  std::deque<uint64_t> waiting;
  const uint64_t start = now_ns();
  const uint64_t end = start + static_cast<uint64_t>(seconds * 1e9);
  const double gap = 1e9 / rps;
  uint64_t issued = 0;
  uint64_t errors = 0;
  std::vector<epoll_event> events(512);
  static char buffer[262144];
  const auto due_time = [&](uint64_t index) { return start + static_cast<uint64_t>(static_cast<double>(index) * gap); };
  for (uint64_t now = now_ns(); now < end; now = now_ns()) {
    while (due_time(issued) <= now) waiting.push_back(due_time(issued++));
    while (!waiting.empty() && !ready.empty()) {
      Client* client = ready.front();
      ready.pop_front();
      client->due = waiting.front();
      waiting.pop_front();
      if (send(client->fd, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) < 0) ++errors;
    }
    // Sleeps: a generator that spins would starve the back end that shares its core.
    // With every connection waiting there is nothing to send before an answer came.
    const uint64_t next = ready.empty() ? std::min(end, now + 50'000'000) : due_time(issued);
    const uint64_t before = now_ns();
    const timespec timeout{0, next > before ? static_cast<long>(std::min<uint64_t>(next - before, 900000000)) : 0};
    const int count = epoll_pwait2(poller, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
    const uint64_t done = now_ns();
    for (int i = 0; i < count; ++i) {
      auto* client = static_cast<Client*>(events[static_cast<size_t>(i)].data.ptr);
      const ssize_t got = recv(client->fd, buffer, sizeof buffer, 0);
      if (got <= 0) {
        if (got < 0 && errno == EAGAIN) continue;
        ++errors;
        epoll_ctl(poller, EPOLL_CTL_DEL, client->fd, nullptr);
        continue;
      }
      if (!take(*client, {buffer, static_cast<size_t>(got)})) continue;
      latencies.push_back(static_cast<double>(done - client->due) / 1000.0);
      ready.push_back(client);
    }
  }
  latencies.erase(latencies.begin(), latencies.begin() + static_cast<std::ptrdiff_t>(latencies.size() / 5));  // warm-up
  std::sort(latencies.begin(), latencies.end());
  const auto quantile = [&](double part) {
    return latencies.empty() ? 0.0 : latencies[static_cast<size_t>(part * static_cast<double>(latencies.size() - 1))];
  };
  std::printf("done=%zu errors=%llu late=%zu p50=%.1f p90=%.1f p99=%.1f max=%.1f\n", latencies.size(),
              static_cast<unsigned long long>(errors), waiting.size(), quantile(.5), quantile(.9), quantile(.99), quantile(1));
  return 0;
}

}  // namespace
}  // namespace headgate::perf

int main(int argc, char** argv) {
  using namespace headgate::perf;
  prepare();
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "idle" && argc == 5) return hold(port_of(argv[2]), static_cast<size_t>(number(argv[3])), number(argv[4]));
  if (mode == "rate" && argc == 6) {
    return rate(port_of(argv[2]), static_cast<size_t>(number(argv[3])), number(argv[4]), number(argv[5]));
  }
  std::fputs("perf_load idle PORT COUNT SECONDS | rate PORT CONNECTIONS RPS SECONDS\n", stderr);
  return 2;
}
