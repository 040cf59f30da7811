// pooled.h -- objects of one class recycled through a per-thread free list: no malloc in steady state.
//
//   class Exchange final : public Pooled<Exchange> { ... };   // new and delete as usual
//
// Thread: free lists are per thread; an object freed elsewhere joins that thread's list.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <new>

namespace headgate {

template <typename T, size_t kKeep = 1024>
class Pooled {
 public:
  static void* operator new(size_t size) {
    FreeList& list = free_list();
    if (list.head != nullptr && size == sizeof(T)) {
      Node* node = list.head;
      list.head = node->next;
      --list.size;
      return node;
    }
    void* memory = std::malloc(size);
    if (memory == nullptr) throw std::bad_alloc();  // out of memory ends the process
    return memory;
  }
  static void operator delete(void* memory, size_t size) {
    FreeList& list = free_list();
    if (size != sizeof(T) || list.size >= kKeep) {
      std::free(memory);
      return;
    }
    list.head = new (memory) Node{list.head};
    ++list.size;
  }

 private:
  struct Node {
    Node* next;
  };
  struct FreeList {
    Node* head = nullptr;
    size_t size = 0;
    ~FreeList() {
      while (head != nullptr) {
        Node* next = head->next;
        std::free(head);
        head = next;
      }
    }
  };
  static FreeList& free_list() {
    thread_local FreeList list;
    return list;
  }
};

}  // namespace headgate
