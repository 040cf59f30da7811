#include <zlib.h>

#include <algorithm>
#include <memory>

#include "dataplane/filters/encoder.h"
#include "dataplane/filters/encoder_pool.h"

namespace headgate::filters {
namespace {

constexpr int kGzipWindow = 15 + 16;  // 32 KiB of history; +16 asks zlib for the gzip wrapper
constexpr int kMemoryLevel = 8;

class GzipEncoder final : public Encoder {
 public:
  explicit GzipEncoder(int level) : level_(level) {
    ok_ = deflateInit2(&stream_, level, Z_DEFLATED, kGzipWindow, kMemoryLevel, Z_DEFAULT_STRATEGY) == Z_OK;
  }
  GzipEncoder(const GzipEncoder&) = delete;
  GzipEncoder& operator=(const GzipEncoder&) = delete;
  ~GzipEncoder() override {
    if (ok_) deflateEnd(&stream_);
  }

  [[nodiscard]] bool ok() const { return ok_; }
  void prepare(int level) {
    if (level == level_) return;
    // At the start of a stream this only changes the settings.
    if (deflateParams(&stream_, level, Z_DEFAULT_STRATEGY) == Z_OK) level_ = level;
  }
  bool reset() { return deflateReset(&stream_) == Z_OK; }

  Step run(std::string_view input, std::span<char> output, Flush flush) override {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = static_cast<uInt>(input.size());
    stream_.next_out = reinterpret_cast<Bytef*>(output.data());
    stream_.avail_out = static_cast<uInt>(output.size());
    const int mode = flush == Flush::kFinish ? Z_FINISH : flush == Flush::kSync ? Z_SYNC_FLUSH : Z_NO_FLUSH;
    const int result = deflate(&stream_, mode);
    Step step{.consumed = input.size() - stream_.avail_in, .produced = output.size() - stream_.avail_out};
    // Z_BUF_ERROR: nothing to do with what it was given; not an error.
    step.failed = result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR;
    step.complete = flush == Flush::kFinish ? result == Z_STREAM_END : stream_.avail_out != 0;
    return step;
  }
  void release() override;

 private:
  z_stream stream_{};
  int level_;
  bool ok_ = false;
};

using GzipPool = EncoderPool<GzipEncoder, 256, 8>;

void GzipEncoder::release() { GzipPool::of_this_thread().end(this, reset()); }

}  // namespace

EncoderLease take_gzip_encoder(int level) {
  GzipPool& pool = GzipPool::of_this_thread();
  if (pool.full()) return {};
  level = std::clamp(level, 1, 9);
  std::unique_ptr<GzipEncoder> encoder = pool.take_idle();
  if (encoder != nullptr) {
    encoder->prepare(level);
  } else {
    encoder = std::make_unique<GzipEncoder>(level);
    if (!encoder->ok()) return {};
  }
  return EncoderLease(pool.begin(std::move(encoder)));
}

}  // namespace headgate::filters
