#include <zstd.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "dataplane/filters/encoder.h"

namespace headgate::filters {
namespace {

constexpr size_t kMaxActive = 64;
constexpr size_t kMaxIdle = 4;
constexpr int kWindow = 19;  // 512 KiB of history: what a context costs depends on it; RFC 8878 7 lets a client expect 8 MiB

class ZstdEncoder final : public Encoder {
 public:
  ZstdEncoder() : context_(ZSTD_createCCtx()) {}
  ZstdEncoder(const ZstdEncoder&) = delete;
  ZstdEncoder& operator=(const ZstdEncoder&) = delete;
  ~ZstdEncoder() override { ZSTD_freeCCtx(context_); }

  bool prepare(int level) {
    return context_ != nullptr && ZSTD_isError(ZSTD_CCtx_reset(context_, ZSTD_reset_session_and_parameters)) == 0 &&
           ZSTD_isError(ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, level)) == 0 &&
           ZSTD_isError(ZSTD_CCtx_setParameter(context_, ZSTD_c_windowLog, kWindow)) == 0;
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

struct Pool {
  std::vector<std::unique_ptr<ZstdEncoder>> idle;
  size_t active = 0;
  Pool() { idle.reserve(kMaxIdle); }
};
Pool& pool() {
  thread_local Pool pool;
  return pool;
}

void ZstdEncoder::release() {
  std::unique_ptr<ZstdEncoder> self(this);
  Pool& encoders = pool();
  --encoders.active;
  if (encoders.idle.size() < kMaxIdle) encoders.idle.push_back(std::move(self));
}

}  // namespace

EncoderLease take_zstd_encoder(int level) {
  Pool& encoders = pool();
  if (encoders.active >= kMaxActive) return {};
  std::unique_ptr<ZstdEncoder> taken;
  if (encoders.idle.empty()) {
    taken = std::make_unique<ZstdEncoder>();
  } else {
    taken = std::move(encoders.idle.back());
    encoders.idle.pop_back();
  }
  if (!taken->prepare(std::clamp(level, 1, 19))) return {};
  ++encoders.active;
  return EncoderLease(taken.release());
}

}  // namespace headgate::filters
