// dns_responder.h -- a tiny DNS server on 127.0.0.1, UDP and TCP on one port, for resolver tests.
// Thread: its own; settings any.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "dataplane/base/address.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/dns/message.h"

namespace headgate::upstream {

class DnsResponder {
 public:
  struct Zone {
    std::vector<std::string> a{};
    std::vector<std::string> aaaa{};
    std::string cname{};
    uint32_t ttl_s = 60;
    uint16_t rcode = 0;
  };
  enum class Mode { kAnswer, kSilent, kServFail, kTruncate, kForge, kNoEdns, kSilentAaaa };

  DnsResponder() {
    for (int tries = 0; tries < 50; ++tries) {
      udp_ = UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      tcp_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      socklen_t size = sizeof(address);
      auto* const generic = reinterpret_cast<sockaddr*>(&address);
      if (::bind(udp_.get(), generic, size) != 0 || ::getsockname(udp_.get(), generic, &size) != 0) continue;
      if (::bind(tcp_.get(), generic, size) != 0 || ::listen(tcp_.get(), 16) != 0) continue;
      port_ = ntohs(address.sin_port);
      break;
    }
    thread_ = std::thread([this] { serve(); });
  }
  ~DnsResponder() {
    stop_ = true;
    thread_.join();
  }
  DnsResponder(const DnsResponder&) = delete;
  DnsResponder& operator=(const DnsResponder&) = delete;

  [[nodiscard]] SocketAddress address() const { return SocketAddress::ip(IpAddress::v4(0x7f000001), port_); }
  void set(const std::string& name, Zone zone) {
    const std::lock_guard lock(mutex_);
    zones_[name] = std::move(zone);
  }
  void set_mode(Mode mode) { mode_ = mode; }
  [[nodiscard]] int udp_queries() const { return udp_queries_; }
  [[nodiscard]] int tcp_queries() const { return tcp_queries_; }
  // Names asked for with type A, in order.
  std::vector<std::string> asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }
  std::vector<uint16_t> ids() {
    const std::lock_guard lock(mutex_);
    return ids_;
  }
  std::vector<uint16_t> ports() {
    const std::lock_guard lock(mutex_);
    return ports_;
  }

 private:
  void serve() {
    while (!stop_) {
      pollfd ready[2] = {{udp_.get(), POLLIN, 0}, {tcp_.get(), POLLIN, 0}};
      if (::poll(ready, 2, 20) <= 0) continue;
      if ((ready[0].revents & POLLIN) != 0) serve_udp();
      if ((ready[1].revents & POLLIN) != 0) serve_tcp();
    }
  }
  void serve_udp() {
    uint8_t bytes[2048];
    sockaddr_in from{};
    socklen_t size = sizeof(from);
    auto* const generic = reinterpret_cast<sockaddr*>(&from);
    const ssize_t got = ::recvfrom(udp_.get(), bytes, sizeof(bytes), 0, generic, &size);
    if (got <= 0) return;
    ++udp_queries_;
    const auto query = dns::parse_message(Bytes(bytes, static_cast<size_t>(got)));
    if (!query) return;
    {
      const std::lock_guard lock(mutex_);
      ids_.push_back(query->id);
      ports_.push_back(ntohs(from.sin_port));
    }
    if (mode_ == Mode::kSilent) return;
    if (mode_ == Mode::kSilentAaaa && query->questions[0].type == dns::kTypeAaaa) return;
    const auto send = [&](const dns::Message& message) {
      const auto answer = dns::write_message(message);
      [[maybe_unused]] const ssize_t sent = ::sendto(udp_.get(), answer.data(), answer.size(), 0, generic, size);
    };
    if (mode_ == Mode::kForge) {
      // A wrong id, another question, and bytes that are no message come first.
      dns::Message forged = answer(*query);
      forged.answers.clear();
      forged.rcode = dns::kRcodeNxDomain;
      forged.id = static_cast<uint16_t>(query->id + 1);
      send(forged);
      forged.id = query->id;
      forged.questions[0].name = *dns::Name::parse("elsewhere.test");
      send(forged);
      [[maybe_unused]] const ssize_t sent = ::sendto(udp_.get(), "garbage", 7, 0, generic, size);
    }
    dns::Message response = answer(*query);
    if (mode_ == Mode::kTruncate) {
      response.truncated = true;
      response.answers.clear();
    }
    if (mode_ == Mode::kServFail) {
      response.rcode = dns::kRcodeServFail;
      response.answers.clear();
    }
    if (mode_ == Mode::kNoEdns && query->edns.has_value()) {
      response.rcode = dns::kRcodeFormErr;
      response.answers.clear();
      response.edns.reset();
    }
    send(response);
  }
  void serve_tcp() {
    const UniqueFd client(::accept4(tcp_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    std::vector<uint8_t> received;
    while (!stop_ && (received.size() < 2 || received.size() < 2U + received[0] * 256U + received[1])) {
      pollfd wait{client.get(), POLLIN, 0};
      if (::poll(&wait, 1, 20) <= 0) continue;
      uint8_t bytes[2048];
      const ssize_t got = ::recv(client.get(), bytes, sizeof(bytes), 0);
      if (got <= 0) return;
      received.insert(received.end(), bytes, bytes + got);
    }
    if (stop_) return;
    ++tcp_queries_;
    const auto query = dns::parse_message(Bytes(received).subspan(2));
    if (!query) return;
    std::vector<uint8_t> response = dns::write_message(answer(*query));
    response.insert(response.begin(), {static_cast<uint8_t>(response.size() >> 8),
                                       static_cast<uint8_t>(response.size() & 0xff)});
    // In two pieces: the reader must put them together.
    const size_t half = response.size() / 2;
    [[maybe_unused]] ssize_t sent = ::send(client.get(), response.data(), half, MSG_NOSIGNAL);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    sent = ::send(client.get(), response.data() + half, response.size() - half, MSG_NOSIGNAL);
  }
  dns::Message answer(const dns::Message& query) {
    const std::lock_guard lock(mutex_);
    dns::Message response;
    response.id = query.id;
    response.is_response = true;
    response.recursion_available = true;
    response.questions = query.questions;
    if (query.edns.has_value()) response.edns.emplace();
    const dns::Question& question = query.questions[0];
    std::string name = question.name.to_string();
    name.pop_back();
    if (question.type == dns::kTypeA) asked_.push_back(name);
    auto zone = zones_.find(name);
    if (zone == zones_.end()) {
      response.rcode = dns::kRcodeNxDomain;
      return response;
    }
    response.rcode = zone->second.rcode;
    dns::Name owner = question.name;
    if (!zone->second.cname.empty()) {
      const dns::Name target = *dns::Name::parse(zone->second.cname);
      response.answers.push_back({owner, dns::kTypeCname, dns::kClassIn, zone->second.ttl_s, dns::make_name(target.view())});
      owner = target;
      zone = zones_.find(zone->second.cname);
      if (zone == zones_.end()) return response;
    }
    const auto& texts = question.type == dns::kTypeA ? zone->second.a : zone->second.aaaa;
    for (const std::string& text : texts) {
      response.answers.push_back({owner, question.type, dns::kClassIn, zone->second.ttl_s,
                                  dns::make_address(*IpAddress::parse(text))});
    }
    return response;
  }

  UniqueFd udp_;
  UniqueFd tcp_;
  uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::atomic<Mode> mode_{Mode::kAnswer};
  std::atomic<int> udp_queries_{0};
  std::atomic<int> tcp_queries_{0};
  std::mutex mutex_;
  std::map<std::string, Zone> zones_;
  std::vector<std::string> asked_;
  std::vector<uint16_t> ids_;
  std::vector<uint16_t> ports_;
  std::thread thread_;
};

}  // namespace headgate::upstream
