// stream_source.h -- the conversation with a controller: Hello, Pushes, Acks, reports; comes back whenever it ends.
//
//   kWaiting --timer--> kOpening --open, Hello--> kGreeting --Welcome--> kOpen --closed--> kWaiting
//
// The pause before another try is random between nothing and 100 ms, doubling up to 15 s (full jitter); a Welcome starts
// it over, a Goodbye says itself when to come back. What arrives is passed on and judged elsewhere.
// Thread: control.   Owner: RemoteConfig.
#pragma once

#include <memory>
#include <string>

#include "dataplane/base/random.h"
#include "dataplane/control/message_link.h"
#include "headgate/control/v1/control.pb.h"

namespace headgate::control {

class StreamSourceObserver {
 public:
  // The Node is filled in by the source.
  virtual void fill_hello(control::v1::Hello& hello) = 0;
  // False with `problem` set: the stream is closed and begun anew.
  virtual bool on_push(control::v1::Push part, std::string& problem) = 0;
  virtual void on_stream_open() = 0;
  // Every time, also when it had not been open.
  virtual void on_stream_closed(const std::string& reason) = 0;

 protected:
  ~StreamSourceObserver() = default;
};

class StreamSource final : private LinkObserver {
 public:
  static constexpr Duration kFirstPause = std::chrono::milliseconds(100);
  static constexpr Duration kLongestPause = std::chrono::seconds(15);
  static constexpr Duration kWelcomeLimit = std::chrono::seconds(20);

  StreamSource(event::Loop& loop, LinkOpener& opener, control::v1::Node node, StreamSourceObserver& observer);
  ~StreamSource();

  void start();
  // What kept it from connecting may be over (there is a certificate now): try at once.
  void hurry();
  // Ends the link, if any, and begins a new one.
  void reconnect(const std::string& reason);
  // Goes to the stream that is open now; dropped without one. `stream` as of number() when the Push came.
  void acknowledge(uint64_t stream, const control::v1::Ack& ack);
  void report(const control::v1::Report& report);
  [[nodiscard]] bool open() const { return state_ == State::kOpen; }
  // Counts streams.
  [[nodiscard]] uint64_t number() const { return number_; }

 private:
  enum class State : uint8_t { kWaiting, kOpening, kGreeting, kOpen };

  void on_link_open() override;
  void on_link_message(std::string_view bytes) override;
  void on_link_closed(bool clean, const std::string& reason) override;
  void on_timer();
  void try_open();
  void close(const std::string& reason);
  void wait_again();
  void send(const control::v1::ClientMessage& message);

  event::Loop& loop_;
  LinkOpener& opener_;
  const control::v1::Node node_;
  StreamSourceObserver& observer_;
  Random random_;
  event::Timer timer_;
  State state_ = State::kWaiting;
  std::unique_ptr<MessageLink> link_;
  uint64_t number_ = 0;
  Duration pause_ = kFirstPause;
  Duration asked_pause_{-1};  // by Goodbye; negative: none
};

}  // namespace headgate::control
