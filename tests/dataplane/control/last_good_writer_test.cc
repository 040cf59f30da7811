// Written in pieces, it is what served at the beginning, whatever came meanwhile.
#include "dataplane/control/last_good_writer.h"

#include <unistd.h>

#include <gtest/gtest.h>

#include "tests/dataplane/control/last_good_bytes.h"
#include "tests/support/temp_folder.h"
#include "tests/support/test_certificates.h"

namespace headgate::control {
namespace {

namespace cv = control::v1;

// Keeps what it is given, as the parent would.
class KeepingBroker final : public SocketBroker {
 public:
  Result<UniqueFd> acquire(const SocketKey&, const ListenOptions&) override { return UniqueFd(); }
  void release(std::span<const SocketKey>) override {}
  std::vector<SocketKey> held() override { return {}; }
  void report_ready() override {}
  void request_upgrade(std::function<void(const UpgradeOutcome&)>) override {}
  void keep_last_good(const UniqueFd& file) override {
    kept.assign(1 << 20, '\0');
    const ssize_t count = ::pread(file.get(), kept.data(), kept.size(), 0);
    kept.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
  }
  void set_parent_log_json(bool) override {}
  const StartReason& start_reason() const override { return reason_; }
  Result<void> watch(event::Loop&, SocketBrokerObserver&) override { return {}; }

  std::string kept;

 private:
  StartReason reason_;
};

class LastGoodWriterTest : public ::testing::Test {
 protected:
  void push(size_t first, size_t count) {
    cv::Push push;
    push.set_push_id(++id_);
    for (size_t i = first; i < first + count; ++i) {
      config::v1::RouteTable table;
      table.set_name("table-" + std::to_string(i));
      add(push, cv::KIND_ROUTE_TABLE, table);
    }
    apply(std::move(push));
  }
  template <typename Message>
  void push(cv::Kind kind, const Message& message) {
    cv::Push push;
    push.set_push_id(++id_);
    add(push, kind, message);
    apply(std::move(push));
  }
  template <typename Message>
  void add(cv::Push& push, cv::Kind kind, const Message& message) const {
    cv::Resource& resource = *push.add_upsert();
    resource.mutable_key()->set_kind(kind);
    resource.mutable_key()->set_name(message.name());
    resource.set_version(id_);
    resource.set_body(message.SerializeAsString());
  }
  void apply(cv::Push push) {
    ASSERT_TRUE(store_.stage(std::move(push)));
    ASSERT_TRUE(store_.begin(0));
    store_.commit();
  }
  bool wait_done(int times) {
    for (int i = 0; i < 2000 && done_ < times; ++i) loop_.run_once(std::chrono::milliseconds(5));
    return done_ == times;
  }

  test::TempFolder folder_;
  event::Loop loop_;
  KeepingBroker broker_;
  ResourceStore store_;
  uint64_t id_ = 0;
  int done_ = 0;
  LastGoodWriter writer_{loop_, broker_, folder_.path(), false, [this] { ++done_; }};
};

TEST_F(LastGoodWriterTest, HoldsTheBeginning) {
  push(0, 3 * LastGoodWriter::kPiece);
  const std::string then = encode_last_good(all_that_serves(store_, false));
  writer_.start(store_.stored());
  push(100, 1);
  push(5000, 1);
  EXPECT_TRUE(writer_.busy());
  EXPECT_EQ(read_last_good(folder_.path()).error().code, Errc::kNotFound) << "not before it is whole";
  ASSERT_TRUE(wait_done(1));
  EXPECT_FALSE(writer_.busy());
  EXPECT_EQ(broker_.kept, then);
  EXPECT_EQ(*read_last_good(folder_.path()), then);
  // The rest at once.
  writer_.start(store_.stored());
  writer_.finish();
  EXPECT_EQ(done_, 2);
  EXPECT_EQ(*read_last_good(folder_.path()), encode_last_good(all_that_serves(store_, false)));
}

TEST_F(LastGoodWriterTest, SecretsAreForTheParentUnlessAskedFor) {
  const testing::PemPair pair = testing::TestAuthority("test").issue({.alternative_names = {"DNS:a.example"}});
  config::v1::TlsSecret secret;
  secret.set_name("s");
  secret.set_chain_pem(pair.chain);
  secret.set_key_pem(pair.key);
  push(cv::KIND_TLS_SECRET, secret);
  writer_.start(store_.stored());
  writer_.finish();
  EXPECT_EQ(read_last_good(folder_.path())->find("PRIVATE KEY"), std::string::npos);
  EXPECT_NE(broker_.kept.find("PRIVATE KEY"), std::string::npos);
  LastGoodWriter persisting(loop_, broker_, folder_.path(), true, [] {});
  persisting.start(store_.stored());
  persisting.finish();
  EXPECT_NE(read_last_good(folder_.path())->find("PRIVATE KEY"), std::string::npos);
}

TEST_F(LastGoodWriterTest, NothingIsSomethingToo) {
  writer_.start(store_.stored());
  ASSERT_TRUE(wait_done(1));
  EXPECT_TRUE(decode_last_good(broker_.kept));
}

}  // namespace
}  // namespace headgate::control
