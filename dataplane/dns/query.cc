#include "dataplane/dns/query.h"

#include "dataplane/dns/record.h"

namespace headgate::dns {
namespace {


bool read_options(Bytes options, QueryView& query) {
  ByteReader reader(options);
  while (reader.remaining() > 0) {
    const uint16_t code = reader.u16();
    reader.take(reader.u16());
    if (!reader.ok()) return false;
    if (code == kOptionNsid) query.wants_nsid = true;
  }
  return true;
}

// Passes over one record; an OPT record is read. `may_be_opt`: only in the additional section (RFC 6891 6.1.1).
bool read_record(ByteReader& reader, bool may_be_opt, QueryView& query) {
  const size_t owner_at = reader.position();
  Name owner;
  if (!read_name(reader, owner)) return false;
  const uint16_t type = reader.u16();
  const uint16_t klass = reader.u16();
  const uint32_t ttl = reader.u32();
  const Bytes rdata = reader.take(reader.u16());
  if (!reader.ok()) return false;
  if (type != kTypeOpt) return true;
  if (!may_be_opt || query.has_edns || reader.all()[owner_at] != 0) return false;
  query.has_edns = true;
  query.udp_payload = klass < kMinUdpPayload ? static_cast<uint16_t>(kMinUdpPayload) : klass;
  query.edns_version = static_cast<uint8_t>(ttl >> 16);
  query.dnssec_ok = (ttl & 0x8000) != 0;
  return read_options(rdata, query);
}

bool read_question(ByteReader& reader, QueryView& query) {
  const Bytes rest = reader.all().subspan(reader.position());
  const size_t size = check_name(rest);
  if (size == 0) return false;
  query.name = NameView(reader.take(size));
  query.type = reader.u16();
  query.klass = reader.u16();
  if (!reader.ok()) return false;
  query.question_end = reader.position();
  return true;
}

}  // namespace

QueryView parse_query(Bytes bytes) {
  QueryView query;
  ByteReader reader(bytes);
  query.id = reader.u16();
  query.flags = reader.u16();
  const uint16_t questions = reader.u16();
  const uint16_t answers = reader.u16();
  const uint16_t authorities = reader.u16();
  const uint16_t additionals = reader.u16();
  if (!reader.ok() || (query.flags & kFlagResponse) != 0) return query;
  if (query.opcode() != 0) {
    query.verdict = QueryView::Verdict::kNotQuery;
    // Sent back when it looks like a question (as NOTIFY's and UPDATE's first section does).
    if (questions == 1) read_question(reader, query);
    return query;
  }
  query.verdict = QueryView::Verdict::kMalformed;
  if (questions != 1 || !read_question(reader, query)) return query;
  const size_t records = size_t{answers} + authorities + additionals;
  for (size_t i = 0; i < records; ++i) {
    if (!read_record(reader, i >= size_t{answers} + authorities, query)) {
      query.has_edns = false;  // nothing of a broken message is relied on
      return query;
    }
  }
  if (reader.remaining() > 0) {
    query.has_edns = false;
    return query;
  }
  query.verdict = QueryView::Verdict::kQuery;
  return query;
}

}  // namespace headgate::dns
