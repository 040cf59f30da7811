#include "dataplane/http2/session_memory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace headgate::http2 {
namespace {

// What nghttp2 asks for once per session: the longest frame.
constexpr size_t kFrameBuffer = 16394;

std::string text_of(const void* memory, size_t size) { return {static_cast<const char*>(memory), size}; }

TEST(SessionMemory, AnySizeIsWritableAndCanBeGivenBack) {
  SessionMemory owner;
  const nghttp2_mem memory = owner.functions();
  for (const size_t size : {size_t{1}, size_t{1024}, size_t{16383}, size_t{16384}, kFrameBuffer, size_t{20472},
                            size_t{20480}, size_t{20481}, size_t{100000}}) {
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
  SessionMemory owner;
  const nghttp2_mem memory = owner.functions();
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

TEST(SessionMemory, LargePiecesRestUntilTheyAreTouchedAgain) {
  SessionMemory owner;
  const nghttp2_mem memory = owner.functions();
  auto* const frame = static_cast<char*>(memory.malloc(kFrameBuffer, memory.mem_user_data));
  auto* const table = static_cast<char*>(memory.calloc(256, 16, memory.mem_user_data));
  EXPECT_EQ(owner.resident(), 0U);
  std::memset(frame, 'f', 300);
  table[1000] = 1;
  EXPECT_EQ(owner.resident(), 8192U);
  owner.rest();
  EXPECT_EQ(owner.resident(), 4096U);  // a stream is in the table
  EXPECT_EQ(table[1000], 1);
  table[1000] = 0;
  owner.rest();
  EXPECT_EQ(owner.resident(), 0U);
  EXPECT_EQ(text_of(table, 4096), std::string(4096, '\0'));
  std::memset(frame, 'f', kFrameBuffer);
  EXPECT_EQ(text_of(frame, kFrameBuffer), std::string(kFrameBuffer, 'f'));
  // There is one of each.
  void* const second = memory.calloc(256, 16, memory.mem_user_data);
  EXPECT_NE(second, table);
  EXPECT_EQ(text_of(second, 4096), std::string(4096, '\0'));
  memory.free(second, memory.mem_user_data);
  memory.free(table, memory.mem_user_data);
  memory.free(frame, memory.mem_user_data);
}

TEST(SessionMemory, SmallPiecesAreUsedAgain) {
  SessionMemory owner;
  const nghttp2_mem memory = owner.functions();
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
TEST(SessionMemory, PiecesMayChangeThreads) {
  SessionMemory owner;
  const nghttp2_mem memory = owner.functions();
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
