// incoming_body_test.cc -- what arrives while nobody pulls comes out as it came in, whatever the pieces; and who is told
// what when the stream or the body ends first.
#include "dataplane/http2/incoming_body.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace headgate::http2 {
namespace {

class IncomingBodyTest : public testing::Test, private IncomingBodyOwner, private http::BodySink {
 protected:
  void make(std::optional<uint64_t> length = {}, uint64_t limit = 0) {
    body_ = std::make_unique<IncomingBody>(static_cast<IncomingBodyOwner&>(*this), Origin::kUpstream, length, limit,
                                           arena_);
  }
  // As one DATA frame in the middle of an input block.
  void arrive(const std::string& data) {
    input_.block = BlockRef(Block::allocate(data.size() + 100));
    std::memcpy(input_.block->data() + 50, data.data(), data.size());
    EXPECT_TRUE(body_->receive(input_, {input_.block->data() + 50, data.size()}));
    sent_ += data;
  }
  void pull_all() {
    for (ended_ = false; !ended_;) {
      waits_ = false;
      body_->pull(*this);
      if (waits_) return;
    }
  }

  Arena arena_;
  BodyInput input_;
  std::unique_ptr<IncomingBody> body_;
  std::string sent_;
  std::string got_;
  std::optional<Error> error_;
  size_t given_back_ = 0;
  int dropped_ = 0;
  bool ended_ = false;
  bool waits_ = false;

 private:
  void give_back(size_t bytes) override { given_back_ += bytes; }
  void on_body_delivered(size_t) override {}
  MonotonicTime on_body_awaited() override {
    waits_ = true;
    return {};
  }
  void on_body_dropped() override { ++dropped_; }
  void on_chunk(Buffer chunk) override {
    EXPECT_FALSE(chunk.empty());
    got_ += chunk.view();
  }
  void on_end(const http::Trailers*) override { ended_ = true; }
  void on_error(const Error& error) override {
    error_ = error;
    ended_ = true;
  }
};

TEST_F(IncomingBodyTest, PiecesOfEverySizeAreKeptWhole) {
  make();
  char letter = 'a';
  for (const size_t size : {size_t{1}, size_t{2047}, size_t{2048}, size_t{2049}, size_t{4063}, size_t{4064}, size_t{4065},
                            size_t{4095}, size_t{4096}, size_t{3}, size_t{16384}, size_t{7}}) {
    for (int i = 0; i < 3; ++i) arrive(std::string(size, letter = letter == 'z' ? 'a' : static_cast<char>(letter + 1)));
  }
  EXPECT_TRUE(body_->end());
  pull_all();
  EXPECT_TRUE(ended_);
  EXPECT_EQ(got_, sent_);
  EXPECT_EQ(given_back_, sent_.size());
}

TEST_F(IncomingBodyTest, AWholeBodyOutlivesItsStreamAndAPartDoesNot) {
  make();
  arrive("whole");
  EXPECT_TRUE(body_->end());
  body_->part();
  pull_all();
  EXPECT_EQ(got_, "whole");
  EXPECT_FALSE(error_);

  make();
  arrive("a part");
  body_->part();
  pull_all();
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->origin, Origin::kUpstream);
  EXPECT_EQ(got_, "whole");
}

TEST_F(IncomingBodyTest, TellsItsStreamOnceThatNobodyWantsIt) {
  make();
  arrive("abc");
  body_->cancel();
  EXPECT_EQ(dropped_, 1);
  EXPECT_EQ(given_back_, 3U);
  arrive("more is given back as it comes");
  EXPECT_EQ(given_back_, sent_.size());
  body_->part();
  body_.reset();
  EXPECT_EQ(dropped_, 1);

  make();
  body_.reset();
  EXPECT_EQ(dropped_, 2);
}

// Small messages of many streams that come in one read must not cost a block each.
TEST_F(IncomingBodyTest, FirstPiecesShareABlock) {
  const size_t before = BlockPool::bytes_in_use();
  std::vector<std::unique_ptr<IncomingBody>> bodies;
  for (int i = 0; i < 50; ++i) {
    make();
    arrive(std::string(37, static_cast<char>('A' + i % 26)));
    bodies.push_back(std::move(body_));
  }
  input_ = {};
  EXPECT_EQ(BlockPool::bytes_in_use() - before, Block::kSmall);
  for (auto& body : bodies) {
    body_ = std::move(body);
    EXPECT_TRUE(body_->end());
    pull_all();
    body_.reset();
  }
  EXPECT_EQ(got_, sent_);
  EXPECT_EQ(BlockPool::bytes_in_use(), before);
}

TEST_F(IncomingBodyTest, BreaksOffAtItsLimit) {
  make({}, 5);
  arrive("12345");
  arrive("6");
  pull_all();
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, Errc::kBodyTooLarge);
  EXPECT_EQ(given_back_, 6U);
}

}  // namespace
}  // namespace headgate::http2
