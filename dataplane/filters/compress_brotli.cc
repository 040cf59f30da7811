#include <brotli/encode.h>

#include <algorithm>
#include <memory>

#include "dataplane/filters/encoder.h"

namespace headgate::filters {
namespace {

constexpr size_t kMaxActive = 64;
constexpr int kWindow = 18;  // 256 KiB of history: bodies here have at most a few MiB

thread_local size_t active = 0;

// The library cannot start a state over: each body has its own.
class BrotliEncoder final : public Encoder {
 public:
  explicit BrotliEncoder(int level) : state_(BrotliEncoderCreateInstance(nullptr, nullptr, nullptr)) {
    if (state_ == nullptr) return;
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_QUALITY, static_cast<uint32_t>(level));
    BrotliEncoderSetParameter(state_, BROTLI_PARAM_LGWIN, kWindow);
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
  void release() override {
    --active;
    const std::unique_ptr<BrotliEncoder> self(this);
  }

 private:
  BrotliEncoderState* state_;
};

}  // namespace

EncoderLease take_brotli_encoder(int level) {
  if (active >= kMaxActive) return {};
  auto made = std::make_unique<BrotliEncoder>(std::clamp(level, 1, 11));
  if (!made->ok()) return {};
  ++active;
  return EncoderLease(made.release());
}

}  // namespace headgate::filters
