#include "dataplane/filters/mirror.h"

#include <deque>

#include "dataplane/base/intrusive_list.h"
#include "dataplane/base/link.h"
#include "dataplane/filters/drained_body.h"
#include "dataplane/filters/target_text.h"
#include "dataplane/http/exchange.h"
#include "dataplane/http/forwarded.h"
#include "dataplane/http/hop_by_hop.h"
#include "dataplane/upstream/subrequest.h"

namespace headgate::filters {
namespace {

using http::FieldId;

constexpr size_t kMaxCopies = 256;                 // under way on one worker
constexpr size_t kMaxBehind = size_t{1024} * 1024;  // bytes of body that the mirror has not taken yet

class TeeBody;

// What the mirror still has to take of a body.
class QueuedBody final : public http::BodySource {
 public:
  void push(Buffer chunk) {
    size_ += chunk.size();
    chunks_.push_back(std::move(chunk));
    if (pulled()) on_pull();
  }
  void end() {
    ended_ = true;
    if (pulled()) on_pull();
  }
  void break_off() {
    broken_ = true;
    if (pulled()) on_pull();
  }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  void on_pull() override {
    if (broken_) {
      fail({.code = Errc::kCanceled, .detail = "the request that is mirrored broke off"});
    } else if (!chunks_.empty()) {
      Buffer chunk = std::move(chunks_.front());
      chunks_.pop_front();
      size_ -= chunk.size();
      deliver(std::move(chunk));
    } else if (ended_) {
      finish();
    }
  }
  void on_cancel() override {
    chunks_.clear();
    size_ = 0;
  }

  std::deque<Buffer> chunks_;
  size_t size_ = 0;
  bool ended_ = false;
  bool broken_ = false;
};

// One copy. In the list of this thread's copies until it is over.
class Copy final : public event::Disposable, public ListNode<>, private upstream::SubrequestObserver {
 public:
  explicit Copy(WorkerContext& worker) : link(*this), worker_(worker) {
    request_.emplace(worker, arena_, static_cast<upstream::SubrequestObserver&>(*this));
  }
  ~Copy() override {
    // The connection lets go of our body when its own, in the arena, ends.
    request_.reset();
    arena_.clear();
  }

  // False: nobody can be asked.
  bool start(http::Exchange& exchange, const MirrorOptions& options, bool with_body);
  QueuedBody& body() { return body_; }
  // It fails for want of the rest.
  void give_up() { body_.break_off(); }

  LinkEnd<Copy, TeeBody> link;

 private:
  void on_subrequest_answer(http::BodySource* body) override {
    link.cut();
    if (body == nullptr) {
      leave();
    } else {
      drain_.start(*body, kDrainedBody, [](void* self, bool) { static_cast<Copy*>(self)->leave(); }, this);
    }
  }
  void on_subrequest_failed(const Error&) override { leave(); }
  void leave();

  WorkerContext& worker_;
  Arena arena_;
  QueuedBody body_;
  std::optional<upstream::Subrequest> request_;
  http::BodyDrain drain_;
};

// Copies on their way are destroyed with the thread, before its loop and its pools are.
struct Copies {
  IntrusiveList<Copy> list;
  size_t count = 0;
  ~Copies() {
    while (Copy* copy = list.pop_front()) const std::unique_ptr<Copy> last(copy);
  }
};
Copies& copies() {
  thread_local Copies all;
  return all;
}

void Copy::leave() {
  link.cut();
  if (!linked()) return;
  unlink();
  --copies().count;
  worker_.loop.defer_delete(std::unique_ptr<event::Disposable>(this));
}

bool Copy::start(http::Exchange& exchange, const MirrorOptions& options, bool with_body) {
  // The exchange may end first: every text is copied.
  const http::RequestHead& from = exchange.request();
  http::RequestHead& head = request_->request();
  head.method = from.method;
  head.method_text = arena_.copy(from.method_text);
  head.target = arena_.copy(options.path ? expand_target(*options.path, exchange) : exchange.request().target);
  http::HeaderMap fields(exchange.arena());
  fields.assign(from.headers);
  http::strip_hop_by_hop(fields, http::TeField::kDrop);
  http::write_forwarded(exchange, {}, fields);
  for (const http::Field& field : fields.fields()) {
    const bool of_body = field.id == FieldId::kContentLength || field.id == FieldId::kTrailer;
    if (field.id == FieldId::kHost || of_body) continue;
    head.headers.add(field.id, arena_.copy(field.name), arena_.copy(field.value));
  }
  head.authority = arena_.copy(options.host.empty() ? from.authority : std::string_view(options.host));
  head.headers.set(FieldId::kHost, head.authority);
  if (with_body) head.content_length = from.content_length;
  return request_->start(options.slot, options.timeout, with_body ? &body_ : nullptr).has_value();
}

// Passes a body on and gives the copy its share.
class TeeBody final : public http::BodySource, private http::BodySink {
 public:
  TeeBody(http::BodySource& source, Copy& copy) : source_(source), link_(*this) { link_.join(copy.link); }
  ~TeeBody() override {
    if (!done_ && link_) link_->give_up();
  }
  [[nodiscard]] std::optional<uint64_t> remaining() const override { return source_.remaining(); }

 private:
  void on_pull() override { source_.pull(*this); }
  void on_cancel() override { source_.cancel(); }
  void on_chunk(Buffer chunk) override {
    if (link_) {
      if (link_->body().size() + chunk.size() > kMaxBehind) {
        Copy* const copy = link_.get();
        link_.cut();
        copy->give_up();
      } else {
        link_->body().push(chunk);
      }
    }
    deliver(std::move(chunk));
  }
  void on_end(const http::Trailers* trailers) override {
    done_ = true;
    if (link_) link_->body().end();
    finish(trailers);
  }
  void on_error(const Error& error) override {
    if (Copy* const copy = link_.get()) {
      link_.cut();
      copy->give_up();
    }
    fail(error);
  }

  http::BodySource& source_;
  LinkEnd<TeeBody, Copy> link_;
  bool done_ = false;
};

class MirrorRun final : public http::FilterRun {
 public:
  explicit MirrorRun(Copy& copy) : copy_(copy) {}
  http::BodySource* wrap_request_body(http::Exchange& exchange, http::BodySource* body) override {
    return exchange.arena().make<TeeBody>(*body, copy_);
  }

 private:
  Copy& copy_;  // used at once, by run_filters()
};

}  // namespace

http::FilterRun* Mirror::start(http::Exchange& exchange, WorkerContext& worker) const {
  // A tunnel has no copy.
  if (!exchange.request().protocol.empty() || exchange.request().method == http::Method::kConnect) return nullptr;
  if (options_.share_numerator < options_.share_denominator &&
      worker.random.below(options_.share_denominator) >= options_.share_numerator) {
    return nullptr;
  }
  Copies& all = copies();
  const bool has_body = exchange.request_body() != nullptr;
  if (all.count >= kMaxCopies) return nullptr;
  auto copy = std::make_unique<Copy>(worker);
  if (!copy->start(exchange, options_, options_.body && has_body)) return nullptr;
  Copy& under_way = *copy.release();
  all.list.push_back(under_way);
  ++all.count;
  return options_.body && has_body ? exchange.arena().make<MirrorRun>(under_way) : nullptr;
}

}  // namespace headgate::filters
