// inflate.h -- decodes gzip with zlib, for tests of what we compress.
#pragma once

#include <string>
#include <string_view>

namespace headgate::test {

enum class Ending : bool {
  kComplete,  // the stream must be complete
  kOpen,      // as much as can be decoded so far
};

// "(not gzip)" when it cannot be decoded, or is incomplete and must not be, or has something behind its end.
std::string inflate_gzip(std::string_view data, Ending ending = Ending::kComplete);

}  // namespace headgate::test
