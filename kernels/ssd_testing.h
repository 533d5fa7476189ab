// A random SSD problem that owns its memory, for the tests of kernels/ssd*.
#ifndef OCTET_KERNELS_SSD_TESTING_H_
#define OCTET_KERNELS_SSD_TESTING_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/buffer.h"
#include "base/rng.h"
#include "kernels/ssd.h"
#include "kernels/state_testing.h"
#include "kernels/table.h"
#include "tensor/codecs/uniform.h"
#include "tensor/dtype.h"

namespace octet::testing {

struct SsdShape {
  int64_t T = 1, H = 2, P = 5, N = 21, G = 1, L = 16;
  bool D_per_channel = false;
  StateFormat state;
  uint64_t seed = 1;
  bool extreme = false;      // every code of B and C is +-127
  bool fine_scales = false;  // scales of B and C have 24 bits, so that products of two need 36

  std::string Name() const {
    return fmt::format(
        "T={} H={} P={} N={} G={} L={} D_per_channel={} state={} seed={} extreme={} "
        "fine_scales={}",
        T, H, P, N, G, L, D_per_channel, ToText(state), seed, extreme, fine_scales);
  }
};

// What a kernel wrote. Compared bit for bit: -0 differs from 0.
struct SsdOutput {
  std::vector<uint32_t> y;
  std::vector<std::byte> h;
  std::vector<uint32_t> h_scales;
  std::vector<uint8_t> h_residuals;
  friend bool operator==(const SsdOutput&, const SsdOutput&) = default;
};

// Values are of the sizes found in trained models: |a| of a chunk reaches about 0.1 L. Gaps between
// rows hold NaN or code 99. B_codes * B_scale == B, and the same for C, so that one problem has a
// float form and an int8 form on equal inputs.
class SsdProblem {
 public:
  explicit SsdProblem(const SsdShape& shape) : shape_(shape) {
    Rng rng(shape.seed);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    x_stride_ = shape.H * shape.P + 3;
    bc_stride_ = shape.G * shape.N + 5;
    x_.assign(Count(shape.T * x_stride_), nan);
    for (int64_t t = 0; t < shape.T; ++t) {
      for (int64_t i = 0; i < shape.H * shape.P; ++i) {
        x_[Count(t * x_stride_ + i)] = rng.Uniform(-2.0f, 2.0f);
      }
    }
    for (int64_t i = 0; i < shape.T * shape.H; ++i) {
      dt_.push_back(std::exp(rng.Uniform(-6.9f, -2.3f)));
    }
    for (int64_t h = 0; h < shape.H; ++h) {
      A_.push_back(-std::exp(rng.Uniform(-3.0f, 2.0f)));
    }
    const int64_t skips = shape.D_per_channel ? shape.H * shape.P : shape.H;
    for (int64_t i = 0; i < skips; ++i) {
      D_.push_back(rng.Uniform(-1.0f, 1.0f));
    }
    for (int64_t g = 0; g < shape.G; ++g) {
      for (auto* scale : {&b_scale_, &c_scale_}) {
        const float fine = rng.Uniform(0.005f, 0.01f);
        scale->push_back(shape.fine_scales ? fine : RoundScale(fine));
      }
      score_scale_.push_back(
          RoundScale(0.5f * std::sqrt(static_cast<float>(shape.N)) / kMaxCodeI8));
    }
    FillCodes(&rng, b_scale_, &b_codes_, &b_);
    FillCodes(&rng, c_scale_, &c_codes_, &c_);
    for (int64_t i = 0; i < shape.H * shape.P; ++i) {
      x_scale_.push_back(RoundScale(rng.Uniform(0.1f, 0.2f) / kMaxCodeI8));
      state_scale_.push_back(RoundScale(rng.Uniform(0.5f, 2.0f) / kMaxCodeI8));
    }
    FillState(&rng);
    y_.assign(Count(shape.T * shape.H * shape.P), nan);
    scales_ = {b_scale_.data(), c_scale_.data(), x_scale_.data(), score_scale_.data(),
               state_scale_.data()};
  }
  SsdProblem(const SsdProblem&) = delete;
  SsdProblem& operator=(const SsdProblem&) = delete;

  const SsdShape& shape() const { return shape_; }
  const SsdScales& scales() const { return scales_; }
  // The code of X_s in the int8 forms asked for from now on.
  void SetXScaledCodec(Codec codec) { scales_.x_scaled_codec = codec; }

  // The float form on decoded B and C, all heads. The pointers are into this object.
  SsdArgs Float() {
    SsdArgs args = {};
    args.T = shape_.T;
    args.H = shape_.H;
    args.P = shape_.P;
    args.N = shape_.N;
    args.G = shape_.G;
    args.L = shape_.L;
    args.head_end = shape_.H;
    args.x = x_.data();
    args.x_stride = x_stride_;
    args.bc_dtype = DType::kF32;
    args.B = b_.data();
    args.C = c_.data();
    args.bc_stride = bc_stride_;
    args.dt = dt_.data();
    args.A = A_.data();
    args.D = D_.data();
    args.D_per_channel = shape_.D_per_channel;
    args.h = memory_.View();
    args.y = y_.data();
    args.passing = StatePassing::kFloat;
    return args;
  }
  // The int8 form.
  SsdArgs Codes(StatePassing passing) {
    SsdArgs args = Float();
    args.bc_dtype = DType::kI8;
    args.B = b_codes_.data();
    args.C = c_codes_.data();
    args.scales = &scales_;
    args.passing = passing;
    return args;
  }
  // The int8 form with scales per chunk where a bit of `sites` is set: 1 X_s, 2 scores, 4 states.
  SsdArgs PerChunk(int sites = 7) {
    SsdArgs args = Codes(StatePassing::kFloat);
    SsdScales& scales = per_chunk_[sites];
    scales = scales_;
    if ((sites & 1) != 0) scales.x_scaled = nullptr;
    if ((sites & 2) != 0) scales.score = nullptr;
    if ((sites & 4) != 0) scales.state = nullptr;
    args.scales = &scales;
    return args;
  }
  // `args` of this problem, restricted to tokens [begin, end).
  SsdArgs Tokens(SsdArgs args, int64_t begin, int64_t end) const {
    args.T = end - begin;
    args.x += begin * x_stride_;
    args.dt += begin * shape_.H;
    args.y += begin * shape_.H * shape_.P;
    args.h.position += begin;
    const int64_t bytes = begin * bc_stride_ * BytesOf(args.bc_dtype, 1);
    args.B = static_cast<const char*>(args.B) + bytes;
    args.C = static_cast<const char*>(args.C) + bytes;
    return args;
  }

  // y and h now; Reset() brings back the initial h and fills y with NaN.
  SsdOutput Output() const {
    SsdOutput out;
    for (const float v : y_) {
      out.y.push_back(std::bit_cast<uint32_t>(v));
    }
    out.h = memory_.codes();
    for (const float v : memory_.scales()) {
      out.h_scales.push_back(std::bit_cast<uint32_t>(v));
    }
    out.h_residuals = memory_.residuals();
    return out;
  }
  void Reset() {
    memory_.CopyFrom(initial_);
    std::fill(y_.begin(), y_.end(), std::numeric_limits<float>::quiet_NaN());
  }
  const std::vector<float>& y() const { return y_; }
  // The state's values as they are stored now, [H, P, N].
  std::vector<float> StateValues() const { return memory_.Values(); }
  // Channel i = h * P + p of token t.
  float* mutable_x(int64_t t, int64_t i) { return &x_[Count(t * x_stride_ + i)]; }
  void FillX(float value) { std::ranges::fill(x_, value); }
  // All codes of B and C; the float form keeps its own.
  void FillCodes(int8_t code) {
    std::ranges::fill(b_codes_, code);
    std::ranges::fill(c_codes_, code);
  }
  std::vector<float>* mutable_A() { return &A_; }
  std::vector<float>* mutable_dt() { return &dt_; }

 private:
  static size_t Count(int64_t n) { return static_cast<size_t>(n); }

  void FillCodes(Rng* rng, const std::vector<float>& scales, std::vector<int8_t>* codes,
                 std::vector<float>* values) {
    codes->assign(Count(shape_.T * bc_stride_), 99);
    values->assign(Count(shape_.T * bc_stride_), std::numeric_limits<float>::quiet_NaN());
    for (int64_t t = 0; t < shape_.T; ++t) {
      for (int64_t i = 0; i < shape_.G * shape_.N; ++i) {
        int code = static_cast<int>(rng->Below(255)) - 127;
        if (shape_.extreme) code = code < 100 ? -127 : 127;
        const size_t at = Count(t * bc_stride_ + i);
        (*codes)[at] = static_cast<int8_t>(code);
        (*values)[at] = static_cast<float>(code) * scales[Count(i / shape_.N)];
      }
    }
  }

  void FillState(Rng* rng) {
    std::vector<float> row(Count(shape_.N));
    for (int64_t i = 0; i < shape_.H * shape_.P; ++i) {
      for (float& v : row) {
        v = rng->Uniform(-1.0f, 1.0f);
      }
      StoreStateRow(memory_.View(), i, shape_.N, 0, row.data());
    }
    initial_.CopyFrom(memory_);
  }

  SsdShape shape_;
  int64_t x_stride_, bc_stride_;
  std::vector<float> x_, dt_, A_, D_, b_, c_, y_;
  std::vector<int8_t> b_codes_, c_codes_;
  std::vector<float> b_scale_, c_scale_, x_scale_, score_scale_, state_scale_;
  StateMemory memory_{shape_.state, shape_.H* shape_.P, shape_.N, 2.0f, shape_.N};
  StateMemory initial_ = memory_;
  SsdScales scales_;
  SsdScales per_chunk_[8];
};

// The kernel named `name`; the test's author promises that it exists.
inline const Kernel<SsdArgs>* SsdKernel(const std::string& name) {
  for (const Kernel<SsdArgs>* kernel : Kernels<SsdArgs>().all()) {
    if (name == kernel->name) return kernel;
  }
  return nullptr;
}

// Kernels that accept `args`, apart from the double-precision oracle.
inline std::vector<const Kernel<SsdArgs>*> Accepting(const SsdArgs& args) {
  std::vector<const Kernel<SsdArgs>*> kernels;
  for (const Kernel<SsdArgs>* kernel : Kernels<SsdArgs>().all()) {
    if (kernel->rank > 0 && kernel->why_not(args) == nullptr) kernels.push_back(kernel);
  }
  return kernels;
}

// Runs with scratch of exactly the size asked for, filled with bytes that are no sensible number.
inline void RunSsd(const Kernel<SsdArgs>& kernel, const SsdArgs& args) {
  Buffer scratch(kernel.scratch_bytes(args));
  std::fill(scratch.data(), scratch.data() + scratch.bytes(), std::byte{0xff});
  kernel.run(args, {scratch.data()});
}

}  // namespace octet::testing
#endif  // OCTET_KERNELS_SSD_TESTING_H_
