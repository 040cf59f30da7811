// fetch.h -- one request without a body on an HTTP/2 connection of its own: the status, and the first bytes of the answer.
//
//   start() --> waiting --> ended: on_fetched() exactly once, never from inside start()
//
// Made for health checks: no multiplexing, no time-out of its own (who asks has one). Interim heads are skipped.
// Spec: RFC 9113.   Thread: that of the Loop.   Owner: who asks. Destroy from the callback only by Loop::defer_delete.
#pragma once

#include <nghttp2/nghttp2.h>

#include <memory>
#include <string>
#include <string_view>

#include "dataplane/net/byte_stream.h"

namespace headgate::http2 {

struct FetchRequest {
  std::string method = "GET";
  std::string path = "/";
  std::string authority;
  std::string user_agent;
  bool https = false;
  size_t body_bytes = 0;  // of the answer that are wanted; 0: the head is enough
};

struct Fetched {
  uint32_t status = 0;         // 0: there was no answer
  std::string body;            // its first FetchRequest::body_bytes
  const char* problem = "";    // why it ended early: a static text, empty when it did not
};

class FetchObserver {
 public:
  virtual void on_fetched(const Fetched& answer) = 0;

 protected:
  ~FetchObserver() = default;
};

class Fetch final : public event::Disposable, private net::StreamObserver {
 public:
  Fetch(event::Loop& loop, std::unique_ptr<net::ByteStream> stream, FetchRequest request, FetchObserver& observer);
  ~Fetch() override;
  void start();

 private:
  struct Callbacks;

  void on_stream_ready(bool readable, bool writable) override;
  void read_all();
  void write_all();
  void on_head_complete();
  void on_data(std::string_view bytes);
  void end(const char* problem);
  void report() { observer_.on_fetched(answer_); }

  std::unique_ptr<net::ByteStream> stream_;
  const FetchRequest request_;
  FetchObserver& observer_;
  event::DeferredCall report_later_;
  nghttp2_session* session_ = nullptr;
  int32_t id_ = -1;
  std::string_view pending_;  // of nghttp2's output, not taken by the stream yet
  Fetched answer_;
  bool ended_ = false;
};

}  // namespace headgate::http2
