#include "dataplane/filters/hsts.h"

#include "dataplane/http/exchange.h"

namespace headgate::filters {
namespace {

class HstsRun final : public http::FilterRun {
 public:
  explicit HstsRun(const std::string& value) : value_(value) {}
  void on_response(http::Exchange& exchange, http::ResponseHead& head) override {
    head.headers.set("Strict-Transport-Security", exchange.arena().copy(value_));
  }

 private:
  const std::string& value_;
};

}  // namespace

http::FilterRun* Hsts::start(http::Exchange& exchange, WorkerContext&) const {
  if (exchange.request().scheme != http::Scheme::kHttps) return nullptr;
  return exchange.arena().make<HstsRun>(value_);
}

}  // namespace headgate::filters
