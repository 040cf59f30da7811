// access_log.h -- one line per exchange: combined, JSON, or a template of the user's.
//
// The format is compiled once when the configuration is built; writing a line expands it into the exchange's arena and
// hands it to the log writer, which drops lines rather than make a worker wait.
// Thread: const and shared by workers.   Owner: Listener (shared_ptr).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/log.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/variables.h"

namespace headgate::observe {

class AccessLog {
 public:
  // client - user [time] "request" status bytes "referer" "user agent": what every log analyser reads.
  static AccessLog combined(LogSink& sink);
  // One JSON object a line; `extra`: name -> template, behind the standard fields.
  static Result<AccessLog> json(LogSink& sink, const std::vector<std::pair<std::string, std::string>>& extra,
                                std::string* why);
  static Result<AccessLog> from_template(LogSink& sink, std::string_view text, std::string* why);

  void write(http::Exchange& exchange) const;

 private:
  struct JsonField {
    std::string before;  // `,"name":` or `{"name":`
    http::TextTemplate value;
    bool number = false;
  };
  explicit AccessLog(LogSink& sink) : sink_(&sink) {}
  void write_json(http::Exchange& exchange) const;

  LogSink* sink_;
  http::TextTemplate line_;
  std::vector<JsonField> fields_;  // not empty: JSON
};

}  // namespace headgate::observe
