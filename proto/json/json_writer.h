// json_writer.h -- indented JSON text.
// Thread: any.   Owner: print.cc, schema.cc (by value).
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace headgate::json {

class JsonWriter {
 public:
  void open(char bracket) {  // '{' or '['
    out_.push_back(bracket);
    ++depth_;
    empty_ = true;
  }
  void close(char bracket) {
    --depth_;
    if (!empty_) line();
    out_.push_back(bracket);
    empty_ = false;
  }
  void key(std::string_view name) {
    next();
    string(name);
    out_ += ": ";
  }
  void element() { next(); }
  void string(std::string_view text);
  void raw(std::string_view text) { out_ += text; }
  std::string take() {
    out_.push_back('\n');
    return std::move(out_);
  }

 private:
  void next() {
    if (!empty_) out_.push_back(',');
    empty_ = false;
    line();
  }
  void line() {
    out_.push_back('\n');
    out_.append(2 * depth_, ' ');
  }
  std::string out_;
  size_t depth_ = 0;
  bool empty_ = true;
};

}  // namespace headgate::json
