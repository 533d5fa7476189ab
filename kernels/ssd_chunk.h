// Pieces of SSD that every chunked kernel shares: the scalar arithmetic that fixes bits, the walk
// over heads and groups, and scratch memory. Equations and stage numbers are those of
// kernels/ssd.h.
#ifndef OCTET_KERNELS_SSD_CHUNK_H_
#define OCTET_KERNELS_SSD_CHUNK_H_

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/math.h"
#include "kernels/ssd.h"

namespace octet {

// Stage 1 for head `h` of the chunk of `len` tokens that begins at token t0; writes a[0 .. len).
inline void ChunkCumsum(const SsdArgs& args, int64_t t0, int64_t len, int64_t h, float* a) {
  float sum = 0.0f;
  for (int64_t k = 0; k < len; ++k) {
    sum += args.dt[(t0 + k) * args.H + h] * args.A[h];
    a[k] = sum;
  }
}

// dt_k exp(min(a_to - a_k, 0)): the factor of X_s (a_to = a_last), and of CB in stage 5 (a_to =
// a_m). The minimum is there because a rounded sum may rise by an ulp, and exp must not overflow.
inline float DecayedDt(float a_to, float a_k, float dt) {
  return dt * ExpF(std::min(a_to - a_k, 0.0f));
}

// The chunk's decay as the Q0.7 gate of StatePassing::kGateQ7.
inline int32_t GateQ7(float a_last) {
  const float gate = std::nearbyintf(128.0f * ExpF(a_last));
  return static_cast<int32_t>(std::min(127.0f, std::max(0.0f, gate)));  // NaN becomes 0
}

// Times a gate of 127 it stays below 2^31, and rne(fl(s * scale) * fl(1 / scale)) is s again.
inline constexpr float kMaxStateCode = 0x1.0p20f;

// The running int32 code of StatePassing::kGateQ7 that stands for `value`.
inline int32_t StateCode(float value, float inverse_scale) {
  const float code = std::nearbyintf(value * inverse_scale);
  // NaN becomes the lower end, instead of an undefined conversion.
  return static_cast<int32_t>(std::min(kMaxStateCode, std::max(-kMaxStateCode, code)));
}

// One step of StatePassing::kGateQ7.
inline int32_t PassQ7(int32_t code, int32_t gate, int32_t local) {
  return ((code * gate + 64) >> 7) + local;
}

// D of head `h`, channel `p`.
inline float SkipOf(const SsdArgs& args, int64_t h, int64_t p) {
  return args.D_per_channel ? args.D[h * args.P + p] : args.D[h];
}

// Stage 5 for token m of the chunk at t0, in its normative order. `score` [m + 1] holds the values
// of CB[m, :], `carried` [P] those of S_c C_m; writes y of the token and head.
inline void ScanRow(const SsdArgs& args, int64_t t0, int64_t m, int64_t h, const float* a,
                    const float* score, const float* carried) {
  const int64_t P = args.P;
  const float* x = args.x + t0 * args.x_stride + h * P;
  float* y = args.y + ((t0 + m) * args.H + h) * P;
  const float decay = ExpF(a[m]);
  for (int64_t p = 0; p < P; ++p) {
    y[p] = std::fma(decay, carried[p], SkipOf(args, h, p) * x[m * args.x_stride + p]);
  }
  for (int64_t k = 0; k <= m; ++k) {
    const float w = score[k] * DecayedDt(a[m], a[k], args.dt[(t0 + k) * args.H + h]);
    for (int64_t p = 0; p < P; ++p) {
      y[p] = std::fma(w, x[k * args.x_stride + p], y[p]);
    }
  }
}

// Tokens of the longest chunk, which sizes the scratch memory.
inline int64_t LongestChunk(const SsdArgs& args) {
  return std::min(args.L, args.T);
}

// Heads of group `g` that lie in the range to compute.
struct HeadRange {
  int64_t begin, end;
};
inline HeadRange HeadsOfGroup(const SsdArgs& args, int64_t g) {
  const int64_t per_group = args.H / args.G;
  return {std::max(args.head_begin, g * per_group), std::min(args.head_end, (g + 1) * per_group)};
}

// A stage has ended.
inline void Lap(const SsdArgs& args, SsdStage stage) {
  if (args.clock != nullptr) args.clock->Lap(stage);
}

// Calls chunk(t0, len, g, heads) for each chunk in order, and in it for each group with heads to
// compute.
template <class F>
void ForEachChunk(const SsdArgs& args, F chunk) {
  if (args.clock != nullptr) args.clock->Start();
  for (int64_t t0 = 0; t0 < args.T; t0 += args.L) {
    const int64_t len = std::min(args.L, args.T - t0);
    for (int64_t g = 0; g < args.G; ++g) {
      const HeadRange heads = HeadsOfGroup(args, g);
      if (heads.begin < heads.end) chunk(t0, len, g, heads);
    }
  }
}

// Hands out 64-byte aligned pieces of a block. Over a null block it only counts, so that one
// constructor states a kernel's layout and its size.
class Scratch {
 public:
  explicit Scratch(void* base) : base_(static_cast<char*>(base)) {}
  template <class T>
  T* Take(int64_t count) {
    T* piece = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + bytes_);
    bytes_ += (count * static_cast<int64_t>(sizeof(T)) + 63) / 64 * 64;
    return piece;
  }
  int64_t bytes() const { return bytes_; }

 private:
  char* base_;
  int64_t bytes_ = 0;
};

// Why a kernel for one token / chunks of floats / chunks of codes refuses, or null.
inline const char* WhyNotStep(const SsdArgs& args) {
  return args.T == 1 ? nullptr : "T > 1";
}
inline const char* WhyNotFloatChunks(const SsdArgs& args) {
  if (args.T == 1) return "T == 1";
  return args.scales == nullptr ? nullptr : "int8 form";
}
inline const char* WhyNotInt8Chunks(const SsdArgs& args) {
  if (args.T == 1) return "T == 1";
  if (args.scales == nullptr) return "float form";
  const SsdScales& s = *args.scales;
  const bool per_chunk = s.x_scaled == nullptr || s.score == nullptr || s.state == nullptr;
  return per_chunk && args.passing == StatePassing::kGateQ7 ? "integer gates need static scales"
                                                            : nullptr;
}

}  // namespace octet
#endif  // OCTET_KERNELS_SSD_CHUNK_H_
