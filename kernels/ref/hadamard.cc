#include "kernels/hadamard.h"

#include <cmath>
#include <cstdint>

#include "kernels/kernel.h"

namespace octet {
namespace {

void Butterflies(float* v, int64_t n) {
  for (int64_t stride = 1; stride < n; stride *= 2) {
    for (int64_t i = 0; i < n; i += 2 * stride) {
      for (int64_t j = i; j < i + stride; ++j) {
        const float a = v[j];
        const float b = v[j + stride];
        v[j] = a + b;
        v[j + stride] = a - b;
      }
    }
  }
}

// `column` holds the k inputs of one column, which the outputs replace in y.
void Factor(const HadamardShape& s, int64_t width, float* column, float* y) {
  for (int64_t c = 0; c < width; ++c) {
    for (int64_t j = 0; j < s.k; ++j) {
      column[j] = y[j * width + c];
    }
    for (int64_t i = 0; i < s.k; ++i) {
      const int8_t* signs = s.factor + i * s.k;
      float sum = signs[0] > 0 ? column[0] : -column[0];
      for (int64_t j = 1; j < s.k; ++j) {
        sum = signs[j] > 0 ? sum + column[j] : sum - column[j];
      }
      y[i * width + c] = sum;
    }
  }
}

void Run(const HadamardArgs& a, const Workspace& w) {
  const HadamardShape& s = a.shape;
  const int64_t width = int64_t{1} << s.m;
  const int64_t piece = s.k * width;
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(piece)));
  for (int64_t i = 0; i < a.T * s.n; ++i) {
    a.y[i] = a.x[i];
  }
  for (int64_t p = 0; p < a.T * s.blocks; ++p) {
    float* y = a.y + p * piece;
    for (int64_t r = 0; r < s.k; ++r) {
      Butterflies(y + r * width, width);
    }
    if (s.k > 1) Factor(s, width, static_cast<float*>(w.scratch), y);
    for (int64_t i = 0; i < piece; ++i) {
      y[i] *= scale;
    }
  }
}

const char* WhyNot(const HadamardArgs&) {
  return nullptr;
}

int64_t ScratchBytes(const HadamardArgs& a) {
  return a.shape.k * static_cast<int64_t>(sizeof(float));
}

}  // namespace

extern const Kernel<HadamardArgs> kHadamardRef = {"hadamard/ref", Isa::kScalar, 0, Run,
                                                  WhyNot,         ScratchBytes};

}  // namespace octet
