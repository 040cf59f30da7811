// intrusive_list.h -- doubly linked list without allocation; an element leaves its list when destroyed.
// Thread: that of the elements.   Owner: nobody; the list never owns its elements.
#pragma once

#include <cstddef>

namespace headgate {

// Inherit once per list an object can be in; `Tag` tells them apart.
template <typename Tag = void>
class ListNode {
 public:
  ListNode() = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { unlink(); }

  [[nodiscard]] bool linked() const { return next_ != this; }
  void unlink() {
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = this;
    previous_ = this;
  }

 private:
  template <typename T, typename U>
  friend class IntrusiveList;

  void link_before(ListNode& position) {
    if (&position == this) return;  // the first element is put in front
    unlink();
    previous_ = position.previous_;
    next_ = &position;
    previous_->next_ = this;
    position.previous_ = this;
  }

  ListNode* next_ = this;
  ListNode* previous_ = this;
};

template <typename T, typename Tag = void>
class IntrusiveList {
  using Node = ListNode<Tag>;

 public:
  IntrusiveList() = default;
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() { clear(); }

  [[nodiscard]] bool empty() const { return !head_.linked(); }
  T* front() { return empty() ? nullptr : as_element(head_.next_); }
  T* back() { return empty() ? nullptr : as_element(head_.previous_); }
  void push_back(T& element) { as_node(element).link_before(head_); }
  void push_front(T& element) { as_node(element).link_before(*head_.next_); }
  T* pop_front() {
    T* element = front();
    if (element != nullptr) as_node(*element).unlink();
    return element;
  }
  // Unlinks all; the elements live on.
  void clear() {
    while (pop_front() != nullptr) {
    }
  }
  void splice_back(IntrusiveList& from) {
    while (T* element = from.pop_front()) push_back(*element);
  }
  // Calls fn(T&) for each; fn may unlink or destroy the element it is given, but no other.
  template <typename Fn>
  void for_each(Fn&& fn) {
    for (Node* node = head_.next_; node != &head_;) {
      Node* next = node->next_;
      fn(*as_element(node));
      node = next;
    }
  }
  [[nodiscard]] size_t size() const {
    size_t count = 0;
    for (const Node* node = head_.next_; node != &head_; node = node->next_) ++count;
    return count;
  }

 private:
  static Node& as_node(T& element) { return static_cast<Node&>(element); }
  static T* as_element(Node* node) { return static_cast<T*>(node); }

  Node head_;
};

}  // namespace headgate
