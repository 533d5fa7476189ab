#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/math.h"
#include "kernels/ssd.h"
#include "kernels/ssd_chunk.h"
#include "kernels/ssd_state.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

struct Layout {
  Layout(const SsdArgs& args, void* base) {
    const int64_t L = LongestChunk(args);
    Scratch s(base);
    a = s.Take<float>(L);
    score = s.Take<float>(L * L);
    x_values = s.Take<float>(L);
    x_scaled = s.Take<int16_t>(L);
    local = s.Take<float>(args.P * args.N);
    row = s.Take<float>(args.N);
    state = s.Take<int8_t>(args.P * args.N);
    state_scales = s.Take<float>(args.P);
    carried = s.Take<float>(args.P);
    bytes = s.bytes();
  }
  float* a;             // [L]
  float* score;         // [L, L], CB, then its decoded codes
  float* x_values;      // [L], a column of X_s
  int16_t* x_scaled;    // [L], its units
  float* local;         // [P, N]
  float* row;           // [N]
  int8_t* state;        // [P, N], S_c as stage 5 reads it
  float* state_scales;  // [P]
  float* carried;       // [P], S_c C_m
  int64_t bytes;
};

const int8_t* BcRow(const SsdArgs& args, const void* data, int64_t t, int64_t g) {
  return static_cast<const int8_t*>(data) + t * args.bc_stride + g * args.N;
}

int32_t Dot(const int8_t* a, const int8_t* b, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    sum += a[i] * b[i];
  }
  return sum;
}

// scales[i], or where there are none the scale that `values` [n] need.
float ScaleFor(const float* scales, int64_t i, const float* values, int64_t n,
               Codec codec = Codec::kUniform) {
  if (scales != nullptr) return scales[i];
  float absmax = 0.0f;
  for (int64_t j = 0; j < n; ++j) {
    absmax = std::fmax(absmax, std::fabs(values[j]));
  }
  return FitCodec(codec, {-absmax, absmax}).scale;
}

// Stage 4; zero above the diagonal.
void Score(const SsdArgs& args, int64_t t0, int64_t len, int64_t g, float* score) {
  std::fill(score, score + len * len, 0.0f);
  for (int64_t m = 0; m < len; ++m) {
    for (int64_t k = 0; k <= m; ++k) {
      const int32_t acc =
          Dot(BcRow(args, args.C, t0 + m, g), BcRow(args, args.B, t0 + k, g), args.N);
      score[m * len + k] = DequantizeAcc(acc, args.scales->C[g], args.scales->B[g]);
    }
  }
  const float scale = ScaleFor(args.scales->score, g, score, len * len);
  for (int64_t i = 0; i < len * len; ++i) {
    score[i] = FakeQuantizeI8(score[i], scale);
  }
}

// Stage 2.
void LocalState(const SsdArgs& args, int64_t t0, int64_t len, int64_t g, int64_t h,
                const Layout& s) {
  const Codec codec = args.scales->x_scaled_codec;
  for (int64_t p = 0; p < args.P; ++p) {
    for (int64_t k = 0; k < len; ++k) {
      const float factor = DecayedDt(s.a[len - 1], s.a[k], args.dt[(t0 + k) * args.H + h]);
      s.x_values[k] = args.x[(t0 + k) * args.x_stride + h * args.P + p] * factor;
    }
    const float scale = ScaleFor(args.scales->x_scaled, h * args.P + p, s.x_values, len, codec);
    for (int64_t k = 0; k < len; ++k) {
      s.x_scaled[k] = static_cast<int16_t>(EncodeUnits(codec, s.x_values[k], scale));
    }
    for (int64_t n = 0; n < args.N; ++n) {
      int32_t acc = 0;
      for (int64_t k = 0; k < len; ++k) {
        acc += s.x_scaled[k] * BcRow(args, args.B, t0 + k, g)[n];
      }
      s.local[p * args.N + n] = DequantizeAcc(acc, UnitOf(codec, scale), args.scales->B[g]);
    }
  }
}

// Quantizes the state entering the chunk into s.state and runs stage 3. `end`: one past the
// chunk.
void PassState(const SsdArgs& args, int64_t end, float a_last, int64_t h, const Layout& s) {
  const float decay = ExpF(a_last);
  const int32_t gate = GateQ7(a_last);
  for (int64_t p = 0; p < args.P; ++p) {
    const int64_t row = h * args.P + p;
    const float* local = s.local + p * args.N;
    LoadStateRow(args.h, row, args.N, s.row);
    const float scale = ScaleFor(args.scales->state, row, s.row, args.N);
    const float inverse = 1.0f / scale;
    s.state_scales[p] = scale;
    for (int64_t n = 0; n < args.N; ++n) {
      s.state[p * args.N + n] = QuantizeI8(s.row[n], inverse);
      if (args.passing == StatePassing::kFloat) {
        s.row[n] = std::fma(decay, s.row[n], local[n]);
      } else {
        const int32_t code = StateCode(s.row[n], inverse);
        s.row[n] = static_cast<float>(PassQ7(code, gate, QuantizeI8(local[n], inverse))) * scale;
      }
    }
    StoreStateRow(args.h, row, args.N, end, s.row);
  }
}

void Head(const SsdArgs& args, int64_t t0, int64_t len, int64_t g, int64_t h, const Layout& s) {
  ChunkCumsum(args, t0, len, h, s.a);
  LocalState(args, t0, len, g, h, s);
  PassState(args, t0 + len, s.a[len - 1], h, s);
  for (int64_t m = 0; m < len; ++m) {
    for (int64_t p = 0; p < args.P; ++p) {
      const int32_t acc = Dot(s.state + p * args.N, BcRow(args, args.C, t0 + m, g), args.N);
      s.carried[p] = DequantizeAcc(acc, s.state_scales[p], args.scales->C[g]);
    }
    ScanRow(args, t0, m, h, s.a, s.score + m * len, s.carried);
  }
}

void Run(const SsdArgs& args, const Workspace& workspace) {
  const Layout s(args, workspace.scratch);
  ForEachChunk(args, [&](int64_t t0, int64_t len, int64_t g, HeadRange heads) {
    Score(args, t0, len, g, s.score);
    for (int64_t h = heads.begin; h < heads.end; ++h) {
      Head(args, t0, len, g, h, s);
    }
  });
}

int64_t ScratchBytes(const SsdArgs& args) {
  return Layout(args, nullptr).bytes;
}

}  // namespace

extern const Kernel<SsdArgs> kSsdInt8Ref = {"ssd_int8/ref",   Isa::kScalar, 10, Run,
                                            WhyNotInt8Chunks, ScratchBytes};

}  // namespace octet
