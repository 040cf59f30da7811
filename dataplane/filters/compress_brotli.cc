#include <brotli/encode.h>

#include <algorithm>
#include <memory>

#include "dataplane/filters/encoder.h"
#include "dataplane/filters/encoder_pool.h"

namespace headgate::filters {
namespace {

constexpr int kBrotliWindow = 18;  // 256 KiB of history: bodies here have at most a few MiB

// The library cannot start a state over: each body has its own.
class BrotliEncoder final : public Encoder {
 public:
  explicit BrotliEncoder(int level) : state_(BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)) {
    if (state_ == nullptr) return;
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_QUALITY, static_cast<uint32_t>(level));
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_LGWIN, kBrotliWindow);
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_MODE, BROTLI_MODE_TEXT);
  }
  BrotliEncoder(const BrotliEncoder&) = delete;
  BrotliEncoder& operator=(const BrotliEncoder&) = delete;
  ~BrotliEncoder() override { BrotliEncoderDestroyInstance(state_); }

  [[nodiscard]] bool ok() const { return state_ != nullptr; }

  Step run(std::string_view input, std::span<char> output, Flush flush) override {
    size_t input_left = input.size();
    const auto* next_in = reinterpret_cast<const uint8_t*>(input.data());
    size_t output_left = output.size();
    auto* next_out = reinterpret_cast<uint8_t*>(output.data());
    const BrotliEncoderOperation operation = flush == Flush::kFinish ? BROTLI_OPERATION_FINISH
                                             : flush == Flush::kSync ? BROTLI_OPERATION_FLUSH
                                                                     : BROTLI_OPERATION_PROCESS;
    const bool ok =
        BrotliEncoderCompressStream(state_, operation, &input_left, &next_in, &output_left, &next_out, nullptr) != 0;
    Step step{.consumed = input.size() - input_left, .produced = output.size() - output_left};
    step.failed = !ok;
    step.complete = flush == Flush::kFinish ? BrotliEncoderIsFinished(state_) != 0
                                            : input_left == 0 && BrotliEncoderHasMoreOutput(state_) == 0;
    return step;
  }
  void release() override;

 private:
  BrotliEncoderState* state_;
};

using BrotliPool = EncoderPool<BrotliEncoder, 64, 0>;

void BrotliEncoder::release() { BrotliPool::of_this_thread().end(this, false); }

}  // namespace

EncoderLease take_brotli_encoder(int level) {
  BrotliPool& pool = BrotliPool::of_this_thread();
  if (pool.full()) return {};
  auto encoder = std::make_unique<BrotliEncoder>(std::clamp(level, 1, 11));
  if (!encoder->ok()) return {};
  return EncoderLease(pool.begin(std::move(encoder)));
}

}  // namespace headgate::filters
