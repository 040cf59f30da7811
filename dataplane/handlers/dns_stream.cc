// The TCP and TLS half of dns_server.h.
#include <memory>

#include "dataplane/base/counters.h"
#include "dataplane/handlers/dns_counts.h"
#include "dataplane/handlers/dns_server.h"
#include "dataplane/net/message_stream.h"

namespace headgate::handlers {
namespace {

// Answers that wait for a client to read; no more queries are read meanwhile.
constexpr size_t kWaitingAnswers = size_t{64} * 1024;
// Questions of one connection that are with resolvers at one time; the next one waits for an answer (RFC 7766 7).
constexpr size_t kAsking = 64;

class DnsStream final : public net::StreamRun, private net::MessageObserver {
 public:
  DnsStream(std::shared_ptr<const DnsServer> server, std::unique_ptr<net::ByteStream> stream,
            net::StreamRunOwner& owner, WorkerContext& worker)
      : server_(std::move(server)),
        owner_(owner),
        worker_(worker),
        options_(server_->answer_options(false)),
        messages_(std::make_unique<net::MessageStream>(worker, std::move(stream), net::Framing::kLength,
                                                       kWaitingAnswers, static_cast<net::MessageObserver&>(*this))),
        idle_(worker.loop.timers(), event::Timer::call<&DnsStream::on_idle>, this),
        end_(worker.loop, event::Timer::call<&DnsStream::on_end>, this) {
    if (server_->options().forward != nullptr) forwarder_ = DnsForwarders::find(server_->options().forward, worker);
    messages_->wait_for_room();
  }
  ~DnsStream() override {
    while (Asker* asker = askers_.pop_front()) const std::unique_ptr<Asker> withdrawn(asker);
  }

  void start() {
    last_activity_ = worker_.loop.now();
    idle_.arm(server_->options().idle);
    messages_->start();
  }

  // What was asked is answered; then the client is told that no more will be.
  void drain(MonotonicTime deadline) override {
    deadline_ = deadline;
    finish();
    if (!ended_) idle_.arm_at(deadline);
  }

 private:
  class Asker final : public DnsAsker, public ListNode<DnsStream> {
   public:
    Asker(DnsStream& run, Bytes query_bytes) : DnsAsker(query_bytes, false), run_(run) {}
    void on_dns_reply(Bytes response) override { run_.on_reply(*this, response); }

   private:
    DnsStream& run_;
  };

  void on_message(std::string_view message) override {
    last_activity_ = worker_.loop.now();
    worker_.counters.add(Counter::kDnsQueries);
    const Bytes query = as_bytes(message);
    const dns::QueryView view = dns::parse_query(query);
    if (view.verdict == dns::QueryView::Verdict::kDrop) {
      worker_.counters.add(Counter::kDnsDropped);
      return;
    }
    BlockRef block(Block::allocate(dns::kMaxMessageBytes));
    const std::span<uint8_t> out(reinterpret_cast<uint8_t*>(block->data()), dns::kMaxMessageBytes);
    dns::AnswerReport report;
    options_.ttl_cap_s = server_->ttl_cap_s();
    size_t size = dns::answer(*server_->options().zones, query, view, out, options_, &report);
    if (forwarder_ != nullptr && is_for_resolvers(report, view)) {
      size = forwarder_->find(query, view, out, false);
      if (size == 0 && (view.flags & dns::kFlagRecursionDesired) != 0) {
        auto asker = std::make_unique<Asker>(*this, query);
        askers_.push_back(*asker);
        if (asking_ < kAsking && forwarder_->ask(view, *asker)) {
          ++asking_;
          (void)asker.release();  // the list's, until on_reply()
          return;
        }
        size = dns::write_error(query, view, dns::kRcodeServFail, out, options_);
      } else if (size == 0) {
        size = dns::write_error(query, view, dns::kRcodeRefused, out, options_);
      }
    }
    send(Bytes(out).first(size));
  }

  void send(Bytes response) {
    if (response.empty() || !messages_->send(as_text(response))) {
      worker_.counters.add(Counter::kDnsDropped);
      return;
    }
    count_dns_response(worker_.counters, response);
  }

  void on_reply(Asker& asker, Bytes response) {
    const std::unique_ptr<Asker> done(&asker);
    --asking_;
    last_activity_ = worker_.loop.now();
    send(response);
    if (finishing_) finish();
  }

  void on_message_lost() override { worker_.counters.add(Counter::kDnsDropped); }
  void on_messages_ended(bool reset) override {
    if (reset) {
      end();
    } else {
      finish();
    }
  }
  void on_writing_ended() override { end(); }

  // Ends when everything that was asked is answered and written.
  void finish() {
    finishing_ = true;
    if (asking_ == 0) messages_->end_writing();
  }

  void on_idle() {
    const MonotonicTime due = deadline_ > MonotonicTime{} ? deadline_ : last_activity_ + server_->options().idle;
    if (due > worker_.loop.now()) {
      idle_.arm_at(due);
      return;
    }
    end();
  }

  void end() {
    if (ended_) return;
    ended_ = true;
    idle_.cancel();
    messages_->close();
    end_.schedule();
  }
  void on_end() { owner_.on_run_ended(); }

  std::shared_ptr<const DnsServer> server_;
  net::StreamRunOwner& owner_;
  WorkerContext& worker_;
  dns::AnswerOptions options_;
  std::unique_ptr<net::MessageStream> messages_;
  std::shared_ptr<DnsForwarder> forwarder_;
  event::Timer idle_;
  event::DeferredCall end_;
  IntrusiveList<Asker, DnsStream> askers_;
  size_t asking_ = 0;
  MonotonicTime last_activity_{};
  MonotonicTime deadline_{};
  bool finishing_ = false;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<net::StreamRun> DnsServer::start(std::unique_ptr<net::ByteStream> stream, net::StreamRunOwner& owner,
                                                 WorkerContext& worker) const {
  auto run = std::make_unique<DnsStream>(shared_from_this(), std::move(stream), owner, worker);
  run->start();
  return run;
}

}  // namespace headgate::handlers
