// session_memory.h -- where nghttp2's sessions take their memory from.
//
// Small pieces (streams, frames that wait, names and values) come from free lists of the thread: no malloc in steady state.
// What a thread keeps free is bounded.
//
// A session keeps a buffer for outgoing frames that holds the longest one, 16 KiB, and uses a few hundred bytes of it: heads
// are short, and bodies are not copied through it. From the heap it would cost all of its pages, because the heap hands out
// what the TLS handshake has just used; here it is mapped, and only the page that was touched is there. That is 12 KiB of
// each idle connection, for two system calls when it opens and closes.
// Thread: any; a piece freed on another thread joins that thread's lists.
#pragma once

#include <nghttp2/nghttp2.h>

namespace headgate::http2 {

// For nghttp2_session_*_new3(); it keeps no state.
nghttp2_mem* session_memory();

}  // namespace headgate::http2
