#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/kernel.h"
#include "kernels/math.h"
#include "kernels/ssd.h"
#include "kernels/ssd_chunk.h"
#include "kernels/ssd_state.h"

namespace octet {
namespace {

struct Layout {
  Layout(const SsdArgs& args, void* base) {
    const int64_t L = LongestChunk(args);
    const int64_t P = args.P;
    const int64_t N = args.N;
    Scratch s(base);
    a = s.Take<float>(L);
    x_scaled = s.Take<float>(L * P);
    score = s.Take<float>(L * L);
    local = s.Take<float>(P * N);
    state = s.Take<float>(P * N);
    read = s.Take<float>(P * N);
    carried = s.Take<float>(L * P);
    transposed = s.Take<float>(N * std::max(L, P));
    sums = s.Take<double>(std::max({L, P, N}));
    bytes = s.bytes();
  }
  float* a;
  float* x_scaled;    // [L, P]
  float* score;       // [L, L]
  float* local;       // [P, N]
  float* state;       // [P, N], S_c as stage 3 carries it
  float* read;        // [P, N], S_c as stage 5 reads it
  float* carried;     // [L, P], S_c C_m
  float* transposed;  // the right factor of Multiply
  double* sums;
  int64_t bytes;
};

struct Matrix {
  const float* data;
  int64_t row_stride, column_stride;
};

// out[0, j] = sum_q left[row, q] right[q, j] for j < columns, rounded once. With operands on 12-bit
// grids (codecs/uniform.h) the fp64 sums are exact, which is what makes simulated and int8 runs
// equal.
void MultiplyRow(Matrix left, int64_t row, int64_t inner, Matrix right, int64_t columns,
                 double* sums, float* out) {
  std::fill(sums, sums + columns, 0.0);
  for (int64_t q = 0; q < inner; ++q) {
    const double factor = left.data[row * left.row_stride + q * left.column_stride];
    const float* values = right.data + q * right.row_stride;
    for (int64_t j = 0; j < columns; ++j) {
      sums[j] += factor * values[j];
    }
  }
  for (int64_t j = 0; j < columns; ++j) {
    out[j] = static_cast<float>(sums[j]);
  }
}

Matrix Transpose(const float* in, int64_t rows, int64_t row_stride, int64_t columns, float* out) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      out[j * rows + i] = in[i * row_stride + j];
    }
  }
  return {out, rows, 1};
}

void CallTap(const SsdArgs& args, SsdSite site, int64_t index, float* values, int64_t rows,
             int64_t cols) {
  if (args.tap != nullptr) args.tap->at(args.tap->context, site, index, values, rows, cols);
}

Matrix BcRows(const SsdArgs& args, const void* data, int64_t t0, int64_t g) {
  return {static_cast<const float*>(data) + t0 * args.bc_stride + g * args.N, args.bc_stride, 1};
}

// Stage 4.
void Score(const SsdArgs& args, int64_t t0, int64_t len, int64_t g, const Layout& s) {
  const Matrix B = BcRows(args, args.B, t0, g);
  const Matrix right = Transpose(B.data, len, B.row_stride, args.N, s.transposed);
  for (int64_t m = 0; m < len; ++m) {
    float* row = s.score + m * len;
    const int64_t columns = args.full_score ? len : m + 1;
    MultiplyRow(BcRows(args, args.C, t0, g), m, args.N, right, columns, s.sums, row);
    std::fill(row + columns, row + len, 0.0f);
  }
  CallTap(args, SsdSite::kScore, g, s.score, len, len);
}

// Stage 2.
void LocalState(const SsdArgs& args, int64_t t0, int64_t len, int64_t g, int64_t h,
                const Layout& s) {
  for (int64_t k = 0; k < len; ++k) {
    const float factor = DecayedDt(s.a[len - 1], s.a[k], args.dt[(t0 + k) * args.H + h]);
    for (int64_t p = 0; p < args.P; ++p) {
      s.x_scaled[k * args.P + p] = args.x[(t0 + k) * args.x_stride + h * args.P + p] * factor;
    }
  }
  CallTap(args, SsdSite::kXScaled, h, s.x_scaled, len, args.P);
  const Matrix left = {s.x_scaled, 1, args.P};
  for (int64_t p = 0; p < args.P; ++p) {
    MultiplyRow(left, p, len, BcRows(args, args.B, t0, g), args.N, s.sums, s.local + p * args.N);
  }
  CallTap(args, SsdSite::kLocalState, h, s.local, args.P, args.N);
}

// The state entering the chunk, in s.state, and what stage 5 reads of it, in s.read.
void EnterState(const SsdArgs& args, int64_t h, const Layout& s) {
  for (int64_t p = 0; p < args.P; ++p) {
    float* row = s.state + p * args.N;
    LoadStateRow(args.h, h * args.P + p, args.N, row);
    if (args.gate_q7_scale == nullptr) continue;
    const float scale = args.gate_q7_scale[h * args.P + p];
    for (int64_t n = 0; n < args.N; ++n) {
      row[n] = static_cast<float>(StateCode(row[n], 1.0f / scale)) * scale;
    }
  }
  std::copy(s.state, s.state + args.P * args.N, s.read);
  CallTap(args, SsdSite::kState, h, s.read, args.P, args.N);
}

// Stage 3. `end`: one past the chunk.
void PassState(const SsdArgs& args, int64_t end, float a_last, int64_t h, const Layout& s) {
  const float decay = ExpF(a_last);
  const int32_t gate = GateQ7(a_last);
  for (int64_t p = 0; p < args.P; ++p) {
    float* state = s.state + p * args.N;
    const float* local = s.local + p * args.N;
    const float scale = args.gate_q7_scale == nullptr ? 0.0f : args.gate_q7_scale[h * args.P + p];
    for (int64_t n = 0; n < args.N; ++n) {
      if (args.gate_q7_scale == nullptr) {
        state[n] = std::fma(decay, state[n], local[n]);
      } else {
        const float inverse = 1.0f / scale;
        const int32_t code = StateCode(state[n], inverse);
        state[n] = static_cast<float>(PassQ7(code, gate, StateCode(local[n], inverse))) * scale;
      }
    }
    StoreStateRow(args.h, h * args.P + p, args.N, end, state);
  }
}

void Head(const SsdArgs& args, int64_t t0, int64_t len, int64_t g, int64_t h, const Layout& s) {
  ChunkCumsum(args, t0, len, h, s.a);
  LocalState(args, t0, len, g, h, s);
  EnterState(args, h, s);
  const Matrix right = Transpose(s.read, args.P, args.N, args.N, s.transposed);
  for (int64_t m = 0; m < len; ++m) {
    float* carried = s.carried + m * args.P;
    MultiplyRow(BcRows(args, args.C, t0, g), m, args.N, right, args.P, s.sums, carried);
    ScanRow(args, t0, m, h, s.a, s.score + m * len, carried);
  }
  PassState(args, t0 + len, s.a[len - 1], h, s);
}

void Run(const SsdArgs& args, const Workspace& workspace) {
  const Layout s(args, workspace.scratch);
  ForEachChunk(args, [&](int64_t t0, int64_t len, int64_t g, HeadRange heads) {
    Score(args, t0, len, g, s);
    for (int64_t h = heads.begin; h < heads.end; ++h) {
      Head(args, t0, len, g, h, s);
    }
  });
  if (args.tap == nullptr) return;
  for (int64_t h = args.head_begin; h < args.head_end; ++h) {
    EnterState(args, h, s);
  }
}

int64_t ScratchBytes(const SsdArgs& args) {
  return Layout(args, nullptr).bytes;
}

}  // namespace

extern const Kernel<SsdArgs> kSsdChunkedRef = {"ssd_chunked/ref", Isa::kScalar, 10, Run,
                                               WhyNotFloatChunks, ScratchBytes};

}  // namespace octet
