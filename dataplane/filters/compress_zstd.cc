#include <zstd.h>

#include <algorithm>
#include <memory>

#include "dataplane/filters/encoder.h"
#include "dataplane/filters/encoder_pool.h"

namespace headgate::filters {
namespace {

constexpr int kZstdWindow = 19;  // 512 KiB of history: what a context costs depends on it; RFC 8878 7 lets a client expect 8 MiB

class ZstdEncoder final : public Encoder {
 public:
  ZstdEncoder() : context_(ZSTD_createCCtx()) {}
  ZstdEncoder(const ZstdEncoder&) = delete;
  ZstdEncoder& operator=(const ZstdEncoder&) = delete;
  ~ZstdEncoder() override { ZSTD_freeCCtx(context_); }

  bool prepare(int level) {
    return context_ != nullptr && ZSTD_isError(ZSTD_CCtx_reset(context_, ZSTD_reset_session_and_parameters)) == 0 &&
           ZSTD_isError(ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, level)) == 0 &&
           ZSTD_isError(ZSTD_CCtx_setParameter(context_, ZSTD_c_windowLog, kZstdWindow)) == 0;
  }

  Step run(std::string_view input, std::span<char> output, Flush flush) override {
    ZSTD_inBuffer in{.src = input.data(), .size = input.size(), .pos = 0};
    ZSTD_outBuffer out{.dst = output.data(), .size = output.size(), .pos = 0};
    const ZSTD_EndDirective mode = flush == Flush::kFinish ? ZSTD_e_end : flush == Flush::kSync ? ZSTD_e_flush : ZSTD_e_continue;
    const size_t left = ZSTD_compressStream2(context_, &out, &in, mode);
    Step step{.consumed = in.pos, .produced = out.pos};
    step.failed = ZSTD_isError(left) != 0;
    step.complete = !step.failed && left == 0 && in.pos == in.size;
    return step;
  }
  void release() override;

 private:
  ZSTD_CCtx* context_;
};

using ZstdPool = EncoderPool<ZstdEncoder, 64, 4>;

void ZstdEncoder::release() { ZstdPool::of_this_thread().end(this, true); }

}  // namespace

EncoderLease take_zstd_encoder(int level) {
  ZstdPool& pool = ZstdPool::of_this_thread();
  if (pool.full()) return {};
  std::unique_ptr<ZstdEncoder> encoder = pool.take_idle();
  if (encoder == nullptr) encoder = std::make_unique<ZstdEncoder>();
  if (!encoder->prepare(std::clamp(level, 1, 19))) return {};
  return EncoderLease(pool.begin(std::move(encoder)));
}

}  // namespace headgate::filters
