// buffered_body.h -- a request body that is read to its end before anything is sent (request_buffering, D18).
//
//   collect() reads the client; then the attempts read what was kept, as often as it takes.
//
// Thread: worker.   Owner: the Exchange's arena.
#pragma once

#include "dataplane/handlers/body_spool.h"
#include "dataplane/handlers/rewindable_body.h"

namespace headgate::handlers {

class BufferedBody final : public RewindableBody, private http::BodySink {
 public:
  class Observer {
   public:
    // Everything is here (error null), or will never be. Perhaps from inside collect().
    virtual void on_body_collected(const Error* error) = 0;

   protected:
    ~Observer() = default;
  };

  BufferedBody(http::BodySource& from, const SpoolLimits& limits) : from_(from), limits_(limits) {}
  void collect(Observer& observer);
  [[nodiscard]] uint64_t size() const { return spool_.size(); }

  [[nodiscard]] bool replayable() const override { return true; }
  [[nodiscard]] bool begun() const override { return at_ > 0; }
  void rewind() override { at_ = 0; }
  void forget() override {}
  [[nodiscard]] std::optional<uint64_t> remaining() const override { return spool_.size() - at_; }

 private:
  void on_pull() override;
  void on_chunk(Buffer chunk) override;
  void on_end(const http::Trailers* trailers) override;
  void on_error(const Error& error) override { observer_->on_body_collected(&error); }

  http::BodySource& from_;
  const SpoolLimits& limits_;  // of the pinned Snapshot: until everything is collected
  BodySpool spool_;
  Observer* observer_ = nullptr;
  const http::Trailers* trailers_ = nullptr;  // of from_, alive as long as the exchange
  uint64_t at_ = 0;
};

}  // namespace headgate::handlers
