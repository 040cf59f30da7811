// naive_answer.h -- answer() again, slow and plain: ordered maps, copies, linear walks. Shares no code with it but the
// Message form.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "dataplane/dns/message.h"

namespace headgate::dns {

class NaiveZones {
 public:
  using Labels = std::vector<std::string>;  // folded, the leftmost first
  struct RecordSet {
    uint32_t ttl_s = 0;
    std::vector<Rdata> data{};
  };

  void add(NameView owner, uint16_t type, uint32_t ttl_s, const Rdata& rdata) {
    RecordSet& set = names_[labels_of(owner)][type];
    set.ttl_s = ttl_s;
    for (const Rdata& known : set.data) {
      if (known == rdata) return;
    }
    set.data.push_back(rdata);
  }
  void open(NameView apex) { apexes_.insert(labels_of(apex)); }

  [[nodiscard]] Message respond(const Message& query) const {
    Message response;
    response.id = query.id;
    response.is_response = true;
    response.recursion_desired = query.recursion_desired;
    response.questions = query.questions;
    Name owner = query.questions[0].name;
    std::set<Labels> seen;
    for (int hop = 0;; ++hop) {
      if (hop == 16 || !step(query.questions[0].type, hop, owner, seen, response)) return response;
    }
  }

 private:
  static Labels labels_of(NameView name) {
    Labels labels;
    for (; !name.is_root(); name = name.parent()) {
      std::string label;
      for (const uint8_t byte : name.first_label()) label += static_cast<char>(fold_byte(byte));
      labels.push_back(label);
    }
    return labels;
  }
  static Labels tail(const Labels& labels, size_t count) {
    return {labels.end() - static_cast<long>(count), labels.end()};
  }
  static bool is_within(const Labels& name, const Labels& above) {
    return name.size() >= above.size() && tail(name, above.size()) == above;
  }
  [[nodiscard]] bool exists(const Labels& name) const {
    for (const auto& [owner, sets] : names_) {
      if (is_within(owner, name)) return true;
    }
    return apexes_.contains(name);
  }
  static void append(std::vector<Record>& into, NameView owner, uint16_t type, const RecordSet& set, uint32_t ttl_s) {
    for (const Rdata& rdata : set.data) into.push_back({Name(owner), type, kClassIn, ttl_s, rdata});
  }

  // True: `owner` is now the target of a CNAME.
  bool step(uint16_t type, int hop, Name& owner, std::set<Labels>& seen, Message& response) const {
    const Labels name = labels_of(owner.view());
    size_t apex_size = name.size() + 1;
    for (size_t count = 0; count <= name.size(); ++count) {
      if (apexes_.contains(tail(name, count))) apex_size = count;
    }
    if (apex_size > name.size()) {
      if (hop == 0) response.rcode = kRcodeRefused;
      return false;
    }
    // The topmost cut below the apex.
    for (size_t count = apex_size + 1; count <= name.size(); ++count) {
      const auto at = names_.find(tail(name, count));
      if (at == names_.end() || !at->second.contains(kTypeNs)) continue;
      if (type == kTypeDs && count == name.size()) break;
      append(response.authorities, owner.view().suffix(count), kTypeNs, at->second.at(kTypeNs),
             at->second.at(kTypeNs).ttl_s);
      for (const Rdata& server : at->second.at(kTypeNs).data) {
        add_addresses(rdata_target(kTypeNs, server), true, response);
      }
      return false;
    }
    response.authoritative = true;
    Labels source = name;
    if (!exists(name)) {
      size_t encloser = name.size();
      while (!exists(tail(name, encloser))) --encloser;
      source = tail(name, encloser);
      source.insert(source.begin(), "*");
      if (!exists(source)) {
        response.rcode = kRcodeNxDomain;
        return deny(owner, apex_size, response);
      }
    }
    const auto at = names_.find(source);
    if (at == names_.end()) return deny(owner, apex_size, response);
    const auto& sets = at->second;
    if (type == kTypeAny) {
      append(response.answers, owner.view(), sets.begin()->first, sets.begin()->second, sets.begin()->second.ttl_s);
      return false;
    }
    if (const auto set = sets.find(type); set != sets.end()) {
      append(response.answers, owner.view(), type, set->second, set->second.ttl_s);
      if (type == kTypeNs || type == kTypeMx) {
        for (const Rdata& rdata : set->second.data) add_addresses(rdata_target(type, rdata), false, response);
      }
      return false;
    }
    if (const auto set = sets.find(kTypeCname); set != sets.end()) {
      if (!seen.insert(source).second) return false;
      append(response.answers, owner.view(), kTypeCname, set->second, set->second.ttl_s);
      owner = Name(rdata_target(kTypeCname, set->second.data[0]));
      return true;
    }
    return deny(owner, apex_size, response);
  }

  bool deny(const Name& owner, size_t apex_size, Message& response) const {
    const NameView apex = owner.view().suffix(apex_size);
    const RecordSet& soa = names_.at(labels_of(apex)).at(kTypeSoa);
    ByteReader minimum(Bytes(soa.data[0]).last(4));
    append(response.authorities, apex, kTypeSoa, soa, std::min(soa.ttl_s, minimum.u32()));
    return false;
  }

  void add_addresses(NameView target, bool glue, Message& response) const {
    const Labels name = labels_of(target);
    const auto at = names_.find(name);
    if (at == names_.end()) return;
    if (!glue) {
      size_t apex_size = 0;
      for (size_t count = 0; count <= name.size(); ++count) {
        if (apexes_.contains(tail(name, count))) apex_size = count;
      }
      for (size_t count = apex_size + 1; count <= name.size(); ++count) {
        const auto cut = names_.find(tail(name, count));
        if (cut != names_.end() && cut->second.contains(kTypeNs)) return;
      }
    }
    for (const Record& record : response.additionals) {
      if (record.owner.view().equals(target)) return;
    }
    for (const uint16_t type : {kTypeA, kTypeAaaa}) {
      const auto set = at->second.find(type);
      if (set != at->second.end()) append(response.additionals, target, type, set->second, set->second.ttl_s);
    }
  }

  std::map<Labels, std::map<uint16_t, RecordSet>> names_{};
  std::set<Labels> apexes_{};
};

}  // namespace headgate::dns
