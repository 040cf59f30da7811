#include "dataplane/http1/server_connection.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/base/counters.h"
#include "dataplane/base/number.h"
#include "dataplane/base/text.h"
#include "dataplane/http/date.h"
#include "dataplane/http/error_response.h"
#include "dataplane/http/status.h"

namespace headgate::http1 {
namespace {

// Fairness: what one connection may read or send in one turn of the loop.
constexpr Duration kLingerTime = std::chrono::seconds(2);
// A quiet connection is closed this long after draining began: late enough not to cross a request on its way.
constexpr Duration kDrainQuiet = std::chrono::seconds(1);

void append_chunk_header(net::OutputQueue& output, uint64_t size, bool first) {
  char* at = output.reserve(kChunkHeaderRoom);
  output.commit(static_cast<size_t>(write_chunk_header(at, size, first) - at));
}

bool status_has_no_body(uint16_t status) { return status < 200 || status == 204 || status == 304; }

}  // namespace

ServerConnection::ServerConnection(WorkerContext& worker, std::unique_ptr<net::ByteStream> stream,
                                   const http::HttpLimits& limits, http::ExchangeSink& sink,
                                   ServerConnectionOwner& owner, http::Scheme scheme)
    : worker_(worker),
      stream_(std::move(stream)),
      limits_(limits),
      sink_(sink),
      owner_(owner),
      timer_(worker.loop.timers(), event::Timer::call<&ServerConnection::on_deadline>, this),
      resume_later_(worker.loop, event::Timer::call<&ServerConnection::resume_later>, this),
      scheme_(scheme) {}

ServerConnection::~ServerConnection() {
  if (exchange_ != nullptr) exchange_->end();
}

void ServerConnection::start() {
  // A new connection has as long for its first head as any other request.
  expect_within(limits_.header_timeout);
  stream_->watch(net::Interest::kBoth, *this);
}

void ServerConnection::drain() {
  draining_ = true;
  if (state_ == State::kIdle) expect_within(kDrainQuiet);
}

void ServerConnection::close_now() {
  if (state_ != State::kClosed) close();
}

// -- readiness ------------------------------------------------------------------------------------------------------

void ServerConnection::on_stream_ready(bool readable, bool writable) {
  if (writable && !output_.empty()) {
    expect_within(limits_.send_timeout);
    pump();
  } else if (writable && file_left_ > 0) {
    send_file();
  }
  if (!readable) return;
  switch (state_) {
    case State::kIdle:
    case State::kHead: process_input(); break;
    case State::kExchange:
    case State::kTunnel:
      if (body_waiting()) {
        request_body_->resume();
      } else if (stream_->hung_up()) {
        close();
      } else if (state_ == State::kExchange && body_complete() && !has_unread()) {
        (void)read_more();  // a pipelined request, or the client has left
      }
      break;
    case State::kClosing:
      input_begin_ = input_end_;
      while (state_ == State::kClosing && read_more()) input_begin_ = input_end_;
      break;
    case State::kClosed: break;
  }
}

// The next turn: what the budget of the last one held back goes on.
void ServerConnection::resume_later() {
  if (response_body_ != nullptr && file_left_ == 0) pump();
  if (state_ != State::kClosed) on_stream_ready(true, true);
}

bool ServerConnection::over_budget(size_t bytes) {
  if (turn_budget_.spend(worker_.loop.turns(), bytes)) return false;
  resume_later_.schedule();
  return true;
}

void ServerConnection::expect_within(Duration from_now) {
  deadline_ = worker_.loop.now() + from_now;
  // An earlier alarm looks at deadline_ again when it rings: no timer work per request.
  if (!timer_.armed() || timer_.deadline() > deadline_) timer_.arm_at(deadline_);
}

void ServerConnection::on_deadline() {
  if (deadline_ == MonotonicTime::max()) return;
  if (worker_.loop.now() < deadline_) {
    timer_.arm_at(deadline_);
    return;
  }
  const Error timeout{.code = Errc::kTimeout, .origin = Origin::kDownstream, .detail = "client too slow"};
  switch (state_) {
    case State::kIdle:
      // A request may have arrived in this very turn.
      process_input();
      if (state_ == State::kIdle) close();
      break;
    case State::kHead:
      // Nothing of a request yet (a connection just opened): nobody to answer.
      if (requests_ == 0 && !has_unread()) {
        close();
      } else {
        refuse(timeout);
      }
      break;
    case State::kExchange:
    case State::kTunnel:
      deadline_ = MonotonicTime::max();
      if (!output_.empty() || file_left_ > 0) {
        stream_->reset_on_close();
        close();
      } else if (body_waiting() && state_ == State::kExchange) {
        keep_alive_ = false;
        request_body_->break_off(timeout);
      }
      break;
    case State::kClosing: close(); break;
    case State::kClosed: break;
  }
}

// -- requests ---------------------------------------------------------------------------------------------------------

void ServerConnection::process_input() {
  if (processing_) return;
  processing_ = true;
  while (state_ == State::kIdle || state_ == State::kHead) {
    if (state_ == State::kHead || !has_unread()) {
      if (!read_more()) break;
    }
    if (state_ == State::kIdle) {
      state_ = State::kHead;
      parser_.reset();
      exchange_.reset(new http::Exchange(worker_, *this, sink_));
    }
    // A head that is already here whole needs no second look at the socket.
    while (state_ == State::kHead && !parse_head()) {
      if (state_ != State::kHead || !read_more()) break;
    }
    if (state_ == State::kHead) break;
  }
  processing_ = false;
  if (state_ == State::kHead) {
    if (deadline_ == MonotonicTime::max() || exchange_->started == worker_.loop.now()) {
      expect_within(limits_.header_timeout);
    }
  } else if (state_ == State::kIdle && !has_unread()) {
    release_input();
  }
}

// True when new bytes are there. Handles end of file and errors of the stream itself.
bool ServerConnection::read_more() {
  if (!stream_->readable_hint()) return false;
  const bool body = state_ == State::kExchange || state_ == State::kTunnel;
  if (!input_) {
    input_ = BlockRef(Block::allocate(body ? Block::kMedium : Block::kSmall));
    input_begin_ = input_end_ = 0;
  } else if (input_->capacity() - input_end_ < (body && request_body_ != nullptr ? request_body_->wanted() : 256U)) {
    grow_input();
  }
  const auto got = stream_->read({input_->data() + input_end_, input_->capacity() - input_end_});
  if (!got) {
    if (body && body_waiting()) {
      request_body_->break_off(got.error().from(Origin::kDownstream));
      if (state_ == State::kClosed) return false;
    }
    close();
    return false;
  }
  switch (got->state) {
    case net::IoState::kOk:
      input_end_ += static_cast<uint32_t>(got->bytes);
      if (body && over_budget(got->bytes)) return true;
      return true;
    case net::IoState::kWouldBlock:
      if (state_ == State::kIdle && !has_unread()) release_input();
      return false;
    case net::IoState::kEof: break;
  }
  client_eof_ = true;
  switch (state_) {
    case State::kTunnel:
      if (body_waiting()) request_body_->finish_whole(nullptr);
      break;
    case State::kExchange:
      keep_alive_ = false;
      if (body_waiting()) {
        request_body_->break_off({.code = Errc::kClosed, .origin = Origin::kDownstream, .detail = "body cut short"});
      } else if (body_complete() && !exchange_->head_sent()) {
        close();  // as nginx: who has closed does not wait for an answer, and the upstream may stop working on it
      }
      break;
    case State::kIdle:
    case State::kHead:
    case State::kClosing: close(); break;
    case State::kClosed: break;
  }
  return false;
}

// The block is (nearly) full: what has not been consumed moves to a new one.
void ServerConnection::grow_input() {
  const size_t unread_bytes = input_end_ - input_begin_;
  size_t capacity = Block::kSmall;
  if (state_ == State::kHead) {
    // The head must stay in one piece, and the parser starts over: its views pointed into the old block.
    capacity = unread_bytes * 4;
    parser_.reset();
    exchange_->request() = http::RequestHead(exchange_->arena());
  } else if (request_body_ != nullptr) {  // else a pipelined request, or the end
    // A body that filled a block is likely to be long.
    const bool bulk = input_->capacity() >= Block::kMedium || request_body_->remaining().value_or(0) > Block::kMedium;
    capacity = bulk ? Block::kLarge : Block::kMedium;
  }
  BlockRef bigger(Block::allocate(std::max(capacity, unread_bytes + 1024)));
  if (unread_bytes > 0) std::memcpy(bigger->data(), input_->data() + input_begin_, unread_bytes);
  input_ = std::move(bigger);
  input_begin_ = 0;
  input_end_ = static_cast<uint32_t>(unread_bytes);
}

void ServerConnection::release_input() {
  input_.reset();
  input_begin_ = input_end_ = 0;
}

Buffer ServerConnection::take_unread(size_t most) {
  const size_t size = std::min<size_t>(most, input_end_ - input_begin_);
  Buffer part(input_, input_->data() + input_begin_, size);
  input_begin_ += static_cast<uint32_t>(size);
  return part;
}

bool ServerConnection::parse_head() {
  switch (parser_.parse(unread(), limits_, exchange_->request())) {
    case Outcome::kNeedMore: return false;
    case Outcome::kError:
      if (speaks_another_protocol()) {
        sink_.on_refused(0, parser_.error().from(Origin::kDownstream));
        close();
      } else if (!hand_over()) {
        refuse(parser_.error().from(Origin::kDownstream));
      }
      return false;
    case Outcome::kDone: take_request(); return true;
  }
  return false;
}

// Looked at only after the parser has refused the bytes, so that requests pay nothing for it.
bool ServerConnection::hand_over() {
  constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  const std::string_view seen = unread();
  if (requests_ > 0 || seen.substr(0, kPreface.size()) != kPreface.substr(0, seen.size())) return false;
  stream_->unwatch();
  if (!owner_.take_http2(stream_, Buffer(input_, seen.data(), seen.size()))) {
    stream_->watch(net::Interest::kBoth, *this);
    return false;
  }
  state_ = State::kClosed;
  timer_.cancel();
  worker_.loop.defer_delete(std::move(exchange_));
  release_input();
  return true;
}

// RFC 9113 3.4: bytes that are neither a request line nor the preface end the connection. A line that was at least meant
// as HTTP is answered.
bool ServerConnection::speaks_another_protocol() const {
  if (requests_ > 0) return false;
  const std::string_view line = unread().substr(0, unread().find('\r'));
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last || line.find(' ', first + 1) != last) return false;
  return first > 0 && last > first + 1 && last + 1 < line.size() && line[first + 1] != '/' &&
         !starts_with_ignore_case(line.substr(last + 1), "http/");
}

void ServerConnection::take_request() {
  http::RequestHead& head = exchange_->request();
  head.scheme = scheme_;
  exchange_->keep(input_);
  input_begin_ += static_cast<uint32_t>(parser_.head_size());
  ++requests_;
  keep_alive_ = parser_.keep_alive() && !draining_ &&
                (limits_.max_requests_per_connection == 0 || requests_ < limits_.max_requests_per_connection);
  const http::BodyFraming framing = parser_.framing();
  if (limits_.body_bytes != 0 && framing.length > limits_.body_bytes) {
    refuse({.code = Errc::kBodyTooLarge, .origin = Origin::kDownstream, .detail = "Content-Length over the limit"});
    return;
  }
  state_ = State::kExchange;
  deadline_ = MonotonicTime::max();
  response_body_ = nullptr;
  response_done_ = false;
  response_started_ = false;
  response_on_wire_ = false;
  pulling_ = false;
  if (framing.kind != Framing::kNone) {
    request_body_ = exchange_->arena().make<RequestBody>(*this, framing.kind, framing.length);
    exchange_->set_request_body(request_body_);
  }
  sink_.on_exchange(*exchange_);
}

// Bytes that are no request: answered once, and the connection is closed. Nothing after them can be trusted.
void ServerConnection::refuse(const Error& error) {
  const http::ErrorAnswer answer = http::answer_for(error);
  sink_.on_refused(answer.status, error);
  if (exchange_ != nullptr) worker_.loop.defer_delete(std::move(exchange_));
  const std::string_view reason = http::reason_phrase(answer.status);
  std::array<char, 3> code{};
  for (int i = 2, rest = answer.status; i >= 0; --i, rest /= 10) code[i] = static_cast<char>('0' + rest % 10);
  const std::string_view status(code.data(), code.size());
  std::array<char, 20> length{};
  const std::string_view length_text(length.data(), write_decimal(length.data(), reason.size() + 5) - length.data());
  for (const std::string_view part :
       {std::string_view("HTTP/1.1 "), status, std::string_view(" "), reason,
        std::string_view("\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: "), length_text,
        std::string_view("\r\nDate: "), worker_.date->now(worker_.loop), std::string_view("\r\n\r\n"), status,
        std::string_view(" "), reason, std::string_view("\n")}) {
    output_.append_copy(part);
  }
  keep_alive_ = false;
  body_unread_ = true;
  if (auto flushed = output_.flush(*stream_); !flushed) {
    close();
    return;
  }
  close_gracefully();
}

// -- responses --------------------------------------------------------------------------------------------------------

void ServerConnection::write_head(const http::ResponseHead& head, const HeadOptions& options) {
  char* at = output_.reserve(response_head_room(head, options));
  output_.commit(static_cast<size_t>(write_response_head(at, head, options) - at));
}

void ServerConnection::send_informational(http::Exchange& exchange, const http::ResponseHead& head) {
  if (exchange.request().version == http::Version::kHttp10) return;
  write_head(head, {});
  flush();
}

void ServerConnection::send_response(http::Exchange& exchange, http::ResponseHead& head, http::BodySource* body) {
  response_started_ = true;
  const http::RequestHead& request = exchange.request();
  if (draining_ || (exchange.failed && http::answer_for(exchange.error).close)) keep_alive_ = false;
  // A client that waits for 100 Continue may or may not send the body now: only closing is unambiguous.
  if (request.expect_continue && !body_complete()) keep_alive_ = false;
  response_left_ = 0;
  const bool no_body = request.method == http::Method::kHead || status_has_no_body(head.status);
  if (no_body) {
    response_framing_ = Framing::kNone;
  } else if (body == nullptr) {
    response_framing_ = Framing::kNone;
  } else if (head.content_length) {
    response_framing_ = *head.content_length == 0 ? Framing::kNone : Framing::kLength;
    response_left_ = *head.content_length;
  } else if (request.version == http::Version::kHttp11) {
    response_framing_ = Framing::kChunked;
  } else {
    response_framing_ = Framing::kUntilClose;
    keep_alive_ = false;
  }
  HeadOptions options{.date = worker_.date->now(worker_.loop)};
  options.framing = {response_framing_, response_left_};
  if (response_framing_ == Framing::kNone) {
    if (!no_body) {
      options.zero_length = true;
    } else if (head.status >= 200 && head.status != 204) {
      options.described_length = head.content_length;
    }
  }
  if (!keep_alive_) {
    options.connection = ConnectionField::kClose;
  } else if (request.version == http::Version::kHttp10) {
    options.connection = ConnectionField::kKeepAlive;
  }
  first_chunk_ = true;
  write_head(head, options);
  if (body != nullptr && response_framing_ == Framing::kNone) {
    body->cancel();
    body = nullptr;
  }
  if (body == nullptr) {
    response_done_ = true;
    flush();
    return;
  }
  response_body_ = body;
  const http::FileRange* file = body->file();
  if (file != nullptr && response_framing_ == Framing::kLength && stream_->kernel_fd() >= 0) {
    file_left_ = response_left_;
    if (auto flushed = output_.flush(*stream_, true); !flushed) {
      close();
      return;
    }
    if (output_.empty()) {
      send_file();
    } else {
      expect_within(limits_.send_timeout);
    }
    return;
  }
  pump();
}

http::BodySource& ServerConnection::start_tunnel(http::Exchange& exchange, http::ResponseHead& head,
                                                 http::BodySource& from_upstream) {
  response_started_ = true;
  keep_alive_ = false;
  write_head(head, {.connection = ConnectionField::kUpgrade,
                    .upgrade = exchange.request().protocol,
                    .date = worker_.date->now(worker_.loop)});
  state_ = State::kTunnel;
  worker_.counters.add(Counter::kTunnelsActive);
  response_framing_ = Framing::kUntilClose;
  response_body_ = &from_upstream;
  let_go_of_body();
  request_body_ = exchange.arena().make<RequestBody>(*this, Framing::kUntilClose, 0);
  RequestBody& from_client = *request_body_;
  pump();
  return from_client;
}

void ServerConnection::abort(http::Exchange&, const Error& error) {
  if (state_ == State::kClosed) return;
  if (!response_on_wire_ && state_ == State::kExchange && error.origin == Origin::kDownstream) {
    // Nothing of the answer has left yet: the client can still be told what was wrong with its request.
    output_.clear();
    if (http::BodySource* body = std::exchange(response_body_, nullptr)) body->cancel();
    let_go_of_body();
    exchange_->response().status = http::answer_for(error).status;
    exchange_->end();
    refuse(error);
    return;
  }
  // Length and chunks show that something is missing; without them only a reset does.
  if (response_framing_ == Framing::kUntilClose && state_ != State::kTunnel) stream_->reset_on_close();
  if (!output_.empty()) (void)output_.flush(*stream_).has_value();
  close();
}

void ServerConnection::pump() {
  if (pumping_) return;
  pumping_ = true;
  for (;;) {
    while (response_body_ != nullptr && !pulling_ && !output_.full() && !resume_later_.scheduled()) {
      pulling_ = true;
      response_body_->pull(*this);
    }
    if (state_ == State::kClosed) break;
    flush();
    const bool more = state_ != State::kClosed && response_body_ != nullptr && !pulling_ && output_.empty() &&
                      !resume_later_.scheduled();
    if (!more) break;
  }
  pumping_ = false;
  // finish_exchange() left the next request for us: it must not start inside the pump of the one before.
  if (state_ == State::kIdle) next_request();
}

void ServerConnection::next_request() {
  if (!processing_ && !pumping_ && (has_unread() || stream_->readable_hint())) process_input();
}

void ServerConnection::on_chunk(Buffer chunk) {
  pulling_ = false;
  if (state_ == State::kClosed) return;
  const size_t size = chunk.size();
  exchange_->body_bytes_sent += size;
  switch (response_framing_) {
    case Framing::kChunked:
      append_chunk_header(output_, size, first_chunk_);
      first_chunk_ = false;
      output_.append(std::move(chunk));
      break;
    case Framing::kLength:
      if (size > response_left_) {
        exchange_->abort({.code = Errc::kMalformed, .origin = Origin::kUpstream, .detail = "body longer than its length"});
        return;
      }
      response_left_ -= size;
      // A small body travels in the block of its head: one piece for the kernel.
      if (size <= 1024) {
        output_.append_copy(chunk.view());
      } else {
        output_.append(std::move(chunk));
      }
      if (response_left_ == 0) {
        response_done_ = true;
        response_body_ = nullptr;
      }
      break;
    case Framing::kUntilClose:
    case Framing::kNone: output_.append(std::move(chunk)); break;
  }
  (void)over_budget(size);
  pump();
}

void ServerConnection::on_end(const http::Trailers* trailers) {
  pulling_ = false;
  if (state_ == State::kClosed) return;
  response_body_ = nullptr;
  if (response_framing_ == Framing::kLength && response_left_ > 0) {
    exchange_->abort({.code = Errc::kClosed, .origin = Origin::kUpstream, .detail = "body shorter than its length"});
    return;
  }
  if (response_framing_ == Framing::kChunked) {
    char* at = output_.reserve(last_chunk_room(trailers));
    output_.commit(static_cast<size_t>(write_last_chunk(at, first_chunk_, trailers) - at));
  }
  response_done_ = true;
  pump();
}

void ServerConnection::on_error(const Error& error) {
  pulling_ = false;
  response_body_ = nullptr;
  if (state_ != State::kClosed) exchange_->abort(error);
}

void ServerConnection::flush() {
  if (!output_.empty()) {
    const size_t before = output_.bytes();
    if (auto flushed = output_.flush(*stream_); !flushed) {
      close();
      return;
    }
    if (response_started_ && output_.bytes() < before) response_on_wire_ = true;
    if (!output_.empty()) {
      if (deadline_ == MonotonicTime::max()) expect_within(limits_.send_timeout);
      return;
    }
    if (state_ == State::kClosing) {
      stream_->shutdown_write();
      return;
    }
    if (state_ == State::kExchange && !body_waiting()) deadline_ = MonotonicTime::max();
  }
  if (file_left_ > 0) return;
  if (response_done_) after_response();
}

void ServerConnection::send_file() {
  const http::FileRange* file = response_body_->file();
  while (file_left_ > 0) {
    const uint64_t offset = file->offset + (response_left_ - file_left_);
    const size_t most = std::min<uint64_t>(file_left_, 1024 * 1024);
    const auto sent = stream_->send_file(file->fd, offset, most);
    if (!sent || sent->state == net::IoState::kEof) {
      // The file became shorter than it was when its length was promised.
      file_left_ = 0;
      exchange_->abort(sent ? Error{.code = Errc::kClosed, .detail = "file cut short"} : sent.error());
      return;
    }
    if (sent->state == net::IoState::kWouldBlock) {
      expect_within(limits_.send_timeout);
      return;
    }
    file_left_ -= sent->bytes;
    exchange_->body_bytes_sent += sent->bytes;
    if (file_left_ > 0 && over_budget(sent->bytes)) return;
  }
  response_body_->cancel();
  response_body_ = nullptr;
  response_done_ = true;
  after_response();
}

// The last byte of the response is with the kernel.
void ServerConnection::after_response() {
  if (state_ == State::kTunnel) {
    stream_->shutdown_write();
    if (body_complete()) close();
    return;
  }
  if (state_ == State::kExchange) finish_exchange();
}

void ServerConnection::finish_exchange() {
  exchange_->end();
  response_body_ = nullptr;
  response_done_ = false;
  bool whole = body_complete();
  if (!whole && request_body_->framing_ == Framing::kLength && request_body_->left_ <= input_end_ - input_begin_) {
    // Nobody wanted the rest of the body, but it is here already: step over it.
    input_begin_ += static_cast<uint32_t>(request_body_->left_);
    whole = true;
  }
  let_go_of_body();
  worker_.loop.defer_delete(std::move(exchange_));
  if (!whole) {
    keep_alive_ = false;
    body_unread_ = true;
  }
  if (!keep_alive_ || client_eof_) {
    close_gracefully();
    return;
  }
  state_ = State::kIdle;
  expect_within(draining_ ? kDrainQuiet : Duration(limits_.idle_timeout));
  if (!has_unread()) release_input();
  next_request();
}

void ServerConnection::let_go_of_body() {
  if (request_body_ == nullptr) return;
  request_body_->connection_ = nullptr;
  request_body_ = nullptr;
}

// RFC 9112 9.6: closing while bytes of the client are unread resets the connection and may destroy our answer on its
// way. So: FIN, then read a little longer.
void ServerConnection::close_gracefully() {
  const bool quiet = !body_unread_ && !has_unread() && !stream_->readable_hint() && output_.empty() &&
                     stream_->unsent() == 0;
  if (quiet || client_eof_) {
    if (quiet) stream_->say_goodbye();
    close();
    return;
  }
  state_ = State::kClosing;
  expect_within(kLingerTime);
  if (output_.empty()) {
    stream_->shutdown_write();
    on_stream_ready(true, false);
  }
}

void ServerConnection::close() {
  if (state_ == State::kClosed) return;
  if (state_ == State::kTunnel) worker_.counters.subtract(Counter::kTunnelsActive);
  state_ = State::kClosed;
  timer_.cancel();
  resume_later_.cancel();
  stream_->unwatch();
  if (http::BodySource* body = std::exchange(response_body_, nullptr)) body->cancel();
  if (exchange_ != nullptr) {
    const bool gone = !response_done_ && !exchange_->failed;
    if (gone) {
      exchange_->error = {.code = Errc::kClosed, .origin = Origin::kDownstream, .detail = "client left"};
      exchange_->failed = true;
    }
    exchange_->end();
    let_go_of_body();
    worker_.loop.defer_delete(std::move(exchange_));
  }
  output_.clear();
  release_input();
  owner_.on_connection_closed();
}

}  // namespace headgate::http1
