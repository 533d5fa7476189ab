#include <algorithm>
#include <complex>

#include "train/ops.h"

namespace octet {

template <>
void TrainOps<double>::Linear(int64_t T, int64_t N, int64_t K, const double* x, const double* w,
                              const double* bias, double* y, KernelScratch*) {
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t n = 0; n < N; ++n) {
      double sum = bias == nullptr ? 0 : bias[n];
      for (int64_t k = 0; k < K; ++k) {
        sum += x[t * K + k] * w[n * K + k];
      }
      y[t * N + n] = sum;
    }
  }
}

template <>
void TrainOps<double>::S4d(int64_t T, int64_t H, int64_t N, const double* u, const double* A,
                           const double* B, const double* C, const double* D, double* y,
                           KernelScratch*) {
  using Complex = std::complex<double>;
  for (int64_t h = 0; h < H; ++h) {
    for (int64_t t = 0; t < T; ++t) {
      y[t * H + h] = D[h] * u[t * H + h];
    }
    for (int64_t n = 0; n < N; ++n) {
      const int64_t re = 2 * h * N + n, im = re + N;
      const Complex a(A[re], A[im]), b(B[re], B[im]), c(C[re], C[im]);
      Complex x = 0;
      for (int64_t t = 0; t < T; ++t) {
        x = a * x + b * u[t * H + h];
        y[t * H + h] += (c * x).real();
      }
    }
  }
}

template <>
void TrainOps<double>::Gelu(int64_t count, GeluForm form, const double* x, double* y) {
  for (int64_t i = 0; i < count; ++i) {
    y[i] = form == GeluForm::kExact ? 0.5 * x[i] * std::erfc(-x[i] * std::sqrt(0.5))
                                    : x[i] * std::clamp(x[i] + 2, 0.0, 4.0) / 4;
  }
}

template <>
void TrainOps<double>::Glu(int64_t T, int64_t C, const double* x, double* y) {
  for (int64_t t = 0; t < T; ++t) {
    for (int64_t c = 0; c < C; ++c) {
      y[t * C + c] = x[2 * t * C + c] / (1 + std::exp(-x[(2 * t + 1) * C + c]));
    }
  }
}

template <>
void TrainOps<double>::LayerNorm(int64_t T, int64_t C, const double* x, const double* weight,
                                 const double* bias, float eps, double* y) {
  const auto count = static_cast<double>(C);
  for (int64_t t = 0; t < T; ++t, x += C, y += C) {
    double mean = 0, variance = 0;
    for (int64_t c = 0; c < C; ++c) {
      mean += x[c] / count;
    }
    for (int64_t c = 0; c < C; ++c) {
      variance += (x[c] - mean) * (x[c] - mean) / count;
    }
    for (int64_t c = 0; c < C; ++c) {
      y[c] = (x[c] - mean) / std::sqrt(variance + eps) * weight[c] + bias[c];
    }
  }
}

template <>
void TrainOps<double>::S4dCode(const S4dcodeArgsOf<double>& a, KernelScratch* scratch) {
  const int64_t bytes = S4dcodeScratchValues(a) * static_cast<int64_t>(sizeof(double));
  S4dcodeReference(a, static_cast<double*>(scratch->Take(bytes)));
}

template <>
void TrainOps<double>::S4dCodeGradient(const S4dcodegradArgsOf<double>& a, KernelScratch* scratch) {
  const int64_t bytes = S4dcodegradScratchValues(a) * static_cast<int64_t>(sizeof(double));
  S4dcodegradReference(a, static_cast<double*>(scratch->Take(bytes)));
}

template <>
void TrainOps<double>::LinearGradient(const LineargradArgsOf<double>& a) {
  LineargradReference(a);
}

template <>
void TrainOps<double>::S4dGradient(const S4dgradArgsOf<double>& a, KernelScratch* scratch) {
  const int64_t values = S4dgradScratchValues(a);
  S4dgradReference(a, static_cast<double*>(scratch->Take(values * 8)));
}

template <>
void TrainOps<double>::GeluGradient(const GelugradArgsOf<double>& a) {
  GelugradReference(a);
}

template <>
void TrainOps<double>::GluGradient(const GlugradArgsOf<double>& a) {
  GlugradReference(a);
}

}  // namespace octet
