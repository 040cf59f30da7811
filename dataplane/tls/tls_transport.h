// tls_transport.h -- the BIO through which OpenSSL reads and writes the stream below a TlsStream. For this folder.
// Thread: worker.
#pragma once

#include <openssl/bio.h>

#include "dataplane/tls/tls_stream.h"

namespace headgate::tls {

struct TlsStream::Transport {
  // A BIO whose data is `stream`; null when out of memory.
  static BIO* make(TlsStream& stream);

  static int read(BIO* bio, char* into, size_t size, size_t* count);
  static int write(BIO* bio, const char* from, size_t size, size_t* count);
  static long control(BIO* bio, int command, long number, void* pointer);
};

}  // namespace headgate::tls
