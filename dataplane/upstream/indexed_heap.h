// indexed_heap.h -- a priority queue of dense members whose keys change in place: least first, O(log n).
// Thread: that of its owner.   Owner: PickView.   Allocates only in append() beyond its largest size so far.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace headgate::upstream {

class IndexedHeap {
 public:
  struct Node {
    double turn = 0;  // decides among equal loads
    float load = 0;
    uint32_t member = 0;
  };

  void reserve(size_t members) {
    nodes_.reserve(members);
    places_.reserve(members);
  }
  void clear() {
    nodes_.clear();
    places_.clear();
  }
  // Members 0, 1, 2 ... in turn; then order() once.
  void append(Node node) {
    places_.push_back(static_cast<uint32_t>(nodes_.size()));
    nodes_.push_back(node);
  }
  void order() {
    for (size_t i = nodes_.size(); i-- > 0;) sift_down(i);
  }

  [[nodiscard]] bool empty() const { return nodes_.empty(); }
  [[nodiscard]] size_t size() const { return nodes_.size(); }
  [[nodiscard]] const Node& top() const { return nodes_[0]; }
  [[nodiscard]] const Node& of(uint32_t member) const { return nodes_[places_[member]]; }
  // The least node that `accept(member)` takes, or null. Looks below a refused node only, so few refusals cost little.
  template <typename Accept>
  [[nodiscard]] const Node* least_where(Accept&& accept) const {
    std::array<uint32_t, 128> pending;  // NOLINT: filled before it is read
    size_t count = 0;
    if (!nodes_.empty()) pending[count++] = 0;
    const Node* best = nullptr;
    while (count > 0) {
      const uint32_t place = pending[--count];
      const Node& node = nodes_[place];
      if (best != nullptr && !less(node, *best)) continue;
      if (accept(node.member)) {
        best = &node;
        continue;
      }
      const size_t first = size_t{place} * kArity + 1;
      for (size_t child = first; child < first + kArity && child < nodes_.size() && count < pending.size(); ++child) {
        pending[count++] = static_cast<uint32_t>(child);
      }
    }
    return best;
  }
  void update(uint32_t member, double turn, float load) {
    const size_t place = places_[member];
    nodes_[place].turn = turn;
    nodes_[place].load = load;
    if (place > 0 && less(nodes_[place], nodes_[(place - 1) / kArity])) {
      sift_up(place);
    } else {
      sift_down(place);
    }
  }

 private:
  static constexpr size_t kArity = 4;  // half the depth of a binary heap; the children share one or two cache lines

  static bool less(const Node& a, const Node& b) { return a.load != b.load ? a.load < b.load : a.turn < b.turn; }
  void put(size_t place, const Node& node) {
    nodes_[place] = node;
    places_[node.member] = static_cast<uint32_t>(place);
  }
  void sift_up(size_t place) {
    const Node node = nodes_[place];
    while (place > 0) {
      const size_t parent = (place - 1) / kArity;
      if (!less(node, nodes_[parent])) break;
      put(place, nodes_[parent]);
      place = parent;
    }
    put(place, node);
  }
  void sift_down(size_t place) {
    const Node node = nodes_[place];
    for (;;) {
      const size_t first = place * kArity + 1;
      if (first >= nodes_.size()) break;
      const size_t end = first + kArity < nodes_.size() ? first + kArity : nodes_.size();
      size_t least = first;
      for (size_t child = first + 1; child < end; ++child) {
        if (less(nodes_[child], nodes_[least])) least = child;
      }
      if (!less(nodes_[least], node)) break;
      put(place, nodes_[least]);
      place = least;
    }
    put(place, node);
  }

  std::vector<Node> nodes_;
  std::vector<uint32_t> places_;  // member -> place in nodes_
};

}  // namespace headgate::upstream
