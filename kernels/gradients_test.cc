// Contracts:
// - s4dgrad, lineargrad, gelugrad and glugrad: every kernel on every instruction set lies within
//   1e-5 of the largest element of the reference in double, for sizes around those of vectors;
//   gradients are added to what was there; nothing else is written.
// - The references in double equal central differences of the formulas (gelu, glu), and the
// gradient
//   of a sum over the convolution y = K * u written out as T^2 products (s4d), within 1e-12.
#include <algorithm>
#include <cmath>
#include <complex>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "kernels/each_kernel.h"
#include "kernels/gelugrad.h"
#include "kernels/glugrad.h"
#include "kernels/lineargrad.h"
#include "kernels/s4dgrad.h"

namespace octet {
namespace {

using Complex = std::complex<double>;

template <class T>
std::vector<T> Random(int64_t n, double limit, uint64_t seed) {
  Rng rng(seed);
  std::vector<T> v(static_cast<size_t>(n));
  for (T& e : v) {
    e = static_cast<T>(static_cast<float>((2 * rng.Uniform() - 1) * limit));
  }
  return v;
}

template <class T>
void ExpectClose(const std::vector<T>& got, const std::vector<double>& want, double tolerance,
                 const std::string& what) {
  double scale = 0, worst = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    scale = std::max(scale, std::fabs(want[i]));
    const double error = std::fabs(static_cast<double>(got[i]) - want[i]);
    worst = std::max(worst, std::isnan(error) ? INFINITY : error);
  }
  EXPECT_LE(worst, tolerance * scale) << what;
}

constexpr int64_t kSentinels = 3;  // behind each output; must stay

// A random S4D layer with slow and fast modes, and room for its gradients.
template <class T>
struct S4dProblem {
  S4dProblem(int64_t length, int64_t H, int64_t N)
      : u(Random<T>(length * H, 2, 1)),
        dy(Random<T>(length * H, 1, 2)),
        D(Random<T>(H, 1, 3)),
        B(Random<T>(2 * H * N, 1, 4)),
        C(Random<T>(2 * H * N, 1, 5)),
        du(Random<T>(length * H + kSentinels, 1, 6)) {
    Rng rng(7);
    A.resize(static_cast<size_t>(2 * H * N));
    for (int64_t i = 0; i < H * N; ++i) {
      const int64_t re = i / N * 2 * N + i % N;
      const double radius = 1 - std::exp(-6 * rng.Uniform() - 0.5), angle = 6.2 * rng.Uniform();
      A[static_cast<size_t>(re)] = static_cast<T>(static_cast<float>(radius * std::cos(angle)));
      A[static_cast<size_t>(re + N)] = static_cast<T>(static_cast<float>(radius * std::sin(angle)));
    }
    for (std::vector<T>* v : {&dA, &dB, &dC}) {
      *v = Random<T>(2 * H * N + kSentinels, 1, 8);
    }
    dD = Random<T>(H + kSentinels, 1, 9);
    args = {length,   H,        N,         u.data(),  dy.data(), A.data(),  B.data(),
            C.data(), D.data(), du.data(), dA.data(), dB.data(), dC.data(), dD.data()};
  }
  S4dProblem(const S4dProblem&) = delete;
  std::vector<std::vector<T>*> Outputs() { return {&du, &dA, &dB, &dC, &dD}; }
  std::vector<T> u, dy, A, D, B, C, du, dA, dB, dC, dD;
  S4dgradArgsOf<T> args;
};

void RunReference(const S4dgradArgsOf<double>& args) {
  std::vector<double> scratch(static_cast<size_t>(S4dgradScratchValues(args)));
  S4dgradReference(args, scratch.data());
}

TEST(S4dgrad, EveryKernelIsCloseToDouble) {
  for (const auto& [T, H, N] : {std::array<int64_t, 3>{1, 1, 1},
                                {2, 3, 4},
                                {33, 2, 7},
                                {50, 5, 16},
                                {97, 3, 17},
                                {200, 2, 32},
                                {64, 1, 41}}) {
    S4dProblem<double> exact(T, H, N);
    RunReference(exact.args);
    const S4dProblem<float> sizes(T, H, N);
    const int count = ForEachKernel<S4dgradArgs>(sizes.args, [&](const std::string& name, auto) {
      S4dProblem<float> p(T, H, N);
      for (const Kernel<S4dgradArgs>* k : Kernels<S4dgradArgs>().all()) {
        if (!name.starts_with(k->name)) continue;
        Buffer scratch(k->scratch_bytes(p.args));
        std::memset(scratch.data(), 0xff, static_cast<size_t>(scratch.bytes()));
        k->run(p.args, {scratch.data()});
      }
      const auto want = exact.Outputs();
      const auto got = p.Outputs();
      for (size_t i = 0; i < want.size(); ++i) {
        ExpectClose(*got[i], *want[i], 1e-5, fmt::format("{} T={} N={} {}", name, T, N, i));
        EXPECT_TRUE(
            std::equal(got[i]->end() - kSentinels, got[i]->end(), want[i]->end() - kSentinels));
      }
    });
    EXPECT_GE(count, 2);
  }
}

// K[l] = Re C B A^l; L = sum_t g_t (D u_t + sum_{l <= t} K[l] u_{t-l}), and the derivatives of that
// sum by its terms.
TEST(S4dgrad, ReferenceIsTheDerivativeOfTheConvolution) {
  constexpr int64_t kT = 61, kH = 2, kN = 5;
  S4dProblem<double> p(kT, kH, kN);
  for (std::vector<double>* v : p.Outputs()) {
    std::ranges::fill(*v, 0.0);
  }
  RunReference(p.args);
  std::vector<double> du(p.u.size()), dA(p.A.size()), dB(p.A.size()), dC(p.A.size()), dD(kH);
  for (int64_t h = 0; h < kH; ++h) {
    const auto at = [&](int64_t t) { return static_cast<size_t>(t * kH + h); };
    for (int64_t n = 0; n < kN; ++n) {
      const auto re = static_cast<size_t>(2 * h * kN + n), im = re + kN;
      const Complex A(p.A[re], p.A[im]), B(p.B[re], p.B[im]), C(p.C[re], p.C[im]);
      Complex to_A, to_B, to_C;  // dL/d(re) - i dL/d(im): the complex derivative
      for (int64_t l = 0; l < kT; ++l) {
        double correlation = 0;
        for (int64_t t = l; t < kT; ++t) {
          correlation += p.dy[at(t)] * p.u[at(t - l)];
          du[at(t - l)] += p.dy[at(t)] * (C * B * std::pow(A, static_cast<int>(l))).real();
        }
        const Complex power = std::pow(A, static_cast<int>(l));
        if (l > 0) {
          to_A +=
              correlation * C * B * static_cast<double>(l) * std::pow(A, static_cast<int>(l - 1));
        }
        to_B += correlation * C * power;
        to_C += correlation * B * power;
      }
      dA[re] = to_A.real(), dA[im] = -to_A.imag();
      dB[re] = to_B.real(), dB[im] = -to_B.imag();
      dC[re] = to_C.real(), dC[im] = -to_C.imag();
    }
    for (int64_t t = 0; t < kT; ++t) {
      du[at(t)] += p.D[static_cast<size_t>(h)] * p.dy[at(t)];
      dD[static_cast<size_t>(h)] += p.dy[at(t)] * p.u[at(t)];
    }
  }
  ExpectClose(p.du, du, 1e-12, "du");
  ExpectClose(p.dA, dA, 1e-12, "dA");
  ExpectClose(p.dB, dB, 1e-12, "dB");
  ExpectClose(p.dC, dC, 1e-12, "dC");
  ExpectClose(p.dD, dD, 1e-12, "dD");
}

TEST(Lineargrad, EveryKernelIsCloseToDouble) {
  for (const auto& [M, N, K] : {std::array<int64_t, 3>{1, 10, 6}, {5, 3, 1}, {37, 17, 33}}) {
    for (const bool optional : {true, false}) {
      const auto run = [&](auto zero, const auto& call, auto expect) {
        using T = decltype(zero);
        const auto x = Random<T>(M * K, 1, 1), w = Random<T>(N * K, 1, 2),
                   dy = Random<T>(M * N, 1, 3);
        std::vector<std::vector<T>> out = {Random<T>(M * K, 1, 4), Random<T>(N * K, 1, 5),
                                           Random<T>(N, 1, 6)};
        call(LineargradArgsOf<T>{M, N, K, x.data(), w.data(), dy.data(),
                                 optional ? out[0].data() : nullptr, out[1].data(),
                                 optional ? out[2].data() : nullptr});
        expect(out);
      };
      std::vector<std::vector<double>> want;
      run(0.0, LineargradReference<double>, [&](auto& out) { want = out; });
      const LineargradArgs sizes{M, N, K, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr};
      const int count = ForEachKernel<LineargradArgs>(sizes, [&](const std::string& name, auto) {
        for (const Kernel<LineargradArgs>* k : Kernels<LineargradArgs>().all()) {
          if (!name.starts_with(k->name)) continue;
          run(
              0.0f, [&](const LineargradArgs& a) { k->run(a, {nullptr}); },
              [&](auto& out) {
                for (size_t i = 0; i < 3; ++i) {
                  ExpectClose(out[i], want[i], 1e-5, fmt::format("{} M={} {}", name, M, i));
                }
              });
        }
      });
      EXPECT_GE(count, M > 4 ? 2 : 1);
    }
  }
}

TEST(Gelugrad, EveryKernelIsCloseToTheDerivative) {
  for (const GeluForm form : {GeluForm::kExact, GeluForm::kPiecewise}) {
    for (const int64_t count : {1, 16, 61, 2000}) {
      std::vector<float> x = Random<float>(count, 8, 1);
      if (count == 2000) x[0] = 100, x[1] = -100, x[2] = 0;
      const auto dy = Random<float>(count, 1, 2), before = Random<float>(count, 1, 3);
      std::vector<float> dx = before;
      const GelugradArgs a{count, form, x.data(), dy.data(), dx.data()};
      const int kernels = ForEachKernel<GelugradArgs>(a, [&](const std::string& name, auto call) {
        dx = before;
        call();
        for (size_t i = 0; i < x.size(); ++i) {
          const double v = x[i], h = 1e-5;
          const auto gelu = [&](double e) {
            return form == GeluForm::kExact ? 0.5 * e * std::erfc(-e * std::sqrt(0.5))
                                            : e * std::clamp(e + 2, 0.0, 4.0) / 4;
          };
          const double slope = (gelu(v + h) - gelu(v - h)) / (2 * h);
          EXPECT_NEAR(dx[i], before[i] + slope * dy[i], 1e-6) << name << " x=" << v;
        }
      });
      EXPECT_GE(kernels, 2);
    }
  }
}

TEST(Glugrad, EveryKernelIsCloseToTheDerivative) {
  for (const int64_t C : {1, 5, 16, 37}) {
    constexpr int64_t kM = 3;
    const auto x = Random<float>(2 * kM * C, 6, 1), dy = Random<float>(kM * C, 1, 2);
    const auto before = Random<float>(2 * kM * C, 1, 3);
    std::vector<float> dx = before;
    const GlugradArgs a{kM, C, x.data(), dy.data(), dx.data()};
    const int kernels = ForEachKernel<GlugradArgs>(a, [&](const std::string& name, auto call) {
      dx = before;
      call();
      for (int64_t i = 0; i < kM * C; ++i) {
        const auto v = static_cast<size_t>(i / C * 2 * C + i % C), w = v + static_cast<size_t>(C);
        const double h = 1e-5, g = dy[static_cast<size_t>(i)];
        const auto sigmoid = [](double e) { return 1 / (1 + std::exp(-e)); };
        EXPECT_NEAR(dx[v], before[v] + g * sigmoid(x[w]), 3e-6) << name;
        const double slope = (sigmoid(x[w] + h) - sigmoid(x[w] - h)) / (2 * h);
        EXPECT_NEAR(dx[w], before[w] + g * x[v] * slope, 3e-6) << name;
      }
    });
    EXPECT_GE(kernels, 2);
  }
}

}  // namespace
}  // namespace octet
