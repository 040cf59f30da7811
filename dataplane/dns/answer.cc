#include "dataplane/dns/answer.h"

#include <algorithm>
#include <array>

#include "dataplane/dns/record.h"

namespace headgate::dns {
namespace {

constexpr size_t kMaxChain = 16;       // CNAMEs followed for one query
constexpr size_t kMaxAdditional = 16;  // names whose addresses are added
constexpr size_t kOptBytes = 11;

enum Section : uint8_t { kAnswerSection, kAuthoritySection, kAdditionalSection };

// One response being written.
class Responder {
 public:
  Responder(Bytes query, const QueryView& view, std::span<uint8_t> out, const AnswerOptions& options)
      : query_(query), view_(view), options_(options), buffer_(out), out_(usable(view, out, options)) {}

  size_t error(uint8_t rcode) {
    if (!begin()) return 0;
    return finish(rcode);
  }
  size_t truncated() {
    if (!begin()) return 0;
    is_truncated_ = true;
    return finish(kRcodeNoError);
  }
  size_t run(const ZoneSet& zones, AnswerReport& report);

 private:
  // What a look-up found for one name of the chain.
  enum class Step : uint8_t { kDone, kFollow, kOutside };

  static std::span<uint8_t> usable(const QueryView& view, std::span<uint8_t> out, const AnswerOptions& options) {
    size_t limit = std::min<size_t>(out.size(), 65535);
    if (options.is_udp) {
      const size_t client = view.has_edns ? view.udp_payload : kMinUdpPayload;
      limit = std::min(limit, std::min<size_t>(client, std::max<size_t>(options.udp_payload, kMinUdpPayload)));
    }
    // Room for the OPT record is kept free from the start, so that it always fits.
    return out.first(limit - std::min(limit, opt_bytes(view, options)));
  }
  static size_t opt_bytes(const QueryView& view, const AnswerOptions& options) {
    if (!view.has_edns) return 0;
    return kOptBytes + (sends_nsid(view, options) ? 4 + options.nsid.size() : 0);
  }
  static bool sends_nsid(const QueryView& view, const AnswerOptions& options) {
    return view.wants_nsid && !options.nsid.empty() && options.nsid.size() <= 128;
  }

  bool begin() {
    const size_t copied = view_.question_end != 0 ? view_.question_end : kHeaderBytes;
    out_.bytes(query_.first(copied));
    return out_.ok();
  }
  size_t finish(uint8_t rcode);

  // The compressor is only filled once something needs it.
  NameCompressor& names() {
    if (!has_names_) {
      has_names_ = true;
      names_.add(view_.name, kHeaderBytes);
      question_mark_ = names_.mark();
    }
    return names_;
  }

  Step answer_name(const ZoneSet& zones, NameView owner, NameView& target);
  Step answer_node(const ZoneSet& zones, const ZoneSet::Node& node, NameView owner, NameView& target);
  void answer_any(const ZoneSet::Node& node, NameView owner);
  void refer(const ZoneSet& zones, const ZoneSet::Node& node, NameView owner);
  void deny(const ZoneSet& zones, const ZoneSet::Node& node, NameView owner, Outcome outcome);
  void add_targets(const ZoneSet& zones, const ZoneSet::Rrset& rrset, NameView owner, NameView required_below,
                   bool glue);
  bool add_addresses(const ZoneSet& zones, NameView target, bool glue, bool required);

  bool write_rrset(Section section, NameView owner, const ZoneSet::Rrset& rrset, bool required = true,
                   uint32_t ttl_cap_s = UINT32_MAX);
  void write_records(NameView owner, const ZoneSet::Rrset& rrset, uint32_t ttl_cap_s);
  bool write_implied_soa(Section section, NameView apex, const ZoneSet::Node& node, const ZoneSet::ImpliedSoa& soa);
  // Takes back what was written since `start` when it did not fit.
  bool keep(Section section, size_t start, size_t names_mark, size_t records, bool required);
  [[nodiscard]] uint32_t cap() const { return options_.ttl_cap_s == 0 ? UINT32_MAX : options_.ttl_cap_s; }

  Bytes query_;
  const QueryView& view_;
  const AnswerOptions& options_;
  std::span<uint8_t> buffer_;
  ByteWriter out_;  // over the part of `buffer_` that records may fill
  std::array<uint16_t, 3> counts_{};
  bool is_authoritative_ = false;
  bool is_truncated_ = false;
  bool has_names_ = false;
  size_t chain_ = 0;
  size_t added_count_ = 0;
  size_t question_mark_ = 0;
  Outcome outcome_ = Outcome::kAnswer;
  bool falls_through_ = false;
  std::array<ZoneSet::Node, kMaxChain> visited_{};
  std::array<ZoneSet::Node, kMaxAdditional> added_{};
  NameCompressor names_;
};

size_t Responder::finish(uint8_t rcode) {
  uint16_t flags = kFlagResponse | (view_.flags & 0x7800) | (view_.flags & kFlagRecursionDesired) | (rcode & 15);
  if (is_authoritative_) flags |= kFlagAuthoritative;
  if (is_truncated_) flags |= kFlagTruncated;
  if (options_.recursion_available) flags |= kFlagRecursionAvailable;
  ByteWriter head(buffer_.first(kHeaderBytes));
  head.u16(view_.id);
  head.u16(flags);
  head.u16(view_.question_end != 0 ? 1 : 0);
  head.u16(counts_[kAnswerSection]);
  head.u16(counts_[kAuthoritySection]);
  head.u16(static_cast<uint16_t>(counts_[kAdditionalSection] + (view_.has_edns ? 1 : 0)));
  if (!view_.has_edns) return out_.size();
  ByteWriter opt(buffer_.subspan(out_.size()));
  opt.u8(0);
  opt.u16(kTypeOpt);
  opt.u16(std::max<uint16_t>(options_.udp_payload, kMinUdpPayload));
  opt.u8(static_cast<uint8_t>(rcode >> 4));
  opt.u8(0);  // the version we speak
  opt.u16(view_.dnssec_ok ? 0x8000 : 0);
  if (sends_nsid(view_, options_)) {
    opt.u16(static_cast<uint16_t>(4 + options_.nsid.size()));
    opt.u16(kOptionNsid);
    opt.u16(static_cast<uint16_t>(options_.nsid.size()));
    opt.bytes(options_.nsid);
  } else {
    opt.u16(0);
  }
  return out_.size() + opt.size();
}

size_t Responder::run(const ZoneSet& zones, AnswerReport& report) {
  if (!begin()) return 0;
  NameView owner = view_.name;
  NameView target;
  bool ours = true;
  for (chain_ = 0; chain_ < kMaxChain; ++chain_) {
    const Step step = answer_name(zones, owner, target);
    if (step == Step::kOutside && chain_ == 0) ours = false;
    if (step != Step::kFollow) break;
    owner = target;
  }
  report.is_truncated = is_truncated_;
  report.outcome = ours ? outcome_ : Outcome::kNotOurs;
  report.falls_through = falls_through_;
  if (!ours) return finish(kRcodeRefused);
  return finish(outcome_ == Outcome::kNxDomain ? kRcodeNxDomain : kRcodeNoError);
}

// RFC 1034 4.3.2 steps 2 to 4 for one name: the question's, or that of a CNAME we gave.
Responder::Step Responder::answer_name(const ZoneSet& zones, NameView owner, NameView& target) {
  LookupName name;
  zones.prepare(owner, name);
  size_t first = 0;
  ZoneSet::Node node = zones.find_closest(name, first);
  if (!node) return Step::kOutside;
  if (node.is_at_or_below_cut()) {
    // RFC 4035 3.1.4.1: DS records belong to the upper side of the cut.
    const bool is_ds = view_.type == kTypeDs && first == 0 && node.is_cut();
    if (!is_ds) {
      size_t cut = name.labels() - node.cut_labels();
      is_authoritative_ = is_authoritative_ || chain_ > 0;
      refer(zones, zones.find(name, cut), owner);
      return Step::kDone;
    }
  }
  is_authoritative_ = true;
  if (first > 0) {
    const ZoneSet::Node encloser = node;
    node = node.has_wildcard() ? zones.find_wildcard(name, first) : ZoneSet::Node();
    if (!node) {
      deny(zones, encloser, owner, Outcome::kNxDomain);
      return Step::kDone;
    }
  }
  return answer_node(zones, node, owner, target);
}

Responder::Step Responder::answer_node(const ZoneSet& zones, const ZoneSet::Node& node, NameView owner,
                                       NameView& target) {
  ZoneSet::Rrset rrset;
  if (view_.type == kTypeAny && node.rrset_count() > 0) {
    answer_any(node, owner);
    return Step::kDone;
  }
  if (node.find(view_.type, rrset)) {
    outcome_ = Outcome::kAnswer;
    if (!write_rrset(kAnswerSection, owner, rrset) || !options_.additional) return Step::kDone;
    add_targets(zones, rrset, owner, {}, false);
    return Step::kDone;
  }
  if (node.has_cname() && node.find(kTypeCname, rrset)) {
    outcome_ = Outcome::kAnswer;
    names();  // so that the CNAME's owner and target become targets of later pointers
    // RFC 1034 3.6.2: a chain that comes back to itself ends where it does; what was gathered is sent.
    const auto visited = std::span(visited_).first(chain_);
    if (std::find(visited.begin(), visited.end(), node) != visited.end()) return Step::kDone;
    visited_[chain_] = node;
    if (!write_rrset(kAnswerSection, owner, rrset)) return Step::kDone;
    target = rdata_target(kTypeCname, rrset.records.subspan(12));
    return Step::kFollow;
  }
  if (node.has_implied_soa() && (view_.type == kTypeSoa || view_.type == kTypeAny)) {
    outcome_ = Outcome::kAnswer;
    write_implied_soa(kAnswerSection, owner, node, zones.implied_soa());
    return Step::kDone;
  }
  deny(zones, node, owner, Outcome::kNoData);
  return Step::kDone;
}

void Responder::answer_any(const ZoneSet::Node& node, NameView owner) {
  outcome_ = Outcome::kAnswer;
  node.for_each(
      [&](const ZoneSet::Rrset& rrset) { return write_rrset(kAnswerSection, owner, rrset) && options_.any_full; });
}

void Responder::refer(const ZoneSet& zones, const ZoneSet::Node& node, NameView owner) {
  // After a CNAME the code still is that of the CNAME's answer; the referral is an offer.
  outcome_ = chain_ == 0 ? Outcome::kReferral : Outcome::kAnswer;
  ZoneSet::Rrset rrset;
  if (!node || !node.find(kTypeNs, rrset)) return;
  const NameView cut = owner.suffix(node.cut_labels());
  if (!write_rrset(kAuthoritySection, cut, rrset)) return;
  add_targets(zones, rrset, cut, cut, true);
}

// RFC 2308 3: the SOA of the zone, its TTL no more than its MINIMUM.
void Responder::deny(const ZoneSet& zones, const ZoneSet::Node& node, NameView owner, Outcome outcome) {
  outcome_ = outcome;
  // `node` may be a wildcard or the closest encloser: either way the apex is a suffix of the owner.
  const NameView apex_name = owner.suffix(node.apex_labels());
  LookupName name;
  zones.prepare(apex_name, name);
  const ZoneSet::Node apex = zones.find(name, 0);
  if (!apex) return;
  falls_through_ = outcome == Outcome::kNxDomain && chain_ == 0 && apex.falls_through();
  ZoneSet::Rrset soa;
  if (!apex.find(kTypeSoa, soa)) {
    write_implied_soa(kAuthoritySection, apex_name, apex, zones.implied_soa());
    return;
  }
  ByteReader minimum(soa.records.last(4));
  write_rrset(kAuthoritySection, apex_name, soa, true, minimum.u32());
}

// Addresses of what the records point to, as far as we have them. `glue`: at or below a cut, too. Those of servers
// below `required_below` must be there or TC is set (RFC 9471 3.1).
void Responder::add_targets(const ZoneSet& zones, const ZoneSet::Rrset& rrset, NameView owner, NameView required_below,
                            bool glue) {
  if (!has_target(rrset.type) || rrset.type == kTypePtr || rrset.type == kTypeCname) return;
  ByteReader reader(rrset.records);
  while (reader.remaining() > 0) {
    reader.take(10);
    const Bytes rdata = reader.take(reader.u16());
    NameView target = rdata_target(rrset.type, rdata);
    // RFC 9460 2.5.2: in service form "." is the owner itself.
    const bool is_binding = rrset.type == kTypeSvcb || rrset.type == kTypeHttps;
    if (target.is_root() && is_binding && (rdata[0] | rdata[1]) != 0) target = owner;
    if (target.is_root()) continue;
    if (!add_addresses(zones, target, glue, glue && target.is_within(required_below))) return;
  }
}

bool Responder::add_addresses(const ZoneSet& zones, NameView target, bool glue, bool required) {
  LookupName name;
  zones.prepare(target, name);
  const ZoneSet::Node node = zones.find(name, 0);
  if (!node || (!glue && node.is_at_or_below_cut())) return true;
  if (!glue) {  // several MX or SRV records may name one host; NS records do not
    const auto added = std::span(added_).first(added_count_);
    if (std::find(added.begin(), added.end(), node) != added.end()) return true;
    if (added_count_ == kMaxAdditional) return false;
    added_[added_count_++] = node;
  }
  for (const uint16_t type : {kTypeA, kTypeAaaa}) {
    ZoneSet::Rrset rrset;
    if (node.find(type, rrset) && !write_rrset(kAdditionalSection, target, rrset, required)) return false;
  }
  return true;
}

bool Responder::write_rrset(Section section, NameView owner, const ZoneSet::Rrset& rrset, bool required,
                            uint32_t ttl_cap_s) {
  const size_t start = out_.size();
  const size_t mark = names_.mark();
  ttl_cap_s = std::min(ttl_cap_s, cap());
  const bool is_question = owner.data() == view_.name.data() && owner.size() == view_.name.size();
  // Names in the data are written one by one: to shorten them, or for the additional section to point to.
  if (is_question && !has_target(rrset.type) && rrset.type != kTypeSoa && ttl_cap_s >= rrset.ttl_s) {
    out_.bytes(rrset.records);
  } else {
    write_records(owner, rrset, ttl_cap_s);
  }
  return keep(section, start, mark, rrset.count, required);
}

void Responder::write_records(NameView owner, const ZoneSet::Rrset& rrset, uint32_t ttl_cap_s) {
  NameCompressor& compressor = names();
  ByteReader reader(rrset.records);
  while (reader.remaining() > 0 && out_.ok()) {
    reader.take(2);
    compressor.write(out_, owner);
    out_.bytes(reader.take(4));
    out_.u32(std::min(reader.u32(), ttl_cap_s));
    const Bytes rdata = reader.take(reader.u16());
    const size_t length_at = out_.size();
    out_.u16(0);
    write_rdata(out_, rrset.type, rdata, compressor);
    if (out_.ok()) out_.set_u16(length_at, static_cast<uint16_t>(out_.size() - length_at - 2));
  }
}

bool Responder::write_implied_soa(Section section, NameView apex, const ZoneSet::Node& node,
                                  const ZoneSet::ImpliedSoa& soa) {
  static constexpr std::array<uint8_t, 11> kMailbox = {10, 'h', 'o', 's', 't', 'm', 'a', 's', 't', 'e', 'r'};
  const size_t start = out_.size();
  NameCompressor& compressor = names();
  const size_t mark = compressor.mark();
  ZoneSet::Rrset servers;
  const NameView mname = node.find(kTypeNs, servers) ? rdata_target(kTypeNs, servers.records.subspan(12)) : apex;
  compressor.write(out_, apex);
  out_.u16(kTypeSoa);
  out_.u16(kClassIn);
  out_.u32(std::min(soa.minimum_s, cap()));
  const size_t length_at = out_.size();
  out_.u16(0);
  compressor.write(out_, mname);
  // hostmaster.<apex>, or hostmaster. alone where that would be too long.
  out_.bytes(kMailbox);
  compressor.write(out_, apex.size() + kMailbox.size() > kMaxNameBytes ? NameView() : apex);
  for (const uint32_t value : {soa.serial, soa.refresh_s, soa.retry_s, soa.expire_s, soa.minimum_s}) out_.u32(value);
  if (out_.ok()) out_.set_u16(length_at, static_cast<uint16_t>(out_.size() - length_at - 2));
  return keep(section, start, mark, 1, true);
}

bool Responder::keep(Section section, size_t start, size_t names_mark, size_t records, bool required) {
  if (out_.ok()) {
    counts_[section] = static_cast<uint16_t>(counts_[section] + records);
    return true;
  }
  out_.rewind(start);
  names_.rewind(std::max(names_mark, question_mark_));
  if (required) is_truncated_ = true;
  return false;
}

// The answer by type alone, before any name is looked at (RFC 6895 3.1).
Outcome judge_type(uint16_t type) {
  if (type == kTypeAxfr || type == kTypeIxfr) return Outcome::kRefused;
  if (type == kTypeMaila || type == kTypeMailb) return Outcome::kNotImp;
  if (type == kTypeAny || !is_meta_type(type) || type == 0) return Outcome::kAnswer;
  // OPT, TSIG, TKEY and NXNAME (RFC 9824 3.1) cannot be asked for; the rest of the range is not assigned.
  const bool is_signal = type == kTypeOpt || type == kTypeTsig || type == kTypeTkey || type == kTypeNxname;
  return is_signal ? Outcome::kFormErr : Outcome::kNotImp;
}

uint8_t rcode_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kFormErr: return kRcodeFormErr;
    case Outcome::kNotImp: return kRcodeNotImp;
    case Outcome::kBadVers: return kRcodeBadVers;
    case Outcome::kNotOurs:
    case Outcome::kRefused: return kRcodeRefused;
    case Outcome::kNxDomain: return kRcodeNxDomain;
    case Outcome::kDrop:
    case Outcome::kAnswer:
    case Outcome::kNoData:
    case Outcome::kReferral: break;
  }
  return kRcodeNoError;
}

// Everything that is decided without a zone; kAnswer: go on.
Outcome judge(const QueryView& view) {
  switch (view.verdict) {
    case QueryView::Verdict::kDrop: return Outcome::kDrop;
    case QueryView::Verdict::kMalformed: return Outcome::kFormErr;
    case QueryView::Verdict::kNotQuery: return Outcome::kNotImp;
    case QueryView::Verdict::kQuery: break;
  }
  if (view.has_edns && view.edns_version > 0) return Outcome::kBadVers;
  // CHAOS hides version.bind; ANY and NONE are for updates only (RFC 2136 2.4).
  if (view.klass != kClassIn) return Outcome::kRefused;
  return judge_type(view.type);
}

}  // namespace

size_t answer(const ZoneSet& zones, Bytes query, std::span<uint8_t> out, const AnswerOptions& options,
              AnswerReport* report) {
  return answer(zones, query, parse_query(query), out, options, report);
}

size_t answer(const ZoneSet& zones, Bytes query, const QueryView& view, std::span<uint8_t> out,
              const AnswerOptions& options, AnswerReport* report) {
  AnswerReport ignored;
  AnswerReport& into = report != nullptr ? *report : ignored;
  into = AnswerReport{.outcome = judge(view)};
  if (into.outcome == Outcome::kDrop) return 0;
  Responder responder(query, view, out, options);
  const size_t size =
      into.outcome == Outcome::kAnswer ? responder.run(zones, into) : responder.error(rcode_of(into.outcome));
  if (size == 0) into.outcome = Outcome::kDrop;
  return size;
}

size_t write_error(Bytes query, const QueryView& view, uint8_t rcode, std::span<uint8_t> out,
                   const AnswerOptions& options) {
  return view.verdict == QueryView::Verdict::kDrop ? 0 : Responder(query, view, out, options).error(rcode);
}

size_t write_truncated(Bytes query, const QueryView& view, std::span<uint8_t> out, const AnswerOptions& options) {
  return view.verdict == QueryView::Verdict::kDrop ? 0 : Responder(query, view, out, options).truncated();
}

}  // namespace headgate::dns
