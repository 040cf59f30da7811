#include "dataplane/http2/hpack_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace headgate::http2 {
namespace {

std::string text_of(const void* memory, size_t size) { return {static_cast<const char*>(memory), size}; }

TEST(HpackMemory, AnySizeIsWritableAndCanBeGivenBack) {
  const nghttp2_mem memory = *hpack_memory();
  for (const size_t size : {size_t{1}, size_t{1024}, size_t{1048}, size_t{16384}, size_t{100000}}) {
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

TEST(HpackMemory, GrowingKeepsWhatWasThere) {
  const nghttp2_mem memory = *hpack_memory();
  for (const auto& [first, second] : std::vector<std::pair<size_t, size_t>>{
           {100, 200}, {100, 16394}, {16394, 20000}, {16394, 70000}}) {
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

TEST(HpackMemory, SmallPiecesAreUsedAgain) {
  const nghttp2_mem memory = *hpack_memory();
  for (const size_t size : {size_t{40}, size_t{200}, size_t{1000}}) {
    void* const first = memory.malloc(size, memory.mem_user_data);
    std::memset(first, 'x', size);
    memory.free(first, memory.mem_user_data);
    void* const second = memory.malloc(size, memory.mem_user_data);
    EXPECT_EQ(second, first);
    memory.free(second, memory.mem_user_data);
    // What is used again has no old bytes where zeros were asked for.
    void* const zeroed = memory.calloc(size / 8, 8, memory.mem_user_data);
    EXPECT_EQ(text_of(zeroed, size), std::string(size, '\0'));
    memory.free(zeroed, memory.mem_user_data);
  }
}

// What one thread frees may come from another; and what a thread keeps does not outlive it (the leak checker sees it).
TEST(HpackMemory, PiecesMayChangeThreads) {
  const nghttp2_mem memory = *hpack_memory();
  std::vector<void*> pieces(1000);
  std::thread([&] {
    for (size_t i = 0; i < pieces.size(); ++i) pieces[i] = memory.malloc(i, memory.mem_user_data);
  }).join();
  std::thread([&] {
    for (size_t i = 0; i < pieces.size(); ++i) std::memset(pieces[i], 'y', i);
    for (void* const piece : pieces) memory.free(piece, memory.mem_user_data);
    // More than is kept.
    std::vector<void*> many(3000);
    for (void*& piece : many) piece = memory.malloc(1000, memory.mem_user_data);
    for (void* const piece : many) memory.free(piece, memory.mem_user_data);
  }).join();
}

}  // namespace
}  // namespace headgate::http2
