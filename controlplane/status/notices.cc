#include "controlplane/status/notices.h"

#include "controlplane/kube/kinds.h"

namespace headgate::status {
namespace {

kube::ObjectReference reference_of(const control::v1::ObjectRef& object) {
  std::string_view version = "v1";
  for (const auto& row : kube::kinds()) {
    if (row.name == object.kind() && row.group == object.group()) version = row.version;
  }
  return {.api_version = object.group().empty() ? std::string(version) : object.group() + "/" + std::string(version),
          .kind = object.kind(),
          .name_space = object.namespace_(),
          .name = object.name(),
          .uid = object.uid()};
}

}  // namespace

std::vector<translate::Note> notes_of(const control::v1::Reject& reject) {
  std::string message = "the proxies cannot use " + reject.key().name();
  if (!reject.field_path().empty()) message += " (" + reject.field_path() + ")";
  message += ": " + (reject.message().empty() ? reject.rule() : reject.message());
  message += reject.kept_previous() ? "; what they had before goes on serving" : "; it is left out";
  std::vector<translate::Note> notes;
  for (const auto& object : reject.origin()) {
    notes.push_back({.object = object, .warning = true, .reason = "ConfigurationRejected", .message = message});
  }
  return notes;
}

kube::Event Notices::event_of(const translate::Note& note) const {
  const std::string& section = note.object.section();
  return {.regarding = reference_of(note.object),
          .warning = note.warning,
          .reason = note.reason,
          .action = action_,
          .note = section.empty() ? note.message : section + ": " + note.message};
}

std::vector<kube::Event> Notices::set(const std::vector<translate::Note>& notes, size_t room) {
  std::map<std::tuple<kube::ObjectReference, std::string, std::string>, Told> next;
  for (const auto& note : notes) {
    const auto key = std::tuple(reference_of(note.object), note.reason, note.object.section() + ": " + note.message);
    const auto known = open_.find(key);
    next.try_emplace(key, known == open_.end() ? Told{.note = note} : known->second);
  }
  std::vector<kube::Event> events;
  for (const auto& [key, gone] : open_) {
    if (next.contains(key) || !gone.told || !gone.note.warning || events.size() >= room) continue;
    kube::Event event = event_of(gone.note);
    event.warning = false;
    event.reason = "Resolved";
    event.note = gone.note.reason + " is settled: " + event.note;
    events.push_back(std::move(event));
  }
  open_ = std::move(next);
  return events;
}

std::vector<kube::Event> Notices::due(MonotonicTime now, size_t room) {
  std::vector<kube::Event> events;
  for (auto& [key, told] : open_) {
    if (events.size() >= room) break;
    if (told.told && now - told.at < kAgain) continue;
    told.told = true;
    told.at = now;
    events.push_back(event_of(told.note));
  }
  return events;
}

}  // namespace headgate::status
