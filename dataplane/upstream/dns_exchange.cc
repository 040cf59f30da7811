#include "dataplane/upstream/dns_exchange.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

#include "dataplane/base/random.h"

namespace headgate::upstream {

DnsExchange::DnsExchange(event::Loop& loop, const ResolvConf& conf, dns::Question question,
                         DnsExchangeObserver& observer)
    : loop_(loop),
      conf_(conf),
      question_(std::move(question)),
      observer_(observer),
      step_(loop, event::Timer::call<&DnsExchange::try_next>, this),
      timeout_(loop.timers(), event::Timer::call<&DnsExchange::on_timeout>, this) {}

DnsExchange::~DnsExchange() {
  watch_.stop();
  if (stream_ != nullptr) stream_->unwatch();
}

void DnsExchange::close_try() {
  timeout_.cancel();
  watch_.stop();
  socket_.reset();
  if (stream_ != nullptr) {
    stream_->unwatch();
    // We may be inside one of its calls.
    loop_.defer_delete(std::move(stream_));
  }
  state_ = State::kIdle;
}

void DnsExchange::try_next() {
  // We are in a call of our own here, so the connector of the last try may go.
  connector_.reset();
  while (tries_ < conf_.attempts * conf_.servers.size()) {
    ++tries_;
    fill_secure_random({reinterpret_cast<uint8_t*>(&id_), sizeof(id_)});
    dns::Message query;
    query.id = id_;
    query.recursion_desired = true;
    query.questions.push_back(question_);
    if (edns_) query.edns.emplace();
    query_ = dns::write_message(query);
    if (open_udp()) return;
  }
  done();
  observer_.on_dns_failure(last_error_.from(Origin::kUpstream));
}

void DnsExchange::fail_try(const Error& error) {
  last_error_ = error;
  close_try();
  step_.schedule();
}

bool DnsExchange::open_udp() {
  sockaddr_storage address{};
  const socklen_t size = server().fill(address);
  socket_ = UniqueFd(::socket(server().domain(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  // Unbound: the kernel picks a random port.
  if (!socket_.valid() || ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::send(socket_.get(), query_.data(), query_.size(), MSG_NOSIGNAL) < 0) {
    last_error_ = system_error("DNS query");
    socket_.reset();
    return false;
  }
  if (auto watched = watch_.start(loop_, socket_.get(), *this); !watched) {
    last_error_ = watched.error();
    socket_.reset();
    return false;
  }
  state_ = State::kUdp;
  timeout_.arm(conf_.timeout);
  return true;
}

void DnsExchange::on_fd_ready(uint8_t) {
  std::array<uint8_t, 4096> bytes;  // NOLINT: filled by recv
  while (state_ == State::kUdp) {
    const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (got >= 0) {
      take_answer(Bytes(bytes.data(), static_cast<size_t>(got)), false);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) fail_try(system_error("DNS answer"));  // ICMP: nobody listens there
    return;
  }
}

void DnsExchange::take_answer(Bytes bytes, bool over_tcp) {
  const auto message = dns::parse_message(bytes);
  if (!message || !dns::is_response_to(*message, id_, question_)) {
    // Over TCP there is nobody else who could have sent it.
    if (over_tcp) fail_try({.code = Errc::kMalformed, .detail = "DNS answer over TCP"});
    return;
  }
  if (message->truncated && !over_tcp) {
    open_tcp();
    return;
  }
  switch (message->rcode) {
    case dns::kRcodeNoError:
    case dns::kRcodeNxDomain:
      close_try();
      done();
      observer_.on_dns_answer(*message);
      return;
    case dns::kRcodeFormErr:
    case dns::kRcodeNotImp:
      if (edns_) {
        // An old server: the same one again without EDNS (RFC 6891 7).
        edns_ = false;
        --tries_;
      }
      fail_try({.code = Errc::kUnsupported, .detail = "DNS server does not understand the query"});
      return;
    default: fail_try({.code = Errc::kDenied, .detail = "DNS server failure"}); return;
  }
}

void DnsExchange::open_tcp() {
  const SocketAddress address = server();
  close_try();
  state_ = State::kTcpConnect;
  timeout_.arm(conf_.timeout);
  written_ = 0;
  received_.clear();
  query_.insert(query_.begin(), {static_cast<uint8_t>(query_.size() >> 8), static_cast<uint8_t>(query_.size() & 0xff)});
  connector_ = std::make_unique<net::Connector>(loop_, *this);
  connector_->start({&address, 1}, conf_.timeout);
}

void DnsExchange::on_connected(std::unique_ptr<net::ByteStream> stream) {
  if (state_ != State::kTcpConnect) return;
  stream_ = std::move(stream);
  state_ = State::kTcp;
  write_tcp();
}

void DnsExchange::on_connect_failed(const Error& error) {
  if (state_ == State::kTcpConnect) fail_try(error);
}

void DnsExchange::on_stream_ready(bool, bool) {
  if (state_ != State::kTcp) return;
  if (written_ < query_.size()) {
    write_tcp();
  } else {
    read_tcp();
  }
}

void DnsExchange::write_tcp() {
  while (written_ < query_.size()) {
    const iovec rest{query_.data() + written_, query_.size() - written_};
    const auto result = stream_->write({&rest, 1});
    if (!result) return fail_try(result.error());
    if (result->state != net::IoState::kOk) {
      stream_->watch(net::Interest::kWrite, *this);
      return;
    }
    written_ += result->bytes;
  }
  read_tcp();
}

void DnsExchange::read_tcp() {
  std::array<char, 4096> bytes;  // NOLINT: filled by read
  for (;;) {
    const auto result = stream_->read(bytes);
    if (!result) return fail_try(result.error());
    if (result->state == net::IoState::kWouldBlock) {
      stream_->watch(net::Interest::kRead, *this);
      return;
    }
    if (result->state == net::IoState::kEof) return fail_try({.code = Errc::kClosed, .detail = "DNS over TCP"});
    received_.insert(received_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(result->bytes));
    if (received_.size() < 2) continue;
    const size_t size = size_t{received_[0]} << 8 | received_[1];
    if (received_.size() < 2 + size) continue;
    const std::vector<uint8_t> answer(received_.begin() + 2, received_.begin() + 2 + static_cast<std::ptrdiff_t>(size));
    return take_answer(answer, true);
  }
}

void DnsExchange::on_timeout() { fail_try({.code = Errc::kTimeout, .detail = "DNS"}); }

void DnsExchange::done() { state_ = State::kDone; }

}  // namespace headgate::upstream
