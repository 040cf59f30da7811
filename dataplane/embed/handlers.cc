#include "dataplane/embed/handlers.h"

#include <algorithm>
#include <exception>

#include "dataplane/base/log.h"
#include "dataplane/base/text.h"
#include "dataplane/embed/answer.h"
#include "dataplane/embed/blocking_call.h"

namespace headgate::embed {
namespace {

constexpr size_t kFirstReserve = 64 * 1024;  // a Content-Length is a promise of the client: memory follows the bytes

// Collects the request's body, then hands it to the route's handler.
class BodyCollector final : public http::Run, private http::BodySink {
 public:
  class Receiver {
   public:
    virtual void on_request(http::Exchange& exchange, std::string& body) const = 0;
    virtual void on_request_failed(http::Exchange& exchange, const Error& error) const = 0;

   protected:
    ~Receiver() = default;
  };

  BodyCollector(http::Exchange& exchange, const Receiver& receiver, size_t cap)
      : exchange_(exchange), receiver_(receiver), cap_(cap) {
    body_.reserve(std::min<uint64_t>(exchange.request().content_length.value_or(0), kFirstReserve));
  }
  void begin() { exchange_.request_body()->pull(*this); }

 private:
  void on_chunk(Buffer chunk) override {
    if (chunk.size() > cap_ - body_.size()) {
      exchange_.request_body()->cancel();
      receiver_.on_request_failed(exchange_, {.code = Errc::kBodyTooLarge, .origin = Origin::kDownstream, .detail = "body over the limit"});
      return;
    }
    body_.append(chunk.view());
    exchange_.request_body()->pull(*this);
  }
  void on_end(const http::Trailers*) override { receiver_.on_request(exchange_, body_); }
  void on_error(const Error& error) override { receiver_.on_request_failed(exchange_, error); }

  http::Exchange& exchange_;
  const Receiver& receiver_;
  const size_t cap_;
  std::string body_;
};

// What both kinds of handler have in common: no tunnels, and a body that is there when they are called.
class CollectingHandler : public http::Handler, protected BodyCollector::Receiver {
 public:
  CollectingHandler(const HandlerSettings& settings, std::vector<std::string> names)
      : settings_(settings), names_(std::move(names)) {}

  http::Run* start(http::Exchange& exchange, WorkerContext&) const override {
    if (asks_for_tunnel(exchange.request())) {
      answer_failure(exchange, 501, "no handler takes this upgrade", settings_.hook);
      return nullptr;
    }
    if (exchange.request_body() == nullptr) {
      std::string none;
      on_request(exchange, none);
      return nullptr;
    }
    const BodyCollector::Receiver& receiver = *this;
    auto* collector = exchange.arena().make<BodyCollector>(exchange, receiver, settings_.body_bytes);
    collector->begin();
    return collector;
  }

 protected:
  void on_request_failed(http::Exchange& exchange, const Error& error) const override {
    answer_error(exchange, error, settings_.hook);
  }

  const HandlerSettings& settings_;
  const std::vector<std::string> names_;
};

class LoopHandler final : public CollectingHandler {
 public:
  LoopHandler(const HandlerSettings& settings, std::vector<std::string> names, headgate::Handler handler)
      : CollectingHandler(settings, std::move(names)), handler_(std::move(handler)) {}

 private:
  void on_request(http::Exchange& exchange, std::string& body) const override {
    Response response;
    std::string thrown_text;
    try {
      handler_(view_of(exchange, names_, body), response);
      answer(exchange, std::move(response), settings_.hook);
      return;
    } catch (const std::exception& thrown) {
      thrown_text = thrown.what();
    } catch (...) {
      thrown_text = "unknown exception";
    }
    HG_LOG(kError, kHttp, "a handler threw", {"path", exchange.request().path}, {"error", thrown_text});
    answer_failure(exchange, 500, thrown_text, settings_.hook);
  }

  const headgate::Handler handler_;
};

class PoolHandler final : public CollectingHandler {
 public:
  PoolHandler(const HandlerSettings& settings, std::vector<std::string> names, BlockingHandler handler)
      : CollectingHandler(settings, std::move(names)), handler_(std::move(handler)) {}

 private:
  void on_request(http::Exchange& exchange, std::string& body) const override {
    auto* run = exchange.arena().make<BlockingRun>(exchange, settings_.hook);
    auto call = std::make_shared<BlockingCall>(handler_, exchange.worker().loop.mailbox(), *run,
                                               view_of(exchange, names_, {}), std::move(body));
    run->bind(call);
    if (!settings_.pool->submit(std::move(call))) {
      answer_failure(exchange, 503, "every thread of the pool is busy and its queue is full", settings_.hook);
    }
  }

  const BlockingHandler handler_;
};

// Where no route leads: 404, or what the path has for other methods.
class FallbackHandler final : public http::Handler {
 public:
  FallbackHandler(const HandlerSettings& settings, std::vector<std::shared_ptr<const routing::Route>> routes,
                  std::vector<std::string> methods)
      : settings_(settings),
        methods_(std::move(methods)),
        routes_("routes", {"*"}, false, routing::VirtualHost::Order::kTree, std::move(routes)) {}

  http::Run* start(http::Exchange& exchange, WorkerContext&) const override {
    http::RequestHead& head = exchange.request();
    if (asks_for_tunnel(head)) {
      answer_failure(exchange, 501, "no handler takes this upgrade", settings_.hook);
      return nullptr;
    }
    const std::string allow = allowed(exchange);
    if (allow.empty()) {
      answer_failure(exchange, 404, "no route", settings_.hook);
    } else if (head.method == http::Method::kOptions) {
      answer_failure(exchange, 204, "", settings_.hook, allow);
    } else {
      answer_failure(exchange, 405, "no route for this method", settings_.hook, allow);
    }
    return nullptr;
  }

 private:
  // "GET, HEAD, OPTIONS": the methods for which the path has a route. Empty: none.
  std::string allowed(http::Exchange& exchange) const {
    http::RequestHead& head = exchange.request();
    const std::string_view method_text = head.method_text;
    const http::Method method = head.method;
    const bool whole_server = head.target == "*";
    std::string allow;
    for (const std::string& other : methods_) {
      head.method_text = other;
      head.method = http::parse_method(other);
      routing::PathTable::Match match;
      if (whole_server || routes_.find(head, exchange.client_address, match)) allow += other + ", ";
    }
    head.method_text = method_text;
    head.method = method;
    return allow.empty() ? allow : allow + "OPTIONS";
  }

  const HandlerSettings& settings_;
  const std::vector<std::string> methods_;  // that occur, once each; without OPTIONS
  const routing::VirtualHost routes_;
};

void add_method(std::vector<std::string>& methods, std::string_view method) {
  if (method.empty() || method == "OPTIONS" || std::ranges::find(methods, method) != methods.end()) return;
  methods.emplace_back(method);
}

bool has_head_of_its_own(const std::vector<RouteEntry>& entries, const std::string& pattern) {
  return std::ranges::any_of(entries, [&](const RouteEntry& entry) { return entry.method == "HEAD" && entry.pattern == pattern; });
}

}  // namespace

Result<std::shared_ptr<const routing::RouteTable>> build_routes(const std::vector<RouteEntry>& entries,
                                                                const HandlerSettings& settings, std::string& why) {
  std::vector<std::shared_ptr<const routing::Route>> routes;
  std::vector<std::string> methods;
  for (const RouteEntry& entry : entries) {
    auto pattern = parse_pattern(entry.pattern, why);
    if (!pattern) {
      why = "\"" + entry.pattern + "\": " + why;
      return pattern.error();
    }
    if ((!entry.method.empty() && !is_token(entry.method)) || entry.method == "CONNECT") {
      why = "\"" + entry.method + "\" is no method that a handler can answer";
      return Error{.code = Errc::kInvalid, .detail = "method of a route"};
    }
    if (entry.handler == nullptr && entry.blocking == nullptr) {
      why = "\"" + entry.pattern + "\": no handler";
      return Error{.code = Errc::kInvalid, .detail = "handler of a route"};
    }
    auto route = std::make_shared<routing::Route>();
    route->name = entry.method.empty() ? entry.pattern : entry.method + " " + entry.pattern;
    route->path_kind = pattern->kind;
    route->path = pattern->path;
    route->regex = pattern->regex;
    if (const http::Method method = http::parse_method(entry.method); method != http::Method::kOther) {
      route->methods.push_back(method);
      if (method == http::Method::kGet && !has_head_of_its_own(entries, entry.pattern)) {
        route->methods.push_back(http::Method::kHead);
      }
    } else if (!entry.method.empty()) {
      route->other_methods.push_back(entry.method);
    }
    add_method(methods, entry.method);
    if (entry.method == "GET") add_method(methods, "HEAD");
    if (entry.handler != nullptr) {
      route->handler = std::make_shared<LoopHandler>(settings, std::move(pattern->names), entry.handler);
    } else {
      route->handler = std::make_shared<PoolHandler>(settings, std::move(pattern->names), entry.blocking);
    }
    routes.push_back(std::move(route));
  }
  auto fallback = std::make_shared<routing::Route>();
  fallback->handler = std::make_shared<FallbackHandler>(settings, routes, std::move(methods));
  routes.push_back(std::move(fallback));
  std::vector<std::shared_ptr<const routing::VirtualHost>> hosts = {std::make_shared<routing::VirtualHost>(
      "all", std::vector<std::string>{"*"}, false, routing::VirtualHost::Order::kTree, std::move(routes))};
  return std::shared_ptr<const routing::RouteTable>(
      std::make_shared<routing::RouteTable>(routing::RouteTable::Settings{.name = "embed"}, std::move(hosts)));
}

}  // namespace headgate::embed
