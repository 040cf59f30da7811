#include "dataplane/base/buffer.h"

#include <array>
#include <cstdlib>
#include <new>

namespace headgate {
namespace {

constexpr uint8_t kNoClass = 0xff;
constexpr std::array<size_t, 4> kClassCapacity = {Block::kSmall, Block::kMedium, Block::kLarge, Block::kHuge};
// Free bytes kept per class and thread; what is beyond goes back to the heap at once.
constexpr size_t kKeptPerClass = 4 * 1024 * 1024;

struct FreeList {
  Block* head = nullptr;
  size_t kept = 0;  // bytes
};
// Without constructor or destructor, so that no access has to ask whether the thread has made its own yet.
struct ThreadPool {
  std::array<FreeList, kClassCapacity.size()> free{};
  size_t in_use = 0;
};
constinit thread_local ThreadPool t_pool;

// Made where a thread keeps its first block; what is kept goes back to the heap with it.
struct TrimAtThreadEnd {
  ~TrimAtThreadEnd() { BlockPool::trim(); }
};
void trim_at_thread_end() { thread_local const TrimAtThreadEnd trim; }

uint8_t class_of(size_t size) {
  if (size <= Block::kSmall) [[likely]] return 0;
  for (uint8_t i = 0; i < kClassCapacity.size(); ++i) {
    if (size <= kClassCapacity[i]) return i;
  }
  return kNoClass;
}

}  // namespace

Block* Block::allocate(size_t size) {
  const uint8_t size_class = class_of(size);
  Block* block = size_class == kNoClass ? nullptr : BlockPool::take(size_class);
  if (block == nullptr) [[unlikely]] block = from_heap(size, size_class);
  t_pool.in_use += block->capacity_;
  return block;
}

Block* Block::from_heap(size_t size, uint8_t size_class) {
  const size_t capacity = size_class == kNoClass ? size : kClassCapacity[size_class];
  void* memory = std::malloc(kHeaderSize + capacity);
  if (memory == nullptr) throw std::bad_alloc();  // out of memory ends the process
  static_assert(sizeof(Block) <= kHeaderSize);
  auto* block = new (memory) Block();
  block->capacity_ = capacity;
  block->size_class_ = size_class;
  return block;
}

void Block::recycle() {
  t_pool.in_use -= capacity_;
  if (size_class_ == kNoClass) {
    std::free(this);
  } else {
    BlockPool::give(this);
  }
}

Buffer Buffer::copy(std::string_view memory) {
  if (memory.empty()) return {};
  BlockRef block(Block::allocate(memory.size()));
  std::memcpy(block->data(), memory.data(), memory.size());
  const char* data = block->data();
  return {std::move(block), data, memory.size()};
}

Block* BlockPool::take(uint8_t size_class) {
  FreeList& list = t_pool.free[size_class];
  Block* block = list.head;
  if (block == nullptr) return nullptr;
  list.head = block->next_free_;
  list.kept -= block->capacity_;
  return block;
}

void BlockPool::give(Block* block) {
  FreeList& list = t_pool.free[block->size_class_];
  if (list.kept + block->capacity_ > kKeptPerClass) {
    std::free(block);
    return;
  }
  if (list.head == nullptr) [[unlikely]] trim_at_thread_end();
  block->next_free_ = list.head;
  list.head = block;
  list.kept += block->capacity_;
}

void BlockPool::trim() {
  for (size_t i = 0; i < kClassCapacity.size(); ++i) {
    while (Block* block = take(static_cast<uint8_t>(i))) std::free(block);
  }
}

size_t BlockPool::bytes_in_use() { return t_pool.in_use; }

size_t BlockPool::bytes_kept() {
  size_t total = 0;
  for (const FreeList& list : t_pool.free) total += list.kept;
  return total;
}

}  // namespace headgate
