// session_memory.h -- where one session of nghttp2 takes its memory from.
//
// Small pieces (streams, frames that wait, names and values) come from free lists of the thread: no malloc in steady state.
// What a thread keeps free is bounded.
//
// Two pieces are large, and every session has them: a buffer for outgoing frames that holds the longest one, 16 KiB, of
// which it uses a few hundred bytes, because heads are short and bodies are not copied through it; and the table of its
// streams, 4 KiB. They are mapped: what was never touched is not there, and rest() gives back what was. That is 20 KiB of
// each idle connection, for three system calls when it opens and closes and one when it has been idle for a while.
// Thread: worker; a small piece freed on another thread joins that thread's lists.   Owner: Session.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>

namespace headgate::http2 {

class SessionMemory {
 public:
  SessionMemory() = default;
  ~SessionMemory();
  SessionMemory(const SessionMemory&) = delete;
  SessionMemory& operator=(const SessionMemory&) = delete;

  // For nghttp2_session_*_new3(), which copies it; the session goes before this.
  [[nodiscard]] nghttp2_mem functions();
  // Only between frames: nothing is being packed. Keeps the table when there are streams in it.
  void rest();
  // Bytes of the two large pieces that are really there; for tests.
  [[nodiscard]] size_t resident() const;

 private:
  struct Functions;

  bool map();
  [[nodiscard]] bool is_mapped(const void* memory) const;

  char* pages_ = nullptr;
  bool frame_taken_ = false;
  bool table_taken_ = false;
};

}  // namespace headgate::http2
