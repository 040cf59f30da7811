#include "dataplane/http2/session_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace headgate::http2 {
namespace {

// What nghttp2 asks for once per session: the longest frame.
constexpr size_t kFrameBuffer = 16394;

std::string text_of(const void* memory, size_t size) { return {static_cast<const char*>(memory), size}; }

TEST(SessionMemory, AnySizeIsWritableAndCanBeGivenBack) {
  nghttp2_mem& memory = *session_memory();
  for (const size_t size : {size_t{1}, size_t{1024}, size_t{16383}, size_t{16384}, kFrameBuffer, size_t{20472},
                            size_t{20473}, size_t{100000}}) {
    void* const block = memory.malloc(size, memory.mem_user_data);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 8, 0U);
    std::memset(block, 'x', size);
    memory.free(block, memory.mem_user_data);
  }
  memory.free(nullptr, memory.mem_user_data);
  void* const zeroed = memory.calloc(256, 16, memory.mem_user_data);
  EXPECT_EQ(text_of(zeroed, 4096), std::string(4096, '\0'));
  memory.free(zeroed, memory.mem_user_data);
}

TEST(SessionMemory, GrowingKeepsWhatWasThere) {
  nghttp2_mem& memory = *session_memory();
  for (const auto& [first, second] : std::vector<std::pair<size_t, size_t>>{
           {100, 200}, {100, kFrameBuffer}, {kFrameBuffer, 20000}, {kFrameBuffer, 70000}}) {
    void* block = memory.realloc(nullptr, first, memory.mem_user_data);
    ASSERT_NE(block, nullptr);
    std::memset(block, 'a', first);
    block = memory.realloc(block, second, memory.mem_user_data);
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(text_of(block, first), std::string(first, 'a'));
    std::memset(block, 'b', second);
    memory.free(block, memory.mem_user_data);
  }
}

}  // namespace
}  // namespace headgate::http2
