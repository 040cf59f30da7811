// fuzz_parent_message.cc -- what the parent reads from a serving process.
// links: headgate_control
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "dataplane/control/parent_channel.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using headgate::control::PayloadReader;
  using headgate::control::PayloadWriter;
  PayloadReader in({reinterpret_cast<const char*>(data), size});
  const auto key = in.key();
  const auto options = in.options();
  if (!in.complete()) return 0;
  // What was understood is written and read again as the same.
  PayloadWriter out;
  out.key(key).options(options);
  PayloadReader again(out.bytes());
  if (again.key() != key) std::abort();
  again.options();
  if (!again.complete()) std::abort();
  return 0;
}
