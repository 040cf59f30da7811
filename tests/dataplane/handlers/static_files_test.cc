#include "dataplane/handlers/static_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/exchange_harness.h"
#include "tests/support/temp_folder.h"

namespace headgate::handlers {
namespace {

using test::Answer;
using test::ExchangeHarness;
using test::FieldList;
using test::RequestText;

constexpr std::string_view kDigits = "0123456789";
constexpr const char* kModified = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr int64_t kModifiedSeconds = 784'111'777;

class StaticFilesTest : public ::testing::Test {
 protected:
  StaticFilesTest() {
    options_.root.path = folder_.at("www");
    folder_.write("www/digits.txt", kDigits);
    folder_.set_modified("www/digits.txt", kModifiedSeconds);
    folder_.write("www/large.txt", large_);
    folder_.set_modified("www/large.txt", kModifiedSeconds);
    folder_.write("www/docs/index.html", "<p>docs</p>");
    folder_.write("www/docs/a b.txt", "space");
    folder_.write("www/100%.txt", "percent");
    folder_.write("www/%41.txt", "not decoded twice");
    folder_.make_folder("www/empty");
    folder_.write("outside.txt", "secret");
    folder_.link("../outside.txt", "www/relative-link");
    folder_.link(folder_.at("outside.txt"), "www/absolute-link");
    folder_.link("..", "www/folder-link");
    folder_.link("digits.txt", "www/inner-link");
    EXPECT_EQ(::mkfifo(folder_.at("www/fifo").c_str(), 0600), 0);
  }

  const StaticFiles& handler() {
    std::string why;
    if (handler_ == nullptr) {
      auto made = StaticFiles::create(options_, &why);
      EXPECT_TRUE(made.has_value()) << why;
      handler_ = *std::move(made);
    }
    return *handler_;
  }
  Answer run(const RequestText& request) { return harness_.run(request, {}, handler()); }
  Answer get(std::string target, FieldList headers = {}) {
    return run({.target = std::move(target), .headers = std::move(headers)});
  }
  void second_passes() {
    harness_.clock().advance(std::chrono::seconds(1));
    harness_.turn();
  }

  std::string large_ = std::string(150'000, 'a') + std::string(50'000, 'b');
  test::TempFolder folder_;
  StaticFilesOptions options_;
  std::unique_ptr<StaticFiles> handler_;
  ExchangeHarness harness_;
};

TEST_F(StaticFilesTest, ServesASmallFile) {
  const Answer answer = get("/digits.txt?x=1");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, kDigits);
  EXPECT_EQ(answer.content_length, 10u);
  EXPECT_TRUE(answer.header("Content-Type").starts_with("text/plain"));
  EXPECT_EQ(answer.header("Last-Modified"), kModified);
  EXPECT_TRUE(answer.header("ETag").starts_with('"'));
  EXPECT_EQ(answer.header("Accept-Ranges"), "bytes");
  EXPECT_EQ(answer.count("Cache-Control"), 0u);
  EXPECT_EQ(answer.count("Content-Encoding"), 0u);
  EXPECT_TRUE(answer.complete);
}

TEST_F(StaticFilesTest, LargeFilesGoByChunksOrByDescriptor) {
  Answer answer = get("/large.txt");
  EXPECT_EQ(answer.body, large_);
  EXPECT_EQ(answer.chunk_sizes.size(), 4u);
  for (const size_t size : answer.chunk_sizes) EXPECT_LE(size, size_t{64 * 1024});
  harness_.take_files = true;
  answer = get("/large.txt");
  EXPECT_TRUE(answer.by_file);
  EXPECT_EQ(answer.body, large_);
  answer = get("/large.txt", {{"Range", "bytes=149998-150001"}});
  EXPECT_TRUE(answer.by_file);
  EXPECT_EQ(answer.body, "aabb");
  EXPECT_FALSE(get("/digits.txt").by_file);
}

TEST_F(StaticFilesTest, HeadTellsWhatGetWould) {
  for (const char* target : {"/digits.txt", "/large.txt", "/docs/"}) {
    const Answer with_body = get(target);
    const Answer head = run({.method = "HEAD", .target = target});
    EXPECT_EQ(head.status, 200);
    EXPECT_FALSE(head.has_body);
    EXPECT_EQ(head.content_length, with_body.content_length);
    EXPECT_EQ(head.headers, with_body.headers);
  }
}

TEST_F(StaticFilesTest, OtherMethods) {
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"}) {
    const Answer answer = run({.method = method, .target = "/digits.txt"});
    EXPECT_EQ(answer.status, 405) << method;
    EXPECT_EQ(answer.header("Allow"), "GET, HEAD, OPTIONS");
  }
  const Answer options = run({.method = "OPTIONS", .target = "/digits.txt"});
  EXPECT_EQ(options.status, 204);
  EXPECT_EQ(options.header("Allow"), "GET, HEAD, OPTIONS");
  EXPECT_FALSE(options.has_body);
}

TEST_F(StaticFilesTest, PathsTable) {
  struct Row {
    const char* target;
    uint16_t status;
    const char* body;  // null: not looked at
  };
  const Row rows[] = {
      {"/docs/a%20b.txt", 200, "space"},
      {"/docs/%61%20b.txt", 200, "space"},
      {"/100%25.txt", 200, "percent"},
      {"/%2541.txt", 200, "not decoded twice"},
      {"/A.txt", 404, nullptr},
      {"/docs/", 200, "<p>docs</p>"},
      {"/docs//", 200, "<p>docs</p>"},
      {"//docs/index.html", 200, "<p>docs</p>"},
      {"/docs/./index.html", 200, "<p>docs</p>"},
      {"/empty/../docs/index.html", 200, "<p>docs</p>"},
      {"/empty/", 403, nullptr},
      {"/", 403, nullptr},
      {"/nothing", 404, nullptr},
      {"/nothing/", 404, nullptr},
      {"/digits.txt/", 404, nullptr},
      {"/digits.txt/x", 404, nullptr},
      {"/digits.txt.", 404, nullptr},
      {"/DIGITS.TXT", 404, nullptr},
      {"/docs%2findex.html", 404, nullptr},
      {"/docs%2F..%2F..%2Foutside.txt", 404, nullptr},
      {"/docs%5c..%5c..%5coutside.txt", 404, nullptr},
      {"/..\\outside.txt", 404, nullptr},
      {"/relative-link", 404, nullptr},
      {"/absolute-link", 404, nullptr},
      {"/folder-link/outside.txt", 404, nullptr},
      {"/inner-link", 404, nullptr},
      {"/fifo", 404, nullptr},
  };
  for (const Row& row : rows) {
    const Answer answer = get(row.target);
    EXPECT_EQ(answer.status, row.status) << row.target;
    if (row.body != nullptr) {
      EXPECT_EQ(answer.body, row.body) << row.target;
    }
    EXPECT_EQ(answer.body.find("secret"), std::string::npos) << row.target;
  }
}

// What a rewrite could put there after the target was checked.
TEST_F(StaticFilesTest, PathsThatNoClientCanSendAreRefusedToo) {
  class SetPath final : public http::Filter {
   public:
    explicit SetPath(std::string_view path) : path_(path) {}
    http::FilterRun* start(http::Exchange& exchange, WorkerContext&) const override {
      exchange.request().path = path_;
      return nullptr;
    }
    std::string_view path_;
  };
  using namespace std::string_view_literals;
  for (const std::string_view path :
       {"/../outside.txt"sv, "/docs/../../outside.txt"sv, "/%2e%2e/outside.txt"sv, "/.."sv, "/digits.txt\0.html"sv,
        "/digits.txt%00.html"sv, "/docs%2f..%2f..%2foutside.txt"sv, ""sv, "/%"sv, "/%zz"sv}) {
    const SetPath filter(path);
    const Answer answer = harness_.run({}, {&filter}, handler());
    EXPECT_TRUE(answer.status == 404 || answer.status == 403 || answer.status == 301) << path;
    EXPECT_EQ(answer.body.find("secret"), std::string::npos) << path;
  }
}

TEST_F(StaticFilesTest, LinksThatStayInsideAreFollowedWhenAsked) {
  options_.root.symlinks = Symlinks::kFollow;
  EXPECT_EQ(get("/inner-link").body, kDigits);
  for (const char* target : {"/relative-link", "/absolute-link", "/folder-link/outside.txt"}) {
    EXPECT_EQ(get(target).status, 404) << target;
  }
}

TEST_F(StaticFilesTest, AFolderWithoutItsSlashIsRedirected) {
  Answer answer = get("/docs");
  EXPECT_EQ(answer.status, 301);
  EXPECT_EQ(answer.header("Location"), "/docs/");
  EXPECT_EQ(get("/docs?a=1&b=%20").header("Location"), "/docs/?a=1&b=%20");
  EXPECT_EQ(get("/docs?").header("Location"), "/docs/?");
  // Not to another host.
  EXPECT_EQ(get("//docs").header("Location"), "/docs/");
  folder_.make_folder("www/a\r\nb");
  EXPECT_EQ(get("/a%0d%0ab").header("Location"), "/a%0d%0ab/");
}

TEST_F(StaticFilesTest, IndexNamesAreTriedInOrder) {
  options_.index = {"index.htm", "sub/index.html", "index.html"};
  EXPECT_EQ(get("/docs/").body, "<p>docs</p>");
  folder_.write("www/docs/sub/index.html", "sub");
  second_passes();
  EXPECT_EQ(get("/docs/").body, "sub");
  folder_.write("www/docs/index.htm", "htm");
  second_passes();
  EXPECT_EQ(get("/docs/").body, "htm");
}

TEST_F(StaticFilesTest, TryFiles) {
  folder_.write("www/app.html", "app");
  folder_.write("www/page.html", "page");
  struct Row {
    std::vector<std::string> names;
    const char* target;
    uint16_t status;
    const char* body;
  };
  const Row rows[] = {
      {{"$uri", "/app.html"}, "/digits.txt", 200, "0123456789"},
      {{"$uri", "/app.html"}, "/deep/link?x=1", 200, "app"},
      {{"$uri", "/app.html"}, "/docs/", 200, "app"},
      {{"$uri", "$uri/", "/app.html"}, "/docs/", 200, "<p>docs</p>"},
      {{"$uri", "$uri/", "/app.html"}, "/docs", 301, nullptr},
      {{"$uri", "$uri/", "/app.html"}, "/none/", 200, "app"},
      {{"$uri", "$uri.html", "=404"}, "/page", 200, "page"},
      {{"$uri", "$uri.html", "=404"}, "/none", 404, nullptr},
      {{"$uri", "=403"}, "/none", 403, nullptr},
      {{"$uri", "=410"}, "/none", 410, nullptr},
      {{"$uri", "=204"}, "/none", 204, ""},
      {{"$uri", "/none.html"}, "/none", 404, nullptr},
      {{"$uri", "/app.html?$args"}, "/none", 200, "app"},
      {{"$uri", "/docs/"}, "/none", 200, "<p>docs</p>"},
      {{"$uri", "/docs"}, "/none", 200, "<p>docs</p>"},
      {{"/docs$uri", "$uri"}, "/index.html", 200, "<p>docs</p>"},
      {{"/docs$uri", "$uri"}, "/digits.txt", 200, "0123456789"},
      {{"$uri", "/app.html"}, "/relative-link", 200, "app"},
  };
  for (const Row& row : rows) {
    options_.try_files = row.names;
    handler_.reset();
    const Answer answer = get(row.target);
    EXPECT_EQ(answer.status, row.status) << row.target << " " << row.names.back();
    if (row.body != nullptr) {
      EXPECT_EQ(answer.body, row.body) << row.target << " " << row.names.back();
    }
  }
}

TEST_F(StaticFilesTest, BadOptionsAreExplained) {
  const auto refused = [this](auto&& change) {
    StaticFilesOptions options = options_;
    change(options);
    std::string why;
    EXPECT_FALSE(StaticFiles::create(options, &why).has_value());
    EXPECT_FALSE(why.empty());
  };
  refused([](auto& o) { o.root.path = "www"; });
  refused([](auto& o) { o.root.path = ""; });
  refused([](auto& o) { o.try_files = {"$uri", "$document_root/x"}; });
  refused([](auto& o) { o.try_files = {"$uri$uri", "/x"}; });
  refused([](auto& o) { o.try_files = {"$uri", "=99"}; });
  refused([](auto& o) { o.try_files = {"$uri", "=abc"}; });
  refused([](auto& o) { o.try_files = {"=404", "/x"}; });
  refused([](auto& o) { o.try_files = {"$uri", "@backend"}; });
  refused([](auto& o) { o.index = {"/index.html"}; });
  refused([](auto& o) { o.index = {"../index.html"}; });
  refused([](auto& o) { o.cache_control = "a\r\nb: c"; });
  refused([](auto& o) { o.strip_prefix = "docs"; });
}

TEST_F(StaticFilesTest, StripPrefixCutsWholeSegments) {
  options_.strip_prefix = "/files/";
  EXPECT_EQ(get("/files/digits.txt").body, kDigits);
  EXPECT_EQ(get("/filesdigits.txt").status, 404);
  EXPECT_EQ(get("/files/docs").header("Location"), "/files/docs/");
  EXPECT_EQ(get("/files").header("Location"), "/files/");
  EXPECT_EQ(get("/digits.txt").body, kDigits);
}

TEST_F(StaticFilesTest, ConfiguredFields) {
  options_.cache_control = "max-age=60";
  options_.content_types = {{"txt", "text/x-mine"}, {"html", "text/other"}};
  Answer answer = get("/digits.txt");
  EXPECT_EQ(answer.header("Cache-Control"), "max-age=60");
  EXPECT_EQ(answer.header("Content-Type"), "text/x-mine");
  answer = get("/digits.txt", {{"If-None-Match", "*"}});
  EXPECT_EQ(answer.status, 304);
  EXPECT_EQ(answer.header("Cache-Control"), "max-age=60");
}

TEST_F(StaticFilesTest, Conditions) {
  const std::string etag(get("/digits.txt").header("ETag"));
  const std::string later = "Sun, 06 Nov 1994 08:49:38 GMT";
  const std::string earlier = "Sun, 06 Nov 1994 08:49:36 GMT";
  struct Row {
    FieldList headers;
    uint16_t status;
  };
  const Row rows[] = {
      {{{"If-None-Match", etag}}, 304},
      {{{"If-None-Match", "W/" + etag}}, 304},
      {{{"If-None-Match", "\"other\", " + etag}}, 304},
      {{{"If-None-Match", "*"}}, 304},
      {{{"If-None-Match", "\"other\""}}, 200},
      {{{"If-None-Match", "\"other\""}, {"If-Modified-Since", kModified}}, 200},
      {{{"If-Modified-Since", kModified}}, 304},
      {{{"If-Modified-Since", later}}, 304},
      {{{"If-Modified-Since", earlier}}, 200},
      {{{"If-Modified-Since", "yesterday"}}, 200},
      {{{"If-Match", etag}}, 200},
      {{{"If-Match", "*"}}, 200},
      {{{"If-Match", "\"other\""}}, 412},
      {{{"If-Match", "W/" + etag}}, 412},
      {{{"If-Unmodified-Since", kModified}}, 200},
      {{{"If-Unmodified-Since", earlier}}, 412},
      {{{"If-Match", etag}, {"If-None-Match", etag}}, 304},
      {{{"If-None-Match", etag}, {"Range", "bytes=0-1"}}, 304},
  };
  for (const Row& row : rows) {
    const Answer answer = get("/digits.txt", row.headers);
    EXPECT_EQ(answer.status, row.status) << row.headers[0].first << ": " << row.headers[0].second;
    if (row.status == 304) {
      EXPECT_FALSE(answer.has_body);
      EXPECT_EQ(answer.header("ETag"), etag);
      EXPECT_EQ(answer.count("Content-Type"), 0u);
    }
  }
}

TEST_F(StaticFilesTest, Ranges) {
  struct Row {
    const char* range;
    uint16_t status;
    const char* content_range;
    const char* body;
  };
  const Row rows[] = {
      {"bytes=0-0", 206, "bytes 0-0/10", "0"},
      {"bytes=2-4", 206, "bytes 2-4/10", "234"},
      {"bytes=5-", 206, "bytes 5-9/10", "56789"},
      {"bytes=-3", 206, "bytes 7-9/10", "789"},
      {"bytes=-99", 206, "bytes 0-9/10", "0123456789"},
      {"bytes=8-99", 206, "bytes 8-9/10", "89"},
      {"bytes=10-", 416, "bytes */10", nullptr},
      {"bytes=-0", 416, "bytes */10", nullptr},
      {"bytes=4-2", 200, "", "0123456789"},
      {"bytes=a-b", 200, "", "0123456789"},
      {"lines=0-1", 200, "", "0123456789"},
      {"bytes=99-100,2-3", 206, "bytes 2-3/10", "23"},
  };
  for (const Row& row : rows) {
    const Answer answer = get("/digits.txt", {{"Range", row.range}});
    EXPECT_EQ(answer.status, row.status) << row.range;
    EXPECT_EQ(answer.header("Content-Range"), row.content_range) << row.range;
    if (row.body != nullptr) {
      EXPECT_EQ(answer.body, row.body) << row.range;
      EXPECT_EQ(answer.content_length, answer.body.size()) << row.range;
    }
  }
}

TEST_F(StaticFilesTest, SeveralRangesAreMultipart) {
  const Answer answer = get("/digits.txt", {{"Range", "bytes=0-1,8-9"}});
  EXPECT_EQ(answer.status, 206);
  const std::string_view type = answer.header("Content-Type");
  constexpr std::string_view kStart = "multipart/byteranges; boundary=";
  ASSERT_TRUE(type.starts_with(kStart)) << type;
  const std::string boundary(type.substr(kStart.size()));
  EXPECT_EQ(answer.count("Content-Range"), 0u);
  const std::string part_type(get("/digits.txt").header("Content-Type"));
  EXPECT_EQ(answer.body, "--" + boundary + "\r\nContent-Type: " + part_type + "\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--" +
                             boundary + "\r\nContent-Type: " + part_type + "\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n--" +
                             boundary + "--\r\n");
  EXPECT_EQ(answer.content_length, answer.body.size());
  const Answer large = get("/large.txt", {{"Range", "bytes=0-99999,100001-199999"}});
  EXPECT_EQ(large.status, 206);
  EXPECT_EQ(large.content_length, large.body.size());
  EXPECT_GT(large.body.size(), 199'999u);
}

TEST_F(StaticFilesTest, AbusiveRangesGetTheWholeFile) {
  std::string many = "bytes=0-0";
  for (int i = 1; i < 2000; ++i) many += "," + std::to_string(i) + "-" + std::to_string(i);
  EXPECT_EQ(get("/large.txt", {{"Range", many}}).status, 200);
  EXPECT_EQ(get("/digits.txt", {{"Range", "bytes=0-5,3-8"}}).status, 200);
}

TEST_F(StaticFilesTest, IfRange) {
  const std::string etag(get("/digits.txt").header("ETag"));
  const auto status = [this](std::string if_range) {
    return get("/digits.txt", {{"Range", "bytes=0-1"}, {"If-Range", std::move(if_range)}}).status;
  };
  EXPECT_EQ(status(etag), 206);
  EXPECT_EQ(status("\"other\""), 200);
  EXPECT_EQ(status("W/" + etag), 200);
  EXPECT_EQ(status(kModified), 206);
  EXPECT_EQ(status("Sun, 06 Nov 1994 08:49:38 GMT"), 200);
}

TEST_F(StaticFilesTest, PrecompressedSiblings) {
  folder_.write("www/app.js", "plain");
  folder_.write("www/app.js.gz", "GZIP");
  folder_.write("www/app.js.br", "BROTLI");
  struct Row {
    const char* accept;
    const char* coding;
    const char* body;
  };
  const Row rows[] = {
      {"gzip", "gzip", "GZIP"},
      {"gzip, br", "br", "BROTLI"},
      {"gzip, deflate, br, zstd", "br", "BROTLI"},
      {"br;q=0.1, gzip", "gzip", "GZIP"},
      {"gzip;q=0, br;q=0", "", "plain"},
      {"*", "br", "BROTLI"},
      {"*;q=0", "", "plain"},
      {"identity", "", "plain"},
      {"", "", "plain"},
  };
  for (const Row& row : rows) {
    const Answer answer = get("/app.js", {{"Accept-Encoding", row.accept}});
    EXPECT_EQ(answer.header("Content-Encoding"), row.coding) << row.accept;
    EXPECT_EQ(answer.body, row.body) << row.accept;
    EXPECT_EQ(answer.header("Vary"), "Accept-Encoding") << row.accept;
    EXPECT_EQ(answer.header("Content-Type"), get("/app.js").header("Content-Type"));
  }
  EXPECT_EQ(get("/digits.txt", {{"Accept-Encoding", "gzip"}}).count("Vary"), 0u);
  EXPECT_NE(get("/app.js").header("ETag"), get("/app.js", {{"Accept-Encoding", "gzip"}}).header("ETag"));
  options_.precompressed = false;
  handler_.reset();
  EXPECT_EQ(get("/app.js", {{"Accept-Encoding", "gzip"}}).body, "plain");
}

TEST_F(StaticFilesTest, ListsAFolder) {
  options_.autoindex = true;
  folder_.write("www/list/b<i>.txt", "12345");
  folder_.write("www/list/.hidden", "");
  folder_.write("www/list/a b&\"'.txt", "");
  folder_.make_folder("www/list/zz");
  folder_.link("../../outside.txt", "www/list/link");
  const Answer answer = get("/list/");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("Content-Type"), "text/html; charset=utf-8");
  EXPECT_EQ(answer.content_length, answer.body.size());
  const auto at = [&answer](std::string_view text) { return answer.body.find(text); };
  EXPECT_NE(at("<a href=\"./zz/\">zz/</a>"), std::string::npos) << answer.body;
  EXPECT_NE(at("<a href=\"./b%3Ci%3E.txt\">b&lt;i&gt;.txt</a>"), std::string::npos);
  EXPECT_NE(at("<a href=\"./a%20b%26%22%27.txt\">a b&amp;&quot;&#39;.txt</a>"), std::string::npos);
  EXPECT_NE(at("<td>5</td>"), std::string::npos);
  EXPECT_EQ(at("hidden"), std::string::npos);
  EXPECT_EQ(at("link"), std::string::npos);
  EXPECT_LT(at("zz"), at("a b&amp;"));
  EXPECT_LT(at("a b&amp;"), at("b&lt;i"));
  EXPECT_EQ(get("/docs/").body, "<p>docs</p>");
  EXPECT_EQ(run({.method = "HEAD", .target = "/list/"}).content_length, answer.content_length);
}

TEST_F(StaticFilesTest, ListsTheRootWithoutAWayUp) {
  options_.autoindex = true;
  options_.index = {};
  const Answer answer = get("/");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body.find("../"), std::string::npos);
  EXPECT_NE(get("/docs/").body.find("<a href=\"../\">"), std::string::npos);
}

TEST_F(StaticFilesTest, AFileThatShrinksWhileItIsSentIsNoCleanEnd) {
  harness_.pull_at_once = false;
  harness_.begin({.target = "/large.txt"}, {}, handler());
  harness_.pull();
  ASSERT_EQ(::truncate(folder_.at("www/large.txt").c_str(), 70'000), 0);
  while (!harness_.ended()) harness_.pull();
  const Answer answer = harness_.end();
  EXPECT_TRUE(answer.failed);
  EXPECT_FALSE(answer.complete);
}

TEST_F(StaticFilesTest, ContentIdsNameWholeFilesOnly) {
  harness_.pull_at_once = false;
  const auto id = [this](FieldList headers) {
    uint64_t found = 0;
    class Look final : public http::Filter, public http::FilterRun {
     public:
      explicit Look(uint64_t& into) : into_(into) {}
      http::FilterRun* start(http::Exchange& exchange, WorkerContext&) const override {
        return exchange.arena().make<Look>(into_);
      }
      http::BodySource* wrap_response_body(http::Exchange&, http::ResponseHead&, http::BodySource* body) override {
        into_ = body->content_id();
        return body;
      }
      uint64_t& into_;
    };
    const Look look(found);
    harness_.begin({.target = "/digits.txt", .headers = std::move(headers)}, {&look}, handler());
    harness_.end();
    return found;
  };
  const uint64_t whole = id({});
  EXPECT_NE(whole, 0u);
  EXPECT_EQ(id({}), whole);
  EXPECT_EQ(id({{"Range", "bytes=0-1"}}), 0u);
}

TEST_F(StaticFilesTest, AMissingRootIsNotFound) {
  options_.root.path = folder_.at("later");
  EXPECT_EQ(get("/digits.txt").status, 404);
  folder_.write("later/digits.txt", "now");
  second_passes();
  EXPECT_EQ(get("/digits.txt").body, "now");
}

}  // namespace
}  // namespace headgate::handlers
