#include "dataplane/dns/message.h"

#include <algorithm>
#include <span>

#include "dataplane/dns/errors.h"

namespace headgate::dns {
namespace {


Result<void> read_opt(const Record& record, Message& message) {
  if (message.edns.has_value()) return malformed("two OPT records");
  if (!record.owner.view().is_root()) return malformed("OPT record with an owner");
  Edns edns;
  edns.udp_payload = std::max<uint16_t>(record.klass, kMinUdpPayload);
  edns.version = static_cast<uint8_t>(record.ttl_s >> 16);
  edns.dnssec_ok = (record.ttl_s & 0x8000) != 0;
  message.rcode = static_cast<uint16_t>(message.rcode | (record.ttl_s >> 24) << 4);
  ByteReader reader(record.rdata);
  while (reader.remaining() > 0) {
    EdnsOption option;
    option.code = reader.u16();
    const Bytes value = reader.take(reader.u16());
    if (!reader.ok()) return malformed("bad EDNS option");
    option.value.assign(value.begin(), value.end());
    edns.options.push_back(std::move(option));
  }
  message.edns = std::move(edns);
  return {};
}

Result<Record> read_record(ByteReader& reader) {
  Record record;
  if (!read_name(reader, record.owner)) return malformed("bad owner name");
  record.type = reader.u16();
  record.klass = reader.u16();
  record.ttl_s = reader.u32();
  const uint16_t size = reader.u16();
  if (!reader.ok()) return malformed("truncated record");
  // Updates and meta classes carry empty data; OPT uses the class as a size.
  const bool is_typed = record.klass == kClassIn && record.type != kTypeOpt;
  auto rdata = read_rdata(is_typed ? record.type : 0, reader, size);
  if (!rdata.has_value()) return rdata.error();
  record.rdata = std::move(*rdata);
  // RFC 2181 8: a TTL with its top bit set counts as 0.
  if (record.type != kTypeOpt && record.ttl_s > kMaxTtl) record.ttl_s = 0;
  return record;
}

Result<void> read_section(ByteReader& reader, size_t count, bool may_have_opt, Message& message,
                          std::vector<Record>& into) {
  for (; count > 0; --count) {
    auto record = read_record(reader);
    if (!record.has_value()) return record.error();
    if (record->type != kTypeOpt) {
      into.push_back(std::move(*record));
      continue;
    }
    if (!may_have_opt) return malformed("OPT record outside the additional section");
    HG_TRY(read_opt(*record, message));
  }
  return {};
}

void write_opt(ByteWriter& out, const Message& message) {
  const Edns& edns = *message.edns;
  out.u8(0);
  out.u16(kTypeOpt);
  out.u16(edns.udp_payload);
  out.u8(static_cast<uint8_t>(message.rcode >> 4));
  out.u8(edns.version);
  out.u16(edns.dnssec_ok ? 0x8000 : 0);
  const size_t length_at = out.size();
  out.u16(0);
  for (const EdnsOption& option : edns.options) {
    out.u16(option.code);
    out.u16(static_cast<uint16_t>(option.value.size()));
    out.bytes(option.value);
  }
  if (out.ok()) out.set_u16(length_at, static_cast<uint16_t>(out.size() - length_at - 2));
}

void write_record(ByteWriter& out, const Record& record, NameCompressor& names) {
  names.write(out, record.owner.view());
  out.u16(record.type);
  out.u16(record.klass);
  out.u32(record.ttl_s);
  const size_t length_at = out.size();
  out.u16(0);
  write_rdata(out, record.klass == kClassIn ? record.type : 0, record.rdata, names);
  if (out.ok()) out.set_u16(length_at, static_cast<uint16_t>(out.size() - length_at - 2));
}

// Writes whole RRsets until one does not fit; false then. `count` grows by the records written.
bool write_section(ByteWriter& out, const std::vector<Record>& records, NameCompressor& names, uint16_t& count) {
  for (size_t at = 0; at < records.size();) {
    const size_t start = out.size();
    const size_t mark = names.mark();
    size_t end = at;
    while (end < records.size() && records[end].type == records[at].type && records[end].owner == records[at].owner) {
      write_record(out, records[end++], names);
    }
    if (!out.ok()) {
      out.rewind(start);
      names.rewind(mark);
      return false;
    }
    count = static_cast<uint16_t>(count + (end - at));
    at = end;
  }
  return true;
}

uint16_t flags_of(const Message& message, bool truncated) {
  unsigned flags = (message.opcode & 15U) << 11 | (message.rcode & 15U);
  if (message.is_response) flags |= kFlagResponse;
  if (message.authoritative) flags |= kFlagAuthoritative;
  if (truncated) flags |= kFlagTruncated;
  if (message.recursion_desired) flags |= kFlagRecursionDesired;
  if (message.recursion_available) flags |= kFlagRecursionAvailable;
  if (message.authentic_data) flags |= kFlagAuthentic;
  if (message.checking_disabled) flags |= kFlagCheckingDisabled;
  return static_cast<uint16_t>(flags);
}

}  // namespace

Result<Message> parse_message(Bytes bytes) {
  ByteReader reader(bytes);
  Message message;
  message.id = reader.u16();
  const uint16_t flags = reader.u16();
  message.is_response = (flags & kFlagResponse) != 0;
  message.opcode = flags >> 11 & 15;
  message.authoritative = (flags & kFlagAuthoritative) != 0;
  message.truncated = (flags & kFlagTruncated) != 0;
  message.recursion_desired = (flags & kFlagRecursionDesired) != 0;
  message.recursion_available = (flags & kFlagRecursionAvailable) != 0;
  message.authentic_data = (flags & kFlagAuthentic) != 0;
  message.checking_disabled = (flags & kFlagCheckingDisabled) != 0;
  message.rcode = flags & 15;
  const uint16_t questions = reader.u16();
  const uint16_t answers = reader.u16();
  const uint16_t authorities = reader.u16();
  const uint16_t additionals = reader.u16();
  if (!reader.ok()) return malformed("shorter than a header");
  if (size_t{questions} + answers + authorities + additionals > kMaxMessageRecords) {
    return Error{Errc::kTooLarge, Origin::kLocal, Retry::kNo, 0, "too many records in a message"};
  }
  for (size_t i = questions; i > 0; --i) {
    Question question;
    if (!read_name(reader, question.name)) return malformed("bad name in the question");
    question.type = reader.u16();
    question.klass = reader.u16();
    if (!reader.ok()) return malformed("truncated question");
    message.questions.push_back(question);
  }
  HG_TRY(read_section(reader, answers, false, message, message.answers));
  HG_TRY(read_section(reader, authorities, false, message, message.authorities));
  HG_TRY(read_section(reader, additionals, true, message, message.additionals));
  if (reader.remaining() > 0) return malformed("bytes after the last record");
  return message;
}

std::vector<uint8_t> write_message(const Message& message, size_t limit) {
  std::vector<uint8_t> bytes(std::min(limit, kMaxMessageBytes));
  size_t opt_size = 0;
  if (message.edns.has_value()) {
    opt_size = 11;
    for (const EdnsOption& option : message.edns->options) opt_size += 4 + option.value.size();
  }
  if (bytes.size() < kHeaderBytes + opt_size) return {};
  ByteWriter out(std::span<uint8_t>(bytes).first(bytes.size() - opt_size));
  NameCompressor names;
  for (int i = 0; i < 6; ++i) out.u16(0);
  for (const Question& question : message.questions) {
    names.write(out, question.name.view());
    out.u16(question.type);
    out.u16(question.klass);
  }
  if (!out.ok()) return {};
  uint16_t counts[3] = {0, 0, 0};
  const bool fits = write_section(out, message.answers, names, counts[0]) &&
                    write_section(out, message.authorities, names, counts[1]);
  if (fits) write_section(out, message.additionals, names, counts[2]);
  ByteWriter opt(std::span<uint8_t>(bytes).subspan(out.size()));
  if (message.edns.has_value()) write_opt(opt, message);
  out.set_u16(0, message.id);
  out.set_u16(2, flags_of(message, message.truncated || !fits));
  out.set_u16(4, static_cast<uint16_t>(message.questions.size()));
  out.set_u16(6, counts[0]);
  out.set_u16(8, counts[1]);
  out.set_u16(10, static_cast<uint16_t>(counts[2] + (message.edns.has_value() ? 1 : 0)));
  bytes.resize(out.size() + opt.size());
  return bytes;
}

std::vector<uint8_t> build_query(NameView name, uint16_t type, uint16_t id, bool recursion_desired) {
  Message message;
  message.id = id;
  message.recursion_desired = recursion_desired;
  message.questions.push_back({Name(name), type, kClassIn});
  message.edns.emplace();
  return write_message(message);
}

bool is_response_to(const Message& response, uint16_t id, const Question& question) {
  if (!response.is_response || response.id != id || response.opcode != 0 || response.questions.size() != 1) {
    return false;
  }
  const Question& echoed = response.questions[0];
  const Bytes a = echoed.name.view().bytes();
  const Bytes b = question.name.view().bytes();
  return echoed.type == question.type && echoed.klass == question.klass &&
         std::equal(a.begin(), a.end(), b.begin(), b.end());
}

Name follow_chain(const Message& response, NameView name, uint16_t type, std::vector<const Record*>& records) {
  Name current(name);
  records.clear();
  // No chain is longer than the answer has records, so a loop ends.
  for (size_t step = 0; step <= response.answers.size(); ++step) {
    const Record* alias = nullptr;
    for (const Record& record : response.answers) {
      if (record.klass != kClassIn || !(record.owner == current)) continue;
      if (record.type == type) records.push_back(&record);
      if (record.type == kTypeCname) alias = &record;
    }
    if (!records.empty() || alias == nullptr) break;
    current = Name(rdata_target(kTypeCname, alias->rdata));
  }
  return current;
}

}  // namespace headgate::dns
