#include "dataplane/http1/client_connection.h"

#include <algorithm>
#include <cstring>

#include "dataplane/base/number.h"
#include "dataplane/http1/serializer.h"

namespace headgate::http1 {
namespace {

// A response longer than this is read in 64 KiB pieces from the start next time.
constexpr uint64_t kBulk = 16 * 1024;

}  // namespace

ClientConnection::ClientConnection(WorkerContext& worker, std::unique_ptr<net::ByteStream> stream,
                                   const http::HttpLimits& limits, ClientConnectionOwner& owner)
    : worker_(worker),
      stream_(std::move(stream)),
      limits_(limits),
      owner_(owner),
      timer_(worker.loop.timers(), event::Timer::call<&ClientConnection::on_deadline>, this),
      resume_later_(worker.loop, event::Timer::call<&ClientConnection::resume>, this),
      opened_(worker.loop.now()) {
  stream_->watch(net::Interest::kBoth, *this);
}

ClientConnection::~ClientConnection() = default;

void ClientConnection::send(const http::RequestHead& head, http::BodySource* body, http::ResponseHead& into,
                            const http::ClientTimeouts& timeouts, http::ClientObserver& observer) {
  HG_DCHECK(state_ == State::kIdle);
  state_ = State::kRequest;
  resting_ = false;
  observer_ = &observer;
  response_ = &into;
  timeouts_ = timeouts;
  method_ = head.method;
  wants_upgrade_ = !head.protocol.empty();
  ++requests_;
  keep_alive_ = true;
  got_bytes_ = false;
  parser_.reset(method_);
  request_body_ = body;
  request_done_ = body == nullptr;
  request_chunked_ = body != nullptr && !head.content_length;
  HeadOptions options;
  if (request_chunked_) {
    options.framing.kind = Framing::kChunked;
  } else if (body != nullptr) {
    options.framing = http::BodyFraming::of_length(*head.content_length);
  }
  // A method that usually brings content says that there is none (RFC 9110 8.6).
  options.zero_length = head.method == http::Method::kPost || head.method == http::Method::kPut ||
                        head.method == http::Method::kPatch || head.content_length.has_value();
  if (wants_upgrade_) {
    options.connection = ConnectionField::kUpgrade;
    options.upgrade = head.protocol;
  }
  first_chunk_ = true;
  char* at = output_.reserve(request_head_room(head, head.headers, head.target, options));
  output_.commit(static_cast<size_t>(write_request_head(at, head, head.headers, head.target, options) - at));
  expect_within(timeouts_.response);
  if (body == nullptr) {
    flush();
  } else {
    pump();
  }
}

void ClientConnection::start_tunnel(http::BodySource& from_client) {
  HG_DCHECK(state_ == State::kTunnel);
  request_body_ = &from_client;
  request_done_ = false;
  request_chunked_ = false;
  expect_within(timeouts_.tunnel_idle);
  pump();
}

// The observer no longer wants anything of us.
void ClientConnection::cancel() {
  observer_ = nullptr;
  request_body_ = nullptr;
  if (state_ == State::kClosed || state_ == State::kIdle) return;
  // Complete but not handed back yet: finish_response() is about to run further up the stack.
  if (state_ == State::kResponse && response_body_ != nullptr && response_body_->complete()) return;
  close();
}

void ClientConnection::rest(Duration idle_timeout) {
  resting_ = true;
  expect_within(idle_timeout);
}

void ClientConnection::close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  timer_.cancel();
  resume_later_.cancel();
  stream_->unwatch();
  stream_->say_goodbye();
  output_.clear();
  observer_ = nullptr;
  response_ = nullptr;
  request_body_ = nullptr;
  if (response_body_ != nullptr) response_body_->part();
  owner_.on_connection_closed(*this);
}

// -- readiness ------------------------------------------------------------------------------------------------------

void ClientConnection::on_stream_ready(bool readable, bool writable) {
  if (writable && !output_.empty()) {
    expect_within(timeouts_.send);
    pump();
  }
  if (!readable) return;
  switch (state_) {
    case State::kIdle: close(); break;  // nothing may come now: it is the end, or an answer nobody asked for
    case State::kRequest: read_head(); break;
    case State::kResponse:
    case State::kTunnel:
      if (body_waiting()) response_body_->resume();
      break;
    case State::kClosed: break;
  }
}

// The next turn: what the budget of the last one held back goes on.
void ClientConnection::resume() {
  if (request_body_ != nullptr) pump();
  if (state_ != State::kClosed) on_stream_ready(true, true);
}

bool ClientConnection::over_budget(size_t bytes) {
  if (turn_budget_.spend(worker_.loop.turns(), bytes)) return false;
  resume_later_.schedule();
  return true;
}

void ClientConnection::expect_within(Duration from_now) {
  deadline_ = worker_.loop.now() + from_now;
  if (!timer_.armed() || timer_.deadline() > deadline_) timer_.arm_at(deadline_);
}

void ClientConnection::on_deadline() {
  if (deadline_ == MonotonicTime::max()) return;
  if (worker_.loop.now() < deadline_) {
    timer_.arm_at(deadline_);
    return;
  }
  switch (state_) {
    case State::kIdle:
    case State::kTunnel: {
      const Error idle{.code = Errc::kTimeout, .origin = Origin::kUpstream, .detail = "idle too long"};
      if (body_waiting()) {
        response_body_->break_off(idle);
      }
      close();
      break;
    }
    case State::kRequest:
    case State::kResponse:
      // Waiting for the client (its body, or its reading) is not the endpoint's fault.
      if (output_.empty() && (pulling_ || (state_ == State::kResponse && !body_waiting()))) {
        deadline_ = MonotonicTime::max();
        return;
      }
      fail({.code = Errc::kTimeout,
            .origin = Origin::kUpstream,
            .detail = output_.empty() ? "no response in time" : "endpoint does not read"});
      break;
    case State::kClosed: break;
  }
}

// -- request ----------------------------------------------------------------------------------------------------------

void ClientConnection::pump() {
  if (pumping_) return;
  pumping_ = true;
  for (;;) {
    while (request_body_ != nullptr && !pulling_ && !request_done_ && !output_.full() && !resume_later_.scheduled()) {
      pulling_ = true;
      request_body_->pull(*this);
    }
    if (state_ == State::kClosed) break;
    flush();
    const bool more = state_ != State::kClosed && request_body_ != nullptr && !pulling_ && !request_done_ &&
                      output_.empty() && !resume_later_.scheduled();
    if (!more) break;
  }
  pumping_ = false;
}

void ClientConnection::on_chunk(Buffer chunk) {
  pulling_ = false;
  if (state_ == State::kClosed || state_ == State::kIdle) return;
  const size_t size = chunk.size();
  if (request_chunked_) {
    char* at = output_.reserve(kChunkHeaderRoom);
    output_.commit(static_cast<size_t>(write_chunk_header(at, size, first_chunk_) - at));
    first_chunk_ = false;
  }
  output_.append(std::move(chunk));
  if (state_ == State::kTunnel) expect_within(timeouts_.tunnel_idle);
  (void)over_budget(size);
  pump();
}

void ClientConnection::on_end(const http::Trailers* trailers) {
  pulling_ = false;
  if (state_ == State::kClosed || state_ == State::kIdle) return;
  request_body_ = nullptr;
  request_done_ = true;
  if (request_chunked_) {
    char* at = output_.reserve(last_chunk_room(trailers));
    output_.commit(static_cast<size_t>(write_last_chunk(at, first_chunk_, trailers) - at));
  }
  // From here on the endpoint is the one we wait for.
  if (state_ == State::kRequest) expect_within(timeouts_.response);
  pump();
}

void ClientConnection::on_error(const Error& error) {
  pulling_ = false;
  request_body_ = nullptr;
  if (state_ == State::kClosed) return;
  if (state_ == State::kTunnel) {
    // The client reset its side: pass that on.
    stream_->reset_on_close();
    close();
    return;
  }
  fail(error.with_retry(Retry::kNo));
}

void ClientConnection::flush() {
  if (!output_.empty()) {
    if (auto flushed = output_.flush(*stream_); !flushed) {
      // The endpoint may have answered (413) and closed before it read everything: look before giving up.
      if (state_ == State::kRequest) {
        output_.clear();
        if (request_body_ != nullptr) request_body_->cancel();
        request_body_ = nullptr;
        keep_alive_ = false;
        const Error error = flushed.error();
        read_head();
        if (state_ == State::kRequest) fail(error);
        return;
      }
      fail(flushed.error());
      return;
    }
  }
  if (output_.empty() && state_ == State::kTunnel && request_done_) {
    stream_->shutdown_write();
    if (response_body_ == nullptr) close();  // the other direction had ended before
  }
}

// -- response ---------------------------------------------------------------------------------------------------------

size_t ClientConnection::input_size() const {
  if (state_ == State::kRequest) return bulk_ ? Block::kLarge : Block::kMedium;
  const bool known = response_body_ != nullptr && response_body_->framing_ == Framing::kLength;
  const uint64_t left = known ? response_body_->left_ : Block::kLarge;
  if (left > Block::kLarge) return Block::kHuge;
  return left > Block::kMedium ? Block::kLarge : Block::kMedium;
}

// True when new bytes are there.
bool ClientConnection::read_more() {
  if (!stream_->readable_hint()) return false;
  const size_t unread_bytes = input_end_ - input_begin_;
  if (!input_ || input_->capacity() - input_end_ < 1024) {
    const size_t size = std::max(input_size(), unread_bytes * 2);
    BlockRef bigger(Block::allocate(size));
    if (unread_bytes > 0) std::memcpy(bigger->data(), input_->data() + input_begin_, unread_bytes);
    input_ = std::move(bigger);
    input_begin_ = 0;
    input_end_ = static_cast<uint32_t>(unread_bytes);
    if (state_ == State::kRequest && unread_bytes > 0) {
      // Views pointed into the old block.
      parser_.reset(method_);
      *response_ = http::ResponseHead(response_->headers.arena());
    }
  }
  const auto got = stream_->read({input_->data() + input_end_, input_->capacity() - input_end_});
  if (!got) {
    fail(got.error());
    return false;
  }
  if (got->state == net::IoState::kWouldBlock) return false;
  if (got->state == net::IoState::kEof) {
    if (state_ == State::kRequest) {
      fail({.code = Errc::kClosed, .detail = got_bytes_ ? "response head cut short" : "closed without a response"});
    } else if (response_body_ != nullptr) {
      response_body_->on_stream_end();
    }
    return false;
  }
  got_bytes_ = true;
  input_end_ += static_cast<uint32_t>(got->bytes);
  if (state_ != State::kRequest) (void)over_budget(got->bytes);
  return true;
}

void ClientConnection::read_head() {
  if (reading_) return;
  reading_ = true;
  while (state_ == State::kRequest && (has_unread() || read_more())) {
    switch (parser_.parse(unread(), limits_, *response_)) {
      case Outcome::kNeedMore:
        if (!read_more()) {
          reading_ = false;
          return;
        }
        continue;
      case Outcome::kError:
        fail({.code = Errc::kMalformed, .detail = parser_.error().detail});
        break;
      case Outcome::kDone: take_response(); break;
    }
  }
  reading_ = false;
}

void ClientConnection::take_response() {
  input_begin_ += static_cast<uint32_t>(parser_.head_size());
  const uint16_t status = response_->status;
  const BlockRef memory = input_;
  if (status < 200 && status != 101) {
    observer_->on_informational(*response_);
    if (state_ != State::kRequest || response_ == nullptr) return;
    parser_.reset(method_);
    *response_ = http::ResponseHead(response_->headers.arena());
    return;
  }
  http::ClientObserver& observer = *observer_;
  if (status == 101) {
    if (!wants_upgrade_) {
      fail({.code = Errc::kMalformed, .detail = "101 without an upgrade request"});
      return;
    }
    state_ = State::kTunnel;
    keep_alive_ = false;
    expect_within(timeouts_.tunnel_idle);
    response_body_ = response_->headers.arena().make<ResponseBody>(*this, Framing::kUntilClose, 0);
    observer.on_tunnel(*response_body_, memory);
    return;
  }
  state_ = State::kResponse;
  keep_alive_ = keep_alive_ && parser_.keep_alive();
  const http::BodyFraming body = parser_.framing();
  const Framing framing = body.kind;
  if (framing == Framing::kUntilClose) keep_alive_ = false;
  if (framing == Framing::kNone) {
    bulk_ = false;
    finish_response();
    observer.on_response_head(nullptr, memory);
    return;
  }
  response_body_ = response_->headers.arena().make<ResponseBody>(*this, framing, body.length);
  observer.on_response_head(response_body_, memory);
}

// The last byte of the response has been read.
void ClientConnection::finish_response() {
  if (response_body_ != nullptr) response_body_->part();
  observer_ = nullptr;
  response_ = nullptr;
  const bool clean = request_done_ && output_.empty() && keep_alive_ && !has_unread() && state_ == State::kResponse;
  if (http::BodySource* body = std::exchange(request_body_, nullptr)) {
    // An early response: the rest of the request goes nowhere.
    if (!pulling_ || !request_done_) body->cancel();
  }
  pulling_ = false;
  if (!clean) {
    close();
    return;
  }
  input_.reset();
  input_begin_ = input_end_ = 0;
  state_ = State::kIdle;
  deadline_ = MonotonicTime::max();
  owner_.on_connection_idle(*this);
}

// Nothing (more) will come of this request.
void ClientConnection::fail(const Error& error) {
  if (state_ == State::kClosed) return;
  const bool reused = requests_ > 1;
  Error why = error;
  if (why.origin == Origin::kLocal) why.origin = Origin::kUpstream;
  if (state_ == State::kRequest && reused && !got_bytes_ && why.origin == Origin::kUpstream &&
      why.code != Errc::kTimeout) {
    why.retry = Retry::kIfConnectionWasReused;
  }
  http::ClientObserver* observer = observer_;
  const State before = state_;
  if (response_body_ != nullptr) {
    // Told now if it waits, else at its next pull.
    ResponseBody& body = *response_body_;
    body.broken_ = why;
    close();
    if (body.waiting()) body.break_off(why);
    return;
  }
  close();
  if (before == State::kRequest && observer != nullptr) observer->on_failed(why);
}

Buffer ClientConnection::take_unread(size_t most) {
  const size_t size = std::min<size_t>(most, input_end_ - input_begin_);
  Buffer part(input_, input_->data() + input_begin_, size);
  input_begin_ += static_cast<uint32_t>(size);
  return part;
}

ClientConnection::ResponseBody::~ResponseBody() {
  if (connection_ != nullptr) on_cancel();
}

// The connection and this body have nothing to do with each other any more.
void ClientConnection::ResponseBody::part() {
  connection_->response_body_ = nullptr;
  connection_ = nullptr;
}

std::optional<uint64_t> ClientConnection::ResponseBody::remaining() const {
  if (complete_) return 0;
  if (framing_ == Framing::kLength) return left_;
  return std::nullopt;
}

void ClientConnection::ResponseBody::on_pull() {
  if (complete_) {
    finish();
  } else if (connection_ == nullptr) {
    fail(broken_);
  } else {
    resume();
  }
}

void ClientConnection::ResponseBody::on_cancel() {
  if (complete_ || connection_ == nullptr) return;
  ClientConnection& connection = *connection_;
  part();
  connection.cancel();
}

void ClientConnection::ResponseBody::resume() {
  // answer() and read_more() may part us from the connection, which itself lives until the end of the turn.
  while (connection_ != nullptr && pulled() && !answer()) {
    ClientConnection& connection = *connection_;
    if (connection.resume_later_.scheduled()) return;  // over the budget of this turn
    if (!connection.read_more()) {
      if (connection.body_waiting()) {
        connection.expect_within(connection.state_ == State::kTunnel ? connection.timeouts_.tunnel_idle
                                                                     : connection.timeouts_.response);
      }
      return;
    }
  }
}

bool ClientConnection::ResponseBody::answer() {
  if (framing_ == Framing::kChunked) return answer_chunked();
  ClientConnection& connection = *connection_;
  if (!connection.has_unread()) return false;
  Buffer chunk = connection.take_unread(framing_ == Framing::kLength ? left_ : SIZE_MAX);
  received_ += chunk.size();
  if (connection.state_ == State::kTunnel) connection.expect_within(connection.timeouts_.tunnel_idle);
  if (framing_ == Framing::kLength) {
    left_ -= chunk.size();
    if (left_ == 0) {
      connection.bulk_ = received_ > kBulk;
      complete_ = true;
      connection.finish_response();
    }
  }
  deliver(std::move(chunk));
  return true;
}

bool ClientConnection::ResponseBody::answer_chunked() {
  ClientConnection& connection = *connection_;
  while (connection.has_unread()) {
    const ChunkedDecoder::Step step = decoder_.decode(connection.unread(), connection.limits_, trailers_);
    connection.input_begin_ += static_cast<uint32_t>(step.used);
    switch (step.kind) {
      case ChunkedDecoder::Step::Kind::kData:
        received_ += step.data.size();
        deliver(Buffer(connection.input_, step.data.data(), step.data.size()));
        return true;
      case ChunkedDecoder::Step::Kind::kEnd:
        connection.bulk_ = received_ > kBulk;
        complete_ = true;
        connection.finish_response();
        finish(trailers_.size() == 0 ? nullptr : &trailers_);
        return true;
      case ChunkedDecoder::Step::Kind::kNeedMore: return false;
      case ChunkedDecoder::Step::Kind::kError: connection.fail(decoder_.error()); return true;
    }
  }
  return false;
}

// End of file while a body is being read.
void ClientConnection::ResponseBody::on_stream_end() {
  ClientConnection& connection = *connection_;
  if (framing_ != Framing::kUntilClose) {
    connection.fail({.code = Errc::kClosed, .origin = Origin::kUpstream, .detail = "body cut short"});
    return;
  }
  const bool tunnel = connection.state_ == State::kTunnel;
  const TlsFacts* const tls = connection.stream_->facts().tls;
  if (!tunnel && tls != nullptr && tls->truncated) {
    // RFC 9112 9.8: without close_notify anybody on the way may have ended it.
    connection.fail({.code = Errc::kClosed, .origin = Origin::kUpstream, .detail = "body ended without close_notify"});
    return;
  }
  complete_ = true;
  if (!tunnel) {
    connection.finish_response();
  } else {
    part();
    if (connection.request_done_ && connection.output_.empty()) connection.close();
  }
  finish();
}

}  // namespace headgate::http1
