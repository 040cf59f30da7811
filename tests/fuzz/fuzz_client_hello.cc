// fuzz_client_hello.cc -- the ClientHello reader: no crash, and the same outcome however the bytes are cut.
// links: headgate_tls
#include <cstdint>
#include <cstdlib>

#include "dataplane/tls/client_hello.h"

using headgate::Bytes;
using headgate::tls::ClientHelloParser;
using headgate::tls::ClientHelloState;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  ClientHelloParser whole;
  const ClientHelloState expected = whole.advance(Bytes(data, size));
  ClientHelloParser cut;
  ClientHelloState state = ClientHelloState::kNeedMore;
  const size_t step = size > 0 ? 1 + data[size - 1] % 64 : 1;
  for (size_t have = 0; have < size && state == ClientHelloState::kNeedMore; have += step) {
    state = cut.advance(Bytes(data, have));
  }
  if (state == ClientHelloState::kNeedMore) state = cut.advance(Bytes(data, size));
  if (state != expected) std::abort();
  if (state == ClientHelloState::kParsed && (cut.hello().server_name != whole.hello().server_name ||
                                             cut.hello().protocols != whole.hello().protocols)) {
    std::abort();
  }
  return 0;
}
