#include "dataplane/dns/cache.h"

#include <algorithm>
#include <array>
#include <optional>

#include "dataplane/dns/answer.h"

namespace headgate::dns {
namespace {

// What an entry takes beyond its vectors: list node, hash node, allocator headers.
constexpr size_t kEntryOverhead = sizeof(void*) * 24;

// Folded name, type, class, and the two bits that change what a resolver says.
class Key {
 public:
  explicit Key(const QueryView& query) {
    fold_bytes(query.name.bytes(), bytes_.data());
    ByteWriter out(std::span<uint8_t>(bytes_).subspan(query.name.size()));
    out.u16(query.type);
    out.u16(query.klass);
    out.u8(static_cast<uint8_t>((query.dnssec_ok ? 1 : 0) | ((query.flags & kFlagCheckingDisabled) != 0 ? 2 : 0)));
    size_ = query.name.size() + out.size();
  }
  [[nodiscard]] std::string_view text() const { return as_text(Bytes(bytes_).first(size_)); }

 private:
  std::array<uint8_t, kMaxNameBytes + 5> bytes_;
  size_t size_;
};

// RFC 2308 5: how long the absence of something is believed; nullopt without an SOA.
std::optional<uint32_t> negative_ttl(const Message& message) {
  for (const Record& record : message.authorities) {
    if (record.type != kTypeSoa || record.rdata.size() < 20) continue;
    ByteReader minimum(Bytes(record.rdata).last(4));
    return std::min(record.ttl_s, minimum.u32());
  }
  return std::nullopt;
}

bool has_answer(const Message& message, const Question& question) {
  std::vector<const Record*> records;
  follow_chain(message, question.name.view(), question.type, records);
  return !records.empty() || (question.type == kTypeAny && !message.answers.empty());
}

std::optional<uint32_t> lifetime(const Message& message, const AnswerCache::Options& options) {
  if (message.truncated) return std::nullopt;
  if (message.rcode == kRcodeServFail) return options.failure_ttl_s;
  if (message.rcode != kRcodeNoError && message.rcode != kRcodeNxDomain) return std::nullopt;
  uint32_t ttl = options.max_ttl_s;
  for (const Record& record : message.answers) ttl = std::min(ttl, record.ttl_s);
  if (message.rcode == kRcodeNxDomain || !has_answer(message, message.questions[0])) {
    const auto negative = negative_ttl(message);
    if (!negative.has_value()) return std::nullopt;
    return std::min({ttl, *negative, options.max_negative_ttl_s});
  }
  for (const Record& record : message.authorities) ttl = std::min(ttl, record.ttl_s);
  for (const Record& record : message.additionals) ttl = std::min(ttl, record.ttl_s);
  return ttl;
}

// Offsets of the TTLs in a message that write_message() made without OPT.
std::vector<uint16_t> find_ttls(Bytes message, size_t question_end) {
  std::vector<uint16_t> offsets;
  ByteReader reader(message);
  reader.seek(question_end);
  Name ignored;
  while (reader.ok() && reader.remaining() > 0) {
    if (!read_name(reader, ignored)) break;
    reader.take(4);
    offsets.push_back(static_cast<uint16_t>(reader.position()));
    reader.take(4);
    reader.take(reader.u16());
  }
  return offsets;
}

}  // namespace

size_t AnswerCache::cost(const Entry& entry) {
  return sizeof(Entry) + kEntryOverhead + entry.key.capacity() + entry.message.capacity() +
         entry.ttl_offsets.capacity() * sizeof(uint16_t);
}

void AnswerCache::erase(Entries::iterator entry) {
  bytes_ -= cost(*entry);
  index_.erase(std::string_view(entry->key));
  entries_.erase(entry);
}

void AnswerCache::clear() {
  index_.clear();
  entries_.clear();
  bytes_ = 0;
}

AnswerCache::Stored AnswerCache::store(const QueryView& query, Bytes response, MonotonicTime now) {
  if (query.verdict != QueryView::Verdict::kQuery) return Stored::kMalformed;
  auto message = parse_message(response);
  if (!message.has_value() || !message->is_response || message->questions.size() != 1) return Stored::kMalformed;
  const Question& question = message->questions[0];
  if (!question.name.view().equals(query.name) || question.type != query.type || question.klass != query.klass) {
    return Stored::kMalformed;
  }
  const auto ttl = lifetime(*message, options_);
  if (!ttl.has_value() || *ttl == 0) return Stored::kNotCacheable;
  message->edns.reset();  // each client gets the EDNS it asked for
  message->rcode &= 15;
  message->authoritative = false;
  Entry entry;
  entry.key = Key(query).text();
  entry.message = write_message(*message);
  if (entry.message.empty() || (entry.message[2] & (kFlagTruncated >> 8)) != 0) return Stored::kNotCacheable;
  entry.message.shrink_to_fit();
  entry.ttl_offsets = find_ttls(entry.message, query.question_end);
  entry.stored = now;
  entry.expires = now + std::chrono::seconds(*ttl);
  const size_t size = cost(entry);
  if (size > options_.max_bytes) return Stored::kNotCacheable;
  if (const auto old = index_.find(entry.key); old != index_.end()) erase(old->second);
  while (bytes_ + size > options_.max_bytes) erase(std::prev(entries_.end()));
  entries_.push_front(std::move(entry));
  bytes_ += cost(entries_.front());
  index_.emplace(entries_.front().key, entries_.begin());
  return Stored::kStored;
}

size_t AnswerCache::find(Bytes query_bytes, const QueryView& query, std::span<uint8_t> out, bool is_udp,
                         MonotonicTime now) {
  if (query.verdict != QueryView::Verdict::kQuery) return 0;
  const auto found = index_.find(Key(query).text());
  if (found == index_.end()) return 0;
  const auto entry = found->second;
  if (now >= entry->expires) {
    erase(entry);
    return 0;
  }
  entries_.splice(entries_.begin(), entries_, entry);
  const AnswerOptions options{.is_udp = is_udp, .recursion_available = true};
  // The frame of the answer comes from the query; the records are put between its question and its OPT.
  std::array<uint8_t, kHeaderBytes + kMaxNameBytes + 4 + 32> frame;
  const auto rcode = static_cast<uint8_t>(entry->message[3] & 15);
  const size_t frame_size = write_error(query_bytes, query, rcode, frame, options);
  if (frame_size == 0) return 0;
  const size_t opt_size = frame_size - query.question_end;
  const size_t limit =
      std::min(out.size(), is_udp ? std::min<size_t>(query.udp_payload, kUdpPayload) : kMaxMessageBytes);
  if (entry->message.size() + opt_size > limit) return write_truncated(query_bytes, query, out, options);
  std::copy(entry->message.begin(), entry->message.end(), out.begin());
  std::copy_n(frame.begin(), query.question_end, out.begin());
  std::copy_n(frame.begin() + static_cast<ptrdiff_t>(query.question_end), opt_size,
              out.begin() + static_cast<ptrdiff_t>(entry->message.size()));
  // Record counts are the kept ones, plus the OPT record.
  std::copy_n(entry->message.begin() + 6, 6, out.begin() + 6);
  ByteReader counts(Bytes(entry->message).subspan(10, 2));
  ByteWriter head(out);
  head.set_u16(10, static_cast<uint16_t>(counts.u16() + (opt_size != 0 ? 1 : 0)));
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(now - entry->stored).count();
  for (const uint16_t offset : entry->ttl_offsets) {
    ByteReader reader(Bytes(entry->message).subspan(offset, 4));
    const uint32_t ttl = std::min(reader.u32(), options_.max_ttl_s);
    ByteWriter writer(out.subspan(offset, 4));
    writer.u32(ttl > age ? ttl - static_cast<uint32_t>(age) : 0);
  }
  return entry->message.size() + opt_size;
}

}  // namespace headgate::dns
