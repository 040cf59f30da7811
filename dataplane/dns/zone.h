// zone.h -- ZoneSet: all names we answer for, as one immutable flat hash of pre-encoded RRsets.
// Spec: RFC 1034 4.3.2 (zones, cuts), RFC 4592 (wildcards, empty non-terminals), RFC 2308 (negative answers).
// Thread: any, read only once built.   Owner: the Snapshot.   Unit: bytes; TTLs in seconds.
//
// One node per name, all in one byte block:
//   NodeHead, folded name, padding to 4, then per RRset: RrsetHead, whole records, padding to 4
// A record's owner is written as the pointer C0 0C (the question's name), so that an answer is a copy of the RRset.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "dataplane/base/bytes.h"
#include "dataplane/dns/name.h"
#include "dataplane/dns/record.h"

namespace headgate::dns {

// A name ready for look-ups: folded, with the hash of each of its suffixes. About 1 KiB, made on the stack, and not
// initialised beyond what the name fills.
class LookupName {
 public:
  LookupName() {}  // NOLINT(modernize-use-equals-default): leaves the arrays alone
  void set(NameView name, uint64_t seed);

  [[nodiscard]] size_t labels() const { return labels_; }
  // The suffix that begins with label `first` (0 is the whole name, labels() the root).
  [[nodiscard]] NameView suffix(size_t first) const {
    return NameView(Bytes(bytes_.data() + starts_[first], size_ - starts_[first]));
  }
  [[nodiscard]] size_t start(size_t first) const { return starts_[first]; }
  [[nodiscard]] uint64_t hash(size_t first) const { return hashes_[first]; }

 private:
  std::array<uint8_t, kMaxNameBytes + 9> bytes_;  // 8 bytes more may be read than the name has
  std::array<uint8_t, kMaxLabels + 1> starts_;
  std::array<uint64_t, kMaxLabels + 1> hashes_;
  uint16_t size_;
  uint8_t labels_;
};

class ZoneSet {
  enum Flag : uint8_t {
    kApex = 1,
    kCut = 2,
    kOccluded = 4,  // below a cut: only addresses for glue are ever used
    kHasWildcard = 8,
    kImpliedSoa = 16,
    kHasCname = 32,
    kFallThrough = 64,
  };
  struct NodeHead {
    uint8_t name_size;
    uint8_t flags;
    uint8_t apex_labels;
    uint8_t cut_labels;
    uint32_t rrset_count;
  };
  struct RrsetHead {
    uint16_t type;
    uint16_t count;
    uint32_t ttl_s;
    uint32_t size;
  };
  struct Slot {
    uint32_t tag;    // upper half of the hash
    uint32_t where;  // offset in nodes_ / 4 + 1; 0 is empty
  };
  static constexpr size_t padded(size_t size) { return (size + 3) & ~size_t{3}; }

 public:
  struct Rrset {
    uint16_t type = 0;
    uint16_t count = 0;
    uint32_t ttl_s = 0;
    Bytes records{};  // each: C0 0C, type, class, TTL, length, data
  };

  // Empty when a look-up missed.
  class Node {
   public:
    Node() = default;
    explicit operator bool() const { return at_ != nullptr; }
    bool operator==(const Node& other) const { return at_ == other.at_; }

    [[nodiscard]] bool is_apex() const { return (head().flags & kApex) != 0; }
    // NS records below an apex: the answer is a referral.
    [[nodiscard]] bool is_cut() const { return (head().flags & kCut) != 0; }
    [[nodiscard]] bool is_at_or_below_cut() const { return (head().flags & (kCut | kOccluded)) != 0; }
    [[nodiscard]] bool has_wildcard() const { return (head().flags & kHasWildcard) != 0; }
    [[nodiscard]] bool has_cname() const { return (head().flags & kHasCname) != 0; }
    // An apex whose SOA nobody wrote; the answer makes one up.
    [[nodiscard]] bool has_implied_soa() const { return (head().flags & kImpliedSoa) != 0; }
    // An apex whose missing names are for someone else to answer.
    [[nodiscard]] bool falls_through() const { return (head().flags & kFallThrough) != 0; }
    // Number of labels of the zone's apex, and of the cut at or above this name.
    [[nodiscard]] size_t apex_labels() const { return head().apex_labels; }
    [[nodiscard]] size_t cut_labels() const { return head().cut_labels; }
    [[nodiscard]] NameView name() const { return NameView(Bytes(at_ + sizeof(NodeHead), head().name_size)); }
    [[nodiscard]] size_t rrset_count() const { return head().rrset_count; }

    // False: there is none. RRsets are in rising order of type.
    bool find(uint16_t type, Rrset& into) const;
    // Calls fn(const Rrset&) until it returns false.
    template <typename Fn>
    void for_each(Fn fn) const {
      const uint8_t* from = first_rrset();
      for (size_t i = rrset_count(); i > 0; --i) {
        Rrset rrset;
        from = read_rrset(from, rrset);
        if (!fn(static_cast<const Rrset&>(rrset))) return;
      }
    }

   private:
    friend class ZoneSet;
    friend class ZoneSetWriter;
    explicit Node(const uint8_t* at) : at_(at) {}
    [[nodiscard]] NodeHead head() const {
      NodeHead head;
      std::memcpy(&head, at_, sizeof(head));
      return head;
    }
    [[nodiscard]] const uint8_t* first_rrset() const;
    static const uint8_t* read_rrset(const uint8_t* from, Rrset& into);

    const uint8_t* at_ = nullptr;
  };

  // SOA of zones for which none was written: MNAME is the first NS or the apex, RNAME hostmaster.<apex>.
  struct ImpliedSoa {
    uint32_t serial = 1;
    uint32_t refresh_s = 3600;
    uint32_t retry_s = 600;
    uint32_t expire_s = 604800;
    uint32_t minimum_s = 300;  // also its TTL
  };

  ZoneSet() = default;  // no names: everything is refused
  ZoneSet(ZoneSet&&) = default;
  ZoneSet& operator=(ZoneSet&&) = default;
  ZoneSet(const ZoneSet&) = delete;
  ZoneSet& operator=(const ZoneSet&) = delete;
  ~ZoneSet() = default;

  // Prepares `name` (uncompressed) for find().
  void prepare(NameView name, LookupName& into) const { into.set(name, seed_); }
  // The node of exactly the suffix of `name` that begins with label `first`.
  [[nodiscard]] Node find(const LookupName& name, size_t first) const;
  // The node of the longest existing suffix; `first` becomes its first label. Empty: the name is in no zone of ours.
  Node find_closest(const LookupName& name, size_t& first) const;
  // The node of "*" before the suffix that begins with `first`.
  [[nodiscard]] Node find_wildcard(const LookupName& name, size_t first) const;

  [[nodiscard]] const ImpliedSoa& implied_soa() const { return implied_soa_; }
  [[nodiscard]] bool empty() const { return name_count_ == 0; }
  [[nodiscard]] size_t zone_count() const { return zone_count_; }
  [[nodiscard]] size_t name_count() const { return name_count_; }      // empty non-terminals included
  [[nodiscard]] size_t record_count() const { return record_count_; }  // made-up SOAs not counted
  [[nodiscard]] size_t memory_bytes() const { return slots_.capacity() * sizeof(Slot) + nodes_.capacity(); }

 private:
  friend class ZoneSetBuilder;
  friend class ZoneSetWriter;

  std::vector<Slot> slots_{};  // a power of two of them, at most 3/4 used; linear probing
  std::vector<uint8_t> nodes_{};
  uint64_t seed_ = 0;  // secret, so that nobody can write names that share a slot
  size_t max_labels_ = 0;
  size_t zone_count_ = 0;
  size_t name_count_ = 0;
  size_t record_count_ = 0;
  ImpliedSoa implied_soa_{};
};

}  // namespace headgate::dns
