// State space duality (Dao & Gu 2024, section 6), float and int8 (SSDi8), one sequence.
#ifndef OCTET_KERNELS_SSD_H_
#define OCTET_KERNELS_SSD_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/cpu_ticks.h"
#include "tensor/codec.h"
#include "tensor/dtype.h"
#include "tensor/state_format.h"

namespace octet {

// The recurrent state h [H, P, N], in rows (h, p) of N values, in its storage format.
//
// A store rounds fp32 values (kernels/ssd_state.h). Prefill stores, and reloads, at the end of each
// chunk; decode at each token. That rhythm is part of the format.
struct StateView {
  StateFormat format;
  void* data = nullptr;                // [rows, N]: fp32, fp16, int16 or int8
  float* scales = nullptr;             // format.dynamic_scales(): [rows]
  uint8_t* residuals = nullptr;        // kFeedback: [rows, (N + 1) / 2], see ResidualAt
  const StateScales* fixed = nullptr;  // format.static_scales()
  uint64_t noise_key = 0;              // kStochastic: NoiseKey of the seed and the layer
  int64_t position = 0;                // tokens that the stream saw before the first of this call
  float* unrounded = nullptr;          // null, or [rows, N]: receives what each store was given
};

// Sites inside the operator, in the order the stages produce them (SSDi8's names in brackets).
enum class SsdSite : uint8_t {
  kXScaled,     // X_s[k, p] = x[k, p] dt_k exp(a_last - a_k)   [LUT_state * x], per head
  kScore,       // CB[m, k] = C_m . B_k, per group
  kLocalState,  // S_loc[p, n] = sum_k X_s[k, p] B_k[n], per head and chunk
  kState,       // S_c[p, n], the state entering a chunk, as stage 5 reads it, per head
};

// Sees, and may overwrite, the values of one inner site. `index` is the head, or the group for
// kScore; values [rows, cols] are contiguous: [len, P], [len, len], [P, N], [P, N] for a chunk of
// len tokens. kScore holds zeros above the diagonal unless SsdArgs::full_score. kState is also
// shown once for the state after the last chunk of the call; what the callee writes then is
// discarded.
struct SsdTap {
  void (*at)(void* context, SsdSite site, int64_t index, float* values, int64_t rows, int64_t cols);
  void* context;
};

// Scales of the int8 form (methods_mamba 2.8.2); every scale has at most 12 significant bits.
//
// A null x_scaled, score or state means scales per chunk, made at run time by FitCodec from the
// largest magnitude of the values they are for (int8: ScaleForAbsMax); only with
// StatePassing::kFloat. They lie on the same axes, so the integer dot products stay legal, and they
// cannot saturate:
//   x_scaled[h, p] from max_k |X_s[k, p]| over the chunk's tokens,
//   score[g] from max_{k <= m} |CB[m, k]|,
//   state[h, p] from max_n |S_c[p, n]|.
struct SsdScales {
  const float* B;         // [G]
  const float* C;         // [G]
  const float* x_scaled;  // [H, P], or null
  const float* score;     // [G], or null
  const float* state;     // [H, P], or null
  // X_s has units (MaxUnits > 0): stage 2 sums units * B codes. A soft edge fits X_s, most of which
  // lies near zero (methods_edge 1.9).
  Codec x_scaled_codec = Codec::kUniform;
};

// How the state moves from chunk to chunk in the int8 form.
enum class StatePassing : uint8_t {
  // The paper's: S_loc is requantized to int8 with scales->state; the running state is an int32
  // code, s = ((s * g + 64) >> 7) + S_loc_code with the gate g = min(127, rne(128 exp(a_last)));
  // copies for stage 5 are clamped to [-127, 127]. h holds s * scale: every chunk begins with
  // s = rne(h / scale) (times the fp32 reciprocal, limited to +-2^20 so that fp32 h gives s back)
  // and stores at its end.
  kGateQ7,
  // Ours (2.8.5 item 3): fp32 in registers, S' = fma(exp(a_last), S, DequantizeAcc(S_loc)); int8
  // copies for stage 5 with scales->state.
  kFloat,
};

// The stages below, by the names of state-spaces/mamba: ChunkCumsum, ChunkState, StatePassing,
// BMMChunk and ChunkScan.
enum class SsdStage : uint8_t { kCumsum, kLocalState, kPassing, kScore, kScan };
inline constexpr int kSsdStages = 5;

// Adds up where the time of calls goes.
class SsdClock {
 public:
  void Start() { last_ = Ticks(); }
  // What has passed since Start or the last Lap belongs to `stage`.
  void Lap(SsdStage stage) {
    const uint64_t now = Ticks();
    ticks_[static_cast<size_t>(stage)] += now - last_;
    last_ = now;
  }
  // After a run: the rate of the ticks is that since the clock was made.
  std::array<double, kSsdStages> seconds() const {
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - made_;
    const double rate = passed.count() / static_cast<double>(Ticks() - made_ticks_);
    std::array<double, kSsdStages> seconds = {};
    for (size_t i = 0; i < seconds.size(); ++i) {
      seconds[i] = static_cast<double>(ticks_[i]) * rate;
    }
    return seconds;
  }

 private:
  std::chrono::steady_clock::time_point made_ = std::chrono::steady_clock::now();
  uint64_t made_ticks_ = Ticks();
  uint64_t last_ = made_ticks_;
  std::array<uint64_t, kSsdStages> ticks_ = {};
};

// h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t^T,   y_t = C_t h_t + D x_t, in chunks of L tokens:
//
//   1  a_k = sum_{j <= k} dt_j A          sequential fp32 sum, restarted in each chunk
//   2  S_loc[p, n] = sum_k X_s[k, p] B_k[n]
//   3  S_{c+1} = exp(a_last) S_c + S_loc
//   4  CB[m, k] = C_m . B_k               for k <= m, once per group
//   5  y_m = exp(a_m) (S_c C_m) + sum_{k <= m} CB[m, k] exp(min(a_m - a_k, 0)) dt_k x_k + D x_m
//
// Stage 1 rounds each product and each sum.
// X_s[k, p] = x[k, p] * (dt_k * exp(min(a_last - a_k, 0))).
//
// T tokens, H heads, P head_dim, N state_size, G groups; head h reads group h / (H / G).
// Any T >= 1: decode is T = 1. `h` is read and written, never zeroed here. Chunks start at the
// first token of the call; the last may be short.
//
// Int8 form (`scales` set; B and C are int8 codes): B_q and C_q are used by stages 2, 4 and 5
// alike; CB and S_c are quantized with `scales` by QuantizeI8, X_s by EncodeUnits. Every dot
// product of two such operands is exact in int32 and dequantized by DequantizeAcc (X_s: with UnitOf
// its scale), and requantized where the next stage needs codes. Order of the fp32 part of stage 5,
// fixed so that all int8 kernels give the same bits:
//   y = D x_m;  y = fma(exp(a_m), DequantizeAcc(S_q . C_q, state, C), y);
//   for k = 0..m:  y = fma(w_mk, x_k, y),  w_mk = (CB_q s_CB) * (exp(min(a_m - a_k, 0)) * dt_k).
// N is at most 2^15 there and L as UnitSumsAreExact says, so that every sum of products stays below
// 2^29.
// T == 1 (decode), float and with `scales` set (B and C decoded):
//   h' = fma(exp(dt A), h, (dt x) * B),  y = D x + sum_n C h',
// every other operation rounded; the sum in 16 virtual lanes as in RmsnormArgs, h' before rounding
// to its format. `passing` plays no part and there are no inner sites to tap. exp is ExpF of
// kernels/math.h.
struct SsdArgs {
  int64_t T, H, P, N, G, L;      // L >= 1
  int64_t head_begin, head_end;  // heads to compute; the others' h and y are untouched
  const float* x;                // [T, H, P], x_stride floats between tokens
  int64_t x_stride;
  DType bc_dtype;  // kF32 or kI8, of B and C
  const void* B;   // [T, G, N], bc_stride elements between tokens
  const void* C;   // [T, G, N], bc_stride elements between tokens
  int64_t bc_stride;
  const float* dt;  // [T, H] contiguous, > 0, after bias, softplus and clamp
  const float* A;   // [H], < 0
  const float* D;   // [H], or [H, P] when D_per_channel
  bool D_per_channel;
  StateView h;                 // [H, P, N] in/out
  float* y;                    // [T, H, P] contiguous out
  const SsdScales* scales;     // null: float form
  StatePassing passing;        // int8 form only
  const SsdTap* tap;           // null, or (float form, T > 1) called at inner sites
  const float* gate_q7_scale;  // tap only: [H, P]; stage 3 as kGateQ7 on values code * scale
  bool full_score;             // tap only: compute CB above the diagonal too
  SsdClock* clock = nullptr;   // null, or told by the vector kernels of T > 1 where time goes
};

}  // namespace octet
#endif  // OCTET_KERNELS_SSD_H_
