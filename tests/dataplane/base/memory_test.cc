// buffer, arena, pooled, intrusive_list and link: what owns memory, and what points without owning.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "dataplane/base/arena.h"
#include "dataplane/base/buffer.h"
#include "dataplane/base/intrusive_list.h"
#include "dataplane/base/link.h"
#include "dataplane/base/pooled.h"

namespace headgate {
namespace {

// ---- buffer ----

TEST(Block, ClassesAndReuse) {
  BlockPool::trim();
  for (const size_t size : {size_t{0}, size_t{1}, Block::kSmall, Block::kSmall + 1, Block::kMedium, Block::kLarge,
                            Block::kHuge, Block::kHuge + 1, size_t{1} << 21}) {
    const size_t before = BlockPool::bytes_in_use();
    BlockRef block(Block::allocate(size));
    EXPECT_GE(block->capacity(), size);
    EXPECT_EQ(BlockPool::bytes_in_use() - before, block->capacity());
    std::memset(block->data(), 0xab, block->capacity());
    block.reset();
    EXPECT_EQ(BlockPool::bytes_in_use(), before);
  }
  const size_t kept = BlockPool::bytes_kept();
  EXPECT_EQ(kept, Block::kSmall + Block::kMedium + Block::kLarge + Block::kHuge);
  const Block* first = nullptr;
  {
    const BlockRef block(Block::allocate(100));
    first = block.get();
    EXPECT_LT(BlockPool::bytes_kept(), kept);
  }
  const BlockRef again(Block::allocate(100));
  EXPECT_EQ(again.get(), first);
  BlockPool::trim();
  EXPECT_EQ(BlockPool::bytes_kept(), 0U);
}

TEST(Block, PoolIsBounded) {
  BlockPool::trim();
  std::vector<BlockRef> blocks;
  for (int i = 0; i < 40; ++i) blocks.emplace_back(Block::allocate(Block::kHuge));
  blocks.clear();
  EXPECT_LE(BlockPool::bytes_kept(), size_t{4} << 20);
  BlockPool::trim();
}

TEST(Block, FreedOnAnotherThread) {
  Block* raw = Block::allocate(10);
  raw->retain();
  std::thread([raw] { raw->release(); }).join();
}

TEST(Buffer, SlicesShareTheBlock) {
  Buffer whole = Buffer::copy("hello world");
  EXPECT_FALSE(whole.block()->shared());
  Buffer front = whole.take_prefix(6);
  EXPECT_EQ(front.view(), "hello ");
  EXPECT_EQ(whole.view(), "world");
  EXPECT_TRUE(whole.block()->shared());
  front.truncate(5);
  EXPECT_EQ(front.view(), "hello");
  whole.remove_prefix(5);
  EXPECT_TRUE(whole.empty());
  whole = Buffer();
  EXPECT_FALSE(front.block()->shared());
  EXPECT_EQ(front.view(), "hello");
  EXPECT_TRUE(Buffer::copy("").empty());
  const Buffer borrowed = Buffer::borrow("static");
  EXPECT_FALSE(borrowed.block());
  EXPECT_EQ(borrowed.view(), "static");
}

// Random splitting and dropping never changes what is left, and nothing leaks.
TEST(Buffer, RandomSlices) {
  const uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  const size_t before = BlockPool::bytes_in_use();
  for (int round = 0; round < 200; ++round) {
    std::string text(random() % 5000 + 1, ' ');
    for (char& c : text) c = static_cast<char>(random());
    std::vector<std::pair<Buffer, std::string>> pieces;
    pieces.emplace_back(Buffer::copy(text), text);
    for (int step = 0; step < 50; ++step) {
      const size_t at = random() % pieces.size();
      const size_t cut = random() % (pieces[at].second.size() + 1);
      Buffer front = pieces[at].first.take_prefix(cut);
      const std::string front_text = pieces[at].second.substr(0, cut);
      pieces[at].second.erase(0, cut);
      if (random() % 4 != 0) pieces.emplace_back(std::move(front), front_text);
      std::shuffle(pieces.begin(), pieces.end(), random);
    }
    for (const auto& [buffer, expected] : pieces) ASSERT_EQ(buffer.view(), expected);
  }
  EXPECT_EQ(BlockPool::bytes_in_use(), before);
}

// ---- arena ----

TEST(Arena, AlignsAndDestroysNewestFirst) {
  static std::vector<int> destroyed;
  struct Noisy {
    explicit Noisy(int n) : number(n) {}
    ~Noisy() { destroyed.push_back(number); }
    int number;
  };
  struct alignas(64) Wide {
    char bytes[64];
  };
  destroyed.clear();
  {
    Arena arena;
    for (int i = 0; i < 200; ++i) {
      arena.allocate_text(static_cast<size_t>(i) % 7 + 1);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(arena.make<Wide>()) % 64, 0U);
      arena.make<Noisy>(i);
    }
    arena.clear();
    ASSERT_EQ(destroyed.size(), 200U);
    EXPECT_TRUE(std::is_sorted(destroyed.rbegin(), destroyed.rend()));
    arena.make<Noisy>(1000);  // usable again
  }
  EXPECT_EQ(destroyed.back(), 1000);
}

TEST(Arena, TextsAndLargePieces) {
  const size_t before = BlockPool::bytes_in_use();
  {
    Arena arena;
    EXPECT_EQ(arena.copy(""), "");
    EXPECT_EQ(arena.concat("", std::string()), "");
    std::vector<std::pair<std::string_view, std::string>> texts;
    for (const size_t size : {size_t{1}, size_t{4000}, size_t{4064}, size_t{70'000}, size_t{300'000}, size_t{3}}) {
      const std::string text(size, static_cast<char>('a' + size % 26));
      texts.emplace_back(arena.copy(text), text);
      texts.emplace_back(arena.concat(text, "-", std::string_view(), text), text + "-" + text);
    }
    for (const auto& [view, expected] : texts) EXPECT_EQ(view, expected);
  }
  EXPECT_EQ(BlockPool::bytes_in_use(), before);
}

TEST(Arena, EveryByteIsItsOwn) {
  std::mt19937 random(3);
  Arena arena;
  std::vector<std::pair<unsigned char*, size_t>> pieces;
  for (int i = 0; i < 500; ++i) {
    const size_t size = random() % 300 + 1;
    auto* at = static_cast<unsigned char*>(arena.allocate(size, size_t{1} << (random() % 7)));
    std::memset(at, i & 0xff, size);
    pieces.emplace_back(at, size);
  }
  for (size_t i = 0; i < pieces.size(); ++i) {
    for (size_t b = 0; b < pieces[i].second; ++b) ASSERT_EQ(pieces[i].first[b], i & 0xff);
  }
}

// ---- pooled ----

struct Recycled : Pooled<Recycled, 2> {
  uint64_t words[4] = {};
};
struct Larger : Recycled {
  uint64_t more[8] = {};
};

TEST(Pooled, ReusesAndBounds) {
  auto* first = new Recycled();
  delete first;
  auto* second = new Recycled();
  EXPECT_EQ(first, second);
  delete second;
  std::vector<std::unique_ptr<Recycled>> many;
  for (int i = 0; i < 10; ++i) many.push_back(std::make_unique<Recycled>());
  many.clear();  // two are kept, the others freed (the leak checker watches)
  const auto larger = std::make_unique<Larger>();  // another size never comes from the list
  larger->more[7] = 1;
}

// ---- intrusive list ----

struct Item : ListNode<>, ListNode<int> {
  explicit Item(int n = 0) : number(n) {}
  int number;
};
using Items = IntrusiveList<Item>;

std::vector<int> numbers(Items& list) {
  std::vector<int> all;
  list.for_each([&](Item& item) { all.push_back(item.number); });
  return all;
}

TEST(IntrusiveList, Basics) {
  Items list;
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.front(), nullptr);
  EXPECT_EQ(list.back(), nullptr);
  EXPECT_EQ(list.pop_front(), nullptr);
  Item a(1);
  Item b(2);
  Item c(3);
  list.push_back(b);
  list.push_front(a);
  list.push_back(c);
  EXPECT_EQ(numbers(list), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(list.size(), 3U);
  list.push_back(a);  // moves within
  EXPECT_EQ(numbers(list), (std::vector<int>{2, 3, 1}));
  EXPECT_EQ(list.back(), &a);
  static_cast<ListNode<>&>(c).unlink();
  static_cast<ListNode<>&>(c).unlink();
  EXPECT_EQ(numbers(list), (std::vector<int>{2, 1}));
  Items other;
  other.push_back(c);
  list.splice_back(other);
  EXPECT_TRUE(other.empty());
  EXPECT_EQ(numbers(list), (std::vector<int>{2, 1, 3}));
  {
    Item gone(4);
    list.push_front(gone);
  }
  EXPECT_EQ(numbers(list), (std::vector<int>{2, 1, 3}));
  list.for_each([](Item& item) {
    if (item.number == 1) static_cast<ListNode<>&>(item).unlink();
  });
  EXPECT_EQ(numbers(list), (std::vector<int>{2, 3}));
  list.clear();
  EXPECT_FALSE(static_cast<ListNode<>&>(b).linked());
}

TEST(IntrusiveList, TwoListsAtOnce) {
  Item a(1);
  Items list;
  IntrusiveList<Item, int> tagged;
  list.push_back(a);
  tagged.push_back(a);
  list.clear();
  EXPECT_EQ(tagged.front(), &a);
}

TEST(IntrusiveList, ListGoesFirst) {
  Item a(1);
  {
    Items list;
    list.push_back(a);
  }
  EXPECT_FALSE(static_cast<ListNode<>&>(a).linked());
}

TEST(IntrusiveList, EqualsAVector) {
  const uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  std::mt19937_64 random(seed);
  std::vector<std::unique_ptr<Item>> items;
  for (int i = 0; i < 30; ++i) items.push_back(std::make_unique<Item>(i));
  Items list;
  std::vector<int> model;
  for (int step = 0; step < 20'000; ++step) {
    Item& item = *items[random() % items.size()];
    switch (random() % 5) {
      case 0:
        std::erase(model, item.number);
        model.push_back(item.number);
        list.push_back(item);
        break;
      case 1:
        std::erase(model, item.number);
        model.insert(model.begin(), item.number);
        list.push_front(item);
        break;
      case 2:
        std::erase(model, item.number);
        static_cast<ListNode<>&>(item).unlink();
        break;
      case 3: {
        const Item* front = list.pop_front();
        ASSERT_EQ(front == nullptr, model.empty());
        if (front == nullptr) break;
        ASSERT_EQ(front->number, model.front());
        model.erase(model.begin());
        break;
      }
      default: {
        const int number = item.number;
        std::erase(model, number);
        items[static_cast<size_t>(number)] = std::make_unique<Item>(number);  // destroyed while linked
      }
    }
    ASSERT_EQ(numbers(list), model) << step;
  }
}

// ---- link ----

struct Client;
struct Request {
  LinkEnd<Request, Client> client{*this};
};
struct Client {
  LinkEnd<Client, Request> request{*this};
};

TEST(Link, EitherEndClearsTheOther) {
  Request request;
  {
    Client client;
    request.client.join(client.request);
    EXPECT_EQ(request.client.get(), &client);
    EXPECT_EQ(client.request.get(), &request);
    EXPECT_EQ(client.request->client.get(), &client);
  }
  EXPECT_FALSE(request.client);
  EXPECT_EQ(request.client.get(), nullptr);
  Client second;
  {
    Request other;
    second.request.join(other.client);
    EXPECT_TRUE(second.request);
  }
  EXPECT_FALSE(second.request);
  second.request.join(request.client);
  second.request.cut();
  second.request.cut();
  EXPECT_FALSE(request.client);
}

}  // namespace
}  // namespace headgate
