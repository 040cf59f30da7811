// hpack_memory.h -- where the coders of nghttp2 take their memory from: free lists of the thread, no malloc in steady state.
//
// What a thread keeps free is bounded. A piece freed on another thread joins that thread's lists.
// Thread: any; lists are per thread.
#pragma once

#include <nghttp2/nghttp2.h>

namespace headgate::http2 {

// Lives for ever.
nghttp2_mem* hpack_memory();

}  // namespace headgate::http2
