#include "dataplane/dns/zone_builder.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "dataplane/base/random.h"
#include "dataplane/dns/errors.h"

namespace headgate::dns {
namespace {


// Why records of `type` cannot be added, or nullptr.
const char* refusal(NameView owner, uint16_t type) {
  if (is_meta_type(type)) return "this type cannot stand in a zone";
  switch (type) {
    case kTypeDname: return "DNAME is not supported";
    case kTypeRrsig:
    case kTypeNsec:
    case kTypeNsec3:
    case kTypeNsec3param: return "signed zones are not supported";
    case kTypeSoa:
    case kTypeNs:
      // RFC 4592 4.2: what an NS record of a wildcard means is undefined.
      return owner.is_wildcard() ? "a wildcard cannot own SOA or NS records" : nullptr;
    default: return nullptr;
  }
}

// By labels from the root, without the root itself; folded.
size_t write_key(NameView name, uint8_t* into) {
  const size_t size = name.size() - 1;
  size_t end = size;
  for (NameView rest = name; !rest.is_root(); rest = rest.parent()) {
    const size_t whole = rest.data()[0] + size_t{1};
    end -= whole;
    fold_bytes(Bytes(rest.data(), whole), into + end);
  }
  return size;
}

Name name_of_key(Bytes key) {
  std::array<uint8_t, kMaxNameBytes> bytes;
  size_t end = key.size();
  bytes[end] = 0;
  for (size_t at = 0; at < key.size();) {
    const size_t whole = key[at] + size_t{1};
    end -= whole;
    std::memcpy(bytes.data() + end, key.data() + at, whole);
    at += whole;
  }
  return Name(NameView(Bytes(bytes.data(), key.size() + 1)));
}

int compare(Bytes a, Bytes b) {
  const int order = std::memcmp(a.data(), b.data(), std::min(a.size(), b.size()));
  if (order != 0) return order;
  return a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
}

}  // namespace

std::string ZoneProblem::to_string() const { return name + (type != 0 ? " " + type_name(type) : "") + ": " + message; }

Result<void> ZoneSetBuilder::append(NameView owner, uint16_t type, uint32_t ttl_s, Bytes rdata, uint32_t tag,
                                    uint8_t flags) {
  if (records_.size() >= options_.max_records || bytes_.size() + owner.size() + rdata.size() > UINT32_MAX / 2) {
    return Error{Errc::kTooLarge, Origin::kLocal, Retry::kNo, 0, "too many records"};
  }
  Record record{};
  record.key_at = static_cast<uint32_t>(bytes_.size());
  bytes_.resize(bytes_.size() + owner.size() - 1);
  record.key_size = static_cast<uint8_t>(write_key(owner, bytes_.data() + record.key_at));
  record.rdata_at = static_cast<uint32_t>(bytes_.size());
  bytes_.insert(bytes_.end(), rdata.begin(), rdata.end());
  record.rdata_size = static_cast<uint16_t>(rdata.size());
  record.ttl_s = ttl_s;
  record.tag = tag;
  record.type = type;
  record.flags = flags;
  records_.push_back(record);
  return {};
}

Result<void> ZoneSetBuilder::open_zone(NameView apex, bool falls_through, uint32_t tag) {
  if (apex.is_wildcard()) return invalid("a wildcard cannot be the top of a zone");
  return append(apex, 0, 0, {}, tag, falls_through ? kOpensZone | kFallsThrough : kOpensZone);
}

Result<void> ZoneSetBuilder::add(NameView owner, uint16_t type, uint32_t ttl_s, Bytes rdata, uint32_t tag,
                                 std::optional<bool> auto_ptr) {
  if (const char* reason = refusal(owner, type)) return invalid(reason);
  if (ttl_s > kMaxTtl) return invalid("TTL over 2147483647 seconds");
  const auto checked = check_rdata(type, rdata);
  if (!checked.has_value()) return invalid(checked.error().detail);
  HG_TRY(append(owner, type, ttl_s, rdata, tag, 0));
  if (owner.is_wildcard()) return append(owner.parent(), 0, 0, {}, tag, kWildcardParent);
  if (auto_ptr.value_or(options_.auto_ptr) && (type == kTypeA || type == kTypeAaaa)) {
    return append(Name::reverse(rdata).view(), kTypePtr, ttl_s, owner.bytes(), tag, kAutomatic);
  }
  return {};
}

void ZoneSetBuilder::sort() {
  // Same name and type together, given records before automatic ones, equal data next to each other.
  std::sort(records_.begin(), records_.end(), [this](const Record& a, const Record& b) {
    const int names = compare(key(a), key(b));
    if (names != 0) return names < 0;
    if (a.type != b.type) return a.type < b.type;
    if (a.flags != b.flags) return a.flags < b.flags;
    const int data = compare(rdata(a), rdata(b));
    return data != 0 ? data < 0 : a.tag < b.tag;
  });
}

// Walks the sorted records once and writes nodes; the names above the current one are on a stack.
class ZoneSetWriter {
 public:
  ZoneSetWriter(const ZoneSetBuilder& builder, ZoneSet& zones, std::vector<ZoneProblem>& problems)
      : builder_(builder), zones_(zones), problems_(problems) {}

  bool run() {
    const auto& records = builder_.records_;
    zones_.nodes_.reserve(builder_.bytes_.size() + records.size() * 36);
    for (size_t at = 0; at < records.size();) {
      size_t end = at + 1;
      const Bytes key = builder_.key(records[at]);
      while (end < records.size() && compare(builder_.key(records[end]), key) == 0) ++end;
      write_name(key, std::span(records).subspan(at, end - at));
      at = end;
    }
    if (zones_.nodes_.size() / 4 >= UINT32_MAX) problem({}, 0, 0, "more than 16 GiB of names");
    if (!failed_) fill_slots();
    return !failed_;
  }

 private:
  using Record = ZoneSetBuilder::Record;
  struct Open {  // a name at or above the current one
    size_t key_size;
    size_t node_at;
    uint8_t labels;
    uint8_t apex_labels;
    uint8_t cut_labels;
    bool below_cut;  // at a cut or below
  };

  void problem(Bytes key, uint16_t type, uint32_t tag, const char* message, bool is_warning = false) {
    failed_ = failed_ || !is_warning;
    // An automatic list of names may be wrong a million times.
    if (problems_.size() >= kMaxProblems) return;
    problems_.push_back({name_of_key(key).to_string(), type, tag, is_warning, message});
  }

  void write_name(Bytes key, std::span<const Record> records) {
    while (!open_.empty() && !is_above(open_.back(), key)) open_.pop_back();
    previous_key_ = key;
    uint8_t flags = 0;
    for (const Record& record : records) flags |= record.flags;
    const bool has_soa = find_type(records, kTypeSoa);
    const bool opens = has_soa || (flags & ZoneSetBuilder::kOpensZone) != 0;
    const bool in_zone = !open_.empty();
    if (!in_zone || opens) {
      write_apex(key, records, has_soa, opens, flags);
      return;
    }
    if (!has_data(records)) {
      // Only there as the parent of a wildcard: an empty non-terminal, written when the wildcard is.
      return;
    }
    write_missing_parents(key);
    const Open parent = open_.back();
    const bool is_cut = !parent.below_cut && find_type(records, kTypeNs);
    Open open{key.size(), 0, labels_of(key), parent.apex_labels, parent.cut_labels, parent.below_cut || is_cut};
    if (is_cut) open.cut_labels = open.labels;
    uint8_t node_flags = is_cut ? ZoneSet::kCut : parent.below_cut ? ZoneSet::kOccluded : 0;
    warn_occluded(key, records, is_cut, parent.below_cut);
    mark_wildcard(key);
    write_node(key, records, open, node_flags);
  }

  void write_apex(Bytes key, std::span<const Record> records, bool has_soa, bool opened, uint8_t flags) {
    // A zone inside another: the names between them exist, in the outer zone.
    if (!open_.empty()) write_missing_parents(key);
    const uint8_t labels = labels_of(key);
    uint8_t node_flags = ZoneSet::kApex;
    if (!has_soa) node_flags |= ZoneSet::kImpliedSoa;
    const bool falls_through =
        opened ? (flags & ZoneSetBuilder::kFallsThrough) != 0 : builder_.options_.implied_fall_through;
    if (falls_through) node_flags |= ZoneSet::kFallThrough;
    ++zones_.zone_count_;
    write_node(key, records, {key.size(), 0, labels, labels, 0, false}, node_flags);
  }

  // RFC 4592 2.2.2: names without records between `key` and the nearest written one above it.
  void write_missing_parents(Bytes key) {
    for (;;) {
      const Open parent = open_.back();
      const size_t next = parent.key_size + key[parent.key_size] + 1;
      if (next >= key.size()) return;
      Open open = parent;
      open.key_size = next;
      open.labels = static_cast<uint8_t>(parent.labels + 1);
      mark_wildcard(key.first(next));
      write_node(key.first(next), {}, open, parent.below_cut ? ZoneSet::kOccluded : 0);
    }
  }

  // The parent of a "*" name must say so, for the search to look for it.
  void mark_wildcard(Bytes key) {
    const Open& parent = open_.back();
    if (key.size() == parent.key_size + 2 && key[parent.key_size] == 1 && key[parent.key_size + 1] == '*') {
      zones_.nodes_[parent.node_at + offsetof(ZoneSet::NodeHead, flags)] |= ZoneSet::kHasWildcard;
    }
  }

  void warn_occluded(Bytes key, std::span<const Record> records, bool is_cut, bool below_cut) {
    if (!is_cut && !below_cut) return;
    for (const Record& record : records) {
      const bool served = record.type == 0 || record.type == kTypeA || record.type == kTypeAaaa ||
                          (is_cut && (record.type == kTypeNs || record.type == kTypeDs)) ||
                          (record.flags & ZoneSetBuilder::kAutomatic) != 0;
      if (served) continue;
      problem(key, record.type, record.tag, "never served: NS records at or above this name delegate it", true);
      return;
    }
  }

  void write_node(Bytes key, std::span<const Record> records, Open open, uint8_t flags) {
    auto& nodes = zones_.nodes_;
    open.node_at = nodes.size();
    if (find_given(records, kTypeCname)) {
      flags |= ZoneSet::kHasCname;
      check_cname(key, records);
    }
    const Name name = name_of_key(key);
    ZoneSet::NodeHead head{static_cast<uint8_t>(name.size()), flags, open.apex_labels, open.cut_labels, 0};
    append(&head, sizeof(head));
    append(name.view().data(), name.size());
    nodes.resize(ZoneSet::padded(nodes.size()));
    uint32_t count = 0;
    for (size_t at = 0; at < records.size();) {
      size_t end = at + 1;
      while (end < records.size() && records[end].type == records[at].type) ++end;
      count += write_rrset(key, records.subspan(at, end - at), flags) ? 1 : 0;
      at = end;
    }
    std::memcpy(nodes.data() + open.node_at + offsetof(ZoneSet::NodeHead, rrset_count), &count, sizeof(count));
    ++zones_.name_count_;
    zones_.max_labels_ = std::max<size_t>(zones_.max_labels_, open.labels);
    open_.push_back(open);
  }

  // RFC 1034 3.6.2, RFC 2181 10.1: a CNAME stands alone.
  void check_cname(Bytes key, std::span<const Record> records) {
    for (const Record& record : records) {
      if (record.type == 0 || record.type == kTypeCname || (record.flags & ZoneSetBuilder::kAutomatic) != 0) continue;
      problem(key, kTypeCname, record.tag, "other records stand beside it");
      return;
    }
  }

  // False: nothing of it is to be served.
  bool write_rrset(Bytes key, std::span<const Record> records, uint8_t node_flags) {
    const uint16_t type = records[0].type;
    if (type == 0) return false;
    const bool given = (records[0].flags & ZoneSetBuilder::kAutomatic) == 0;
    if (!given && (node_flags & ZoneSet::kHasCname) != 0) return false;
    uint32_t ttl_s = records[0].ttl_s;
    bool ttls_differ = false;
    size_t count = 0;
    size_t size = 0;
    const Record* previous = nullptr;
    for (const Record& record : records) {
      if (!is_wanted(record, given, previous)) continue;
      previous = &record;
      ttls_differ = ttls_differ || record.ttl_s != ttl_s;
      ttl_s = std::min(ttl_s, record.ttl_s);
      size += 12 + record.rdata_size;
      ++count;
    }
    if (count > 1 && (type == kTypeSoa || type == kTypeCname)) {
      problem(key, type, records[1].tag, "more than one");
      return false;
    }
    // It must fit one message with a question, a full owner and an OPT record.
    if (size > 65535 - 12 - 2 * kMaxNameBytes - 64) {
      problem(key, type, records[0].tag, "over 64 KiB: no message can carry it");
      return false;
    }
    // RFC 2181 5.2: one TTL for the whole set; the lowest does no harm.
    if (given && ttls_differ) problem(key, type, records[0].tag, "TTLs differ; the lowest is used", true);
    ZoneSet::RrsetHead head{type, static_cast<uint16_t>(count), ttl_s, static_cast<uint32_t>(size)};
    append(&head, sizeof(head));
    previous = nullptr;
    for (const Record& record : records) {
      if (!is_wanted(record, given, previous)) continue;
      previous = &record;
      write_record(record, ttl_s);
    }
    zones_.nodes_.resize(ZoneSet::padded(zones_.nodes_.size()));
    zones_.record_count_ += count;
    return true;
  }

  // Automatic records give way to given ones; equal data counts once (RFC 2181 5).
  bool is_wanted(const Record& record, bool given, const Record* previous) const {
    if (given && (record.flags & ZoneSetBuilder::kAutomatic) != 0) return false;
    return previous == nullptr || compare(builder_.rdata(*previous), builder_.rdata(record)) != 0;
  }

  void write_record(const Record& record, uint32_t ttl_s) {
    std::array<uint8_t, 12> fixed;
    ByteWriter out(fixed);
    out.u16(0xc00c);
    out.u16(record.type);
    out.u16(kClassIn);
    out.u32(ttl_s);
    out.u16(record.rdata_size);
    append(fixed.data(), fixed.size());
    append(builder_.bytes_.data() + record.rdata_at, record.rdata_size);
  }

  void append(const void* from, size_t size) {
    const auto* bytes = static_cast<const uint8_t*>(from);
    zones_.nodes_.insert(zones_.nodes_.end(), bytes, bytes + size);
  }

  void fill_slots() {
    size_t wanted = 4;
    while (wanted * 3 < zones_.name_count_ * 4) wanted *= 2;
    zones_.slots_.assign(wanted, ZoneSet::Slot{0, 0});
    std::array<uint8_t, sizeof(zones_.seed_)> seed;
    fill_secure_random(seed);
    std::memcpy(&zones_.seed_, seed.data(), seed.size());
    const size_t mask = wanted - 1;
    LookupName name;
    for (size_t at = 0; at < zones_.nodes_.size();) {
      const ZoneSet::Node node(zones_.nodes_.data() + at);
      name.set(node.name(), zones_.seed_);
      size_t slot = name.hash(0) & mask;
      while (zones_.slots_[slot].where != 0) slot = (slot + 1) & mask;
      zones_.slots_[slot] = {static_cast<uint32_t>(name.hash(0) >> 32), static_cast<uint32_t>(at / 4 + 1)};
      const uint8_t* end = node.first_rrset();
      for (size_t i = node.rrset_count(); i > 0; --i) {
        ZoneSet::Rrset rrset;
        end = ZoneSet::Node::read_rrset(end, rrset);
      }
      at = static_cast<size_t>(end - zones_.nodes_.data());
    }
  }

  bool is_above(const Open& open, Bytes key) const {
    return open.key_size <= key.size() && compare(previous_key_.first(open.key_size), key.first(open.key_size)) == 0;
  }
  static uint8_t labels_of(Bytes key) {
    uint8_t count = 0;
    for (size_t at = 0; at < key.size(); at += key[at] + size_t{1}) ++count;
    return count;
  }
  static bool has_data(std::span<const Record> records) { return records.back().type != 0; }
  static bool find_type(std::span<const Record> records, uint16_t type) {
    return std::any_of(records.begin(), records.end(), [type](const Record& record) { return record.type == type; });
  }
  static bool find_given(std::span<const Record> records, uint16_t type) {
    return std::any_of(records.begin(), records.end(), [type](const Record& record) {
      return record.type == type && (record.flags & ZoneSetBuilder::kAutomatic) == 0;
    });
  }

  static constexpr size_t kMaxProblems = 1000;

  const ZoneSetBuilder& builder_;
  ZoneSet& zones_;
  std::vector<ZoneProblem>& problems_;
  std::vector<Open> open_{};
  Bytes previous_key_{};
  bool failed_ = false;
};

std::optional<ZoneSet> ZoneSetBuilder::build(std::vector<ZoneProblem>& problems) {
  sort();
  ZoneSet zones;
  zones.implied_soa_ = options_.implied_soa;
  const bool ok = ZoneSetWriter(*this, zones, problems).run();
  records_ = {};
  bytes_ = {};
  if (!ok) return std::nullopt;
  return zones;
}

}  // namespace headgate::dns
