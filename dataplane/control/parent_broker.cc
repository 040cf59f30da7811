#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "dataplane/base/log.h"
#include "dataplane/control/listening_sockets.h"
#include "dataplane/control/parent_channel.h"
#include "dataplane/control/parent_process.h"

namespace headgate::control {
namespace {

constexpr Duration kAnswerLimit = std::chrono::seconds(10);
constexpr size_t kMaxLastGood = size_t{64} << 20;

// Several processes may read the same open file: its position is nobody's.
std::string read_text_file(int fd) {
  std::string text;
  std::array<char, 16384> piece;
  while (text.size() < kMaxLastGood) {
    const ssize_t count = ::pread(fd, piece.data(), piece.size(), static_cast<off_t>(text.size()));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.append(piece.data(), static_cast<size_t>(count));
  }
  return text;
}

// The parent's texts as the static strings that an Error needs.
const char* static_detail(std::string_view text) {
  for (const char* known : {"bind", "listen", "socket", "too many listening sockets", "rename of the socket",
                            "the path exists and is not a socket", "bad request for a socket"}) {
    if (text == known) return known;
  }
  return "bind in the parent";
}

class ParentBroker final : public SocketBroker, private event::FdObserver {
 public:
  explicit ParentBroker(UniqueFd fd) : channel_(std::move(fd)) {}

  Result<void> start() {
    Message message;
    if (channel_.receive(message, kAnswerLimit) != ReceiveOutcome::kMessage || message.type != MessageType::kStart) {
      return Error{.code = Errc::kClosed, .detail = "no first message from the parent"};
    }
    PayloadReader in(message.payload);
    reason_.restarts = in.u32();
    reason_.upgrade = in.u8() != 0;
    reason_.crash = in.text();
    if (!in.complete()) return Error{.code = Errc::kMalformed, .detail = "first message from the parent"};
    if (message.fd.valid()) reason_.last_good = read_text_file(message.fd.get());
    return {};
  }

  Result<UniqueFd> acquire(const SocketKey& key, const ListenOptions& options) override {
    PayloadWriter out;
    out.key(key).options(options);
    auto answer = ask(MessageType::kAcquire, out.bytes());
    if (!answer) return answer.error();
    if (answer->type == MessageType::kSocket && answer->fd.valid()) return std::move(answer->fd);
    PayloadReader in(answer->payload);
    Error error{.code = static_cast<Errc>(in.u8())};
    error.sys_errno = static_cast<int>(in.u32());
    error.detail = static_detail(in.text());
    if (answer->type != MessageType::kRefused || !in.ok()) {
      return Error{.code = Errc::kMalformed, .detail = "answer of the parent"};
    }
    return error;
  }

  void release(std::span<const SocketKey> keys) override {
    if (keys.empty()) return;
    for (const SocketKey& key : keys) {
      PayloadWriter out;
      tell(MessageType::kRelease, out.key(key).bytes());
    }
    // Messages are taken in order: an answer to anything means that these are done. An address that a reload gave up is
    // free when the reload says that it is done.
    PayloadWriter out;
    static_cast<void>(ask(MessageType::kList, out.u32(UINT32_MAX).bytes()));
  }

  std::vector<SocketKey> held() override {
    std::vector<SocketKey> keys;
    for (;;) {
      PayloadWriter out;
      auto answer = ask(MessageType::kList, out.u32(static_cast<uint32_t>(keys.size())).bytes());
      if (!answer || answer->type != MessageType::kKeys) return keys;
      PayloadReader in(answer->payload);
      const bool more = in.u8() != 0;
      const uint16_t count = in.u16();
      for (uint16_t i = 0; i < count && in.ok(); ++i) keys.push_back(in.key());
      if (!in.complete() || !more || count == 0) return keys;
    }
  }

  void report_ready() override {
    PayloadWriter out;
    tell(MessageType::kReady, out.u8(kParentStateVersion).bytes());
  }

  void request_upgrade(std::function<void(const UpgradeOutcome&)> done) override {
    waiting_for_upgrade_.push_back(std::move(done));
    tell(MessageType::kUpgrade, {});
  }

  void keep_last_good(const UniqueFd& file) override { tell(MessageType::kLastGood, {}, file.get()); }

  void set_parent_log_json(bool json) override {
    PayloadWriter out;
    tell(MessageType::kLogFormat, out.u8(json ? 1 : 0).bytes());
  }

  const StartReason& start_reason() const override { return reason_; }

  Result<void> watch(event::Loop& loop, SocketBrokerObserver& observer) override {
    observer_ = &observer;
    loop_ = &loop;
    if (!channel_.open()) return Error{.code = Errc::kClosed, .detail = "channel to the parent"};
    if (!early_.empty()) deliver_early();
    return watch_.start(loop, channel_.fd(), *this);
  }

 private:
  void on_fd_ready(uint8_t) override {
    // Messages that came while ask() waited first.
    for (auto& message : std::exchange(early_, {})) handle(message);
    while (channel_.open()) {
      Message message;
      switch (channel_.receive(message, Duration(0))) {
        case ReceiveOutcome::kMessage: handle(message); break;
        case ReceiveOutcome::kNothing: return;
        case ReceiveOutcome::kClosed: lose_parent(); return;
      }
    }
  }

  void lose_parent() {
    watch_.stop();
    channel_.close();
    for (auto& done : std::exchange(waiting_for_upgrade_, {})) done({.ok = false, .reason = "the parent has ended"});
    if (observer_ != nullptr) observer_->on_parent_gone();
  }

  void handle(const Message& message) {
    if (message.type == MessageType::kReplaced && observer_ != nullptr) observer_->on_replaced();
    if (message.type != MessageType::kUpgradeResult) return;
    PayloadReader in(message.payload);
    UpgradeOutcome outcome{.ok = in.u8() != 0, .reason = in.text()};
    for (auto& done : std::exchange(waiting_for_upgrade_, {})) done(outcome);
  }

  Result<Message> ask(MessageType type, std::string_view payload) {
    const uint32_t id = ++next_id_;
    if (auto sent = channel_.send_waiting(type, id, payload, -1, kAnswerLimit); !sent) return sent.error();
    for (;;) {
      Message message;
      switch (channel_.receive(message, kAnswerLimit)) {
        case ReceiveOutcome::kNothing: return Error{.code = Errc::kTimeout, .detail = "answer of the parent"};
        case ReceiveOutcome::kClosed: return Error{.code = Errc::kClosed, .detail = "the parent has ended"};
        case ReceiveOutcome::kMessage: break;
      }
      const bool is_answer = message.type == MessageType::kSocket || message.type == MessageType::kRefused ||
                             message.type == MessageType::kKeys;
      if (is_answer && message.id == id) return message;
      if (is_answer) continue;  // of a question that timed out
      early_.push_back(std::move(message));
      deliver_early();
    }
  }

  // The edge that announced these messages may already have been taken by ask(): the mailbox makes another one.
  void deliver_early() {
    if (loop_ == nullptr) return;
    loop_->mailbox().post_fn([this, alive = std::weak_ptr<int>(alive_)] {
      if (!alive.expired()) on_fd_ready(event::kReadable);
    });
  }

  void tell(MessageType type, std::string_view payload, int fd = -1) {
    if (const auto sent = channel_.send_waiting(type, 0, payload, fd, kAnswerLimit); !sent) {
      HG_LOG(kError, kControl, "cannot tell the parent", {"error", to_string(sent.error())});
    }
  }

  ParentChannel channel_;
  StartReason reason_;
  uint32_t next_id_ = 0;
  std::vector<Message> early_;
  std::vector<std::function<void(const UpgradeOutcome&)>> waiting_for_upgrade_;
  SocketBrokerObserver* observer_ = nullptr;
  event::Loop* loop_ = nullptr;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  event::FdWatch watch_;
};

}  // namespace

Result<std::unique_ptr<SocketBroker>> make_parent_broker(UniqueFd channel) {
  auto broker = std::make_unique<ParentBroker>(std::move(channel));
  HG_TRY(broker->start());
  return std::unique_ptr<SocketBroker>(std::move(broker));
}

}  // namespace headgate::control
