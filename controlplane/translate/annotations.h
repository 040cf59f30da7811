// annotations.h -- which annotations of an Ingress there are, and what becomes of each.
// Thread: any (a constant table; Annotations is a value).   Owner: the caller; Annotations points into its Ingress.
//
// Every annotation under one of our prefixes is answered: used, of no effect here, not supported yet, refused with what
// to use instead, or unknown. A value that is empty counts as absent, as in ingress-nginx.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "controlplane/translate/notes.h"
#include "controlplane/translate/settings.h"

namespace headgate::translate {

// "false" and "off", where something was meant to be switched on.
bool asks_for_nothing(std::string_view value);

enum class Treatment : uint8_t {
  kUsed,
  kNoEffect,  // what it asks for is so anyway, or has no meaning here
  kNotYet,    // the Ingress is served without it
  kUnserved,  // the Ingress is not served: without it it would allow more than its author wants
  kUnservedIfOn,  // likewise, unless it says false
};

struct AnnotationRow {
  std::string_view name;  // without the prefix
  Treatment treatment;
  std::string_view text{};  // unless kUsed: why, and what to use instead
};

std::span<const AnnotationRow> annotation_rows();
const AnnotationRow* annotation_row(std::string_view name);

class Annotations {
 public:
  Annotations(const kubernetes::ObjectMeta& metadata, const Settings& settings)
      : metadata_(metadata), settings_(settings) {}

  // The value under the first prefix that has it; `alias` is asked after `name`. nullopt: absent or empty.
  [[nodiscard]] std::optional<std::string> value(std::string_view name, std::string_view alias = {}) const;
  // There, be it empty.
  [[nodiscard]] bool is_present(std::string_view name) const;

  // Notes on all that are not used. False: the Ingress must not be served.
  [[nodiscard]] bool judge(Notes& notes) const;

 private:
  [[nodiscard]] const std::string* find(std::string_view name) const;

  const kubernetes::ObjectMeta& metadata_;
  const Settings& settings_;
};

}  // namespace headgate::translate
