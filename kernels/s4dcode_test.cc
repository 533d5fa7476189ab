// Contracts:
//  1. s4dcode: every kernel on every instruction set gives the bits of the scalar reference, for
//     every form that it takes and sizes around those of vectors.
//  2. The reference in double is the recurrence of s4dcode.h, written down a second time over
//     complex numbers.
//  3. s4dcodegrad: the reference in double is the derivative of that second form with every
//  rounding
//     replaced by the addition of its error, and every limit that acted by a constant.
//  4. Every kernel of s4dcodegrad lies within 2e-5 of the largest element of the float reference;
//     gradients are added to what was there, and nothing else is written.
#include "kernels/s4dcode.h"

#include <cmath>
#include <complex>
#include <functional>
#include <limits>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/rng.h"
#include "kernels/each_kernel.h"
#include "kernels/s4dcodegrad.h"

namespace octet {
namespace {

using Complex = std::complex<double>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct FormOf {
  const char* name;
  bool three, symmetric;
  StateRounding rounding = StateRounding::kNearest;
  bool shared_noise = true;
  double limit = kInfinity, adjoint_limit = kInfinity;
  int dynamic_bits = 0;
};

const FormOf kForms[] = {
    {"one", false, true},
    {"one_asymmetric", false, false},
    {"three", true, false, StateRounding::kNearest, true, 1.1},
    {"dithered", false, true, StateRounding::kStochastic},
    {"three_dithered", true, true, StateRounding::kStochastic},
    {"limited", false, true, StateRounding::kNearest, true, 0.7, 0.02},
    {"three_limited", true, true, StateRounding::kNearest, true, 0.7, 0.02},
    {"noise_by_mode", false, true, StateRounding::kStochastic, false},
    {"feedback", false, true, StateRounding::kFeedback},
    {"dynamic", true, false, StateRounding::kNearest, true, kInfinity, kInfinity, 7},
};

template <class Real>
std::vector<Real> Random(int64_t n, double limit, uint64_t seed) {
  Rng rng(seed);
  std::vector<Real> v(static_cast<size_t>(n));
  for (Real& e : v) {
    e = static_cast<Real>(static_cast<float>((2 * rng.Uniform() - 1) * limit));
  }
  return v;
}

constexpr int64_t kSentinels = 3;  // behind each gradient; must stay

// A random layer whose codes some of the states exceed, and room for its gradients.
template <class Real>
struct Problem {
  Problem(const FormOf& form, int64_t T, int64_t H, int64_t N)
      : u(Random<Real>(T * H, 2, 1)),
        B(Random<Real>(2 * H * N, 0.5, 2)),
        C(Random<Real>(2 * H * N, 1, 3)),
        dy(Random<Real>(T * H, 1, 4)),
        du(Random<Real>(T * H + kSentinels, 1, 5)),
        dA(Random<Real>(2 * H * N + kSentinels, 1, 6)),
        dB(dA),
        dC(dA),
        y(static_cast<size_t>(T * H)) {
    Rng rng(7);
    A.resize(static_cast<size_t>(2 * H * N));
    for (int64_t i = 0; i < H * N; ++i) {
      const auto re = static_cast<size_t>(i / N * 2 * N + i % N);
      const double radius = 1 - std::exp(-5 * rng.Uniform() - 0.5), angle = 6.2 * rng.Uniform();
      A[re] = static_cast<Real>(static_cast<float>(radius * std::cos(angle)));
      A[re + static_cast<size_t>(N)] =
          static_cast<Real>(static_cast<float>(radius * std::sin(angle)));
      SeenRange range;
      range.Include(-rng.Uniform(0.3f, 1.5f));
      range.Include(rng.Uniform(0.3f, 1.5f));
      // Some modes have no code.
      codes.push_back(i % 7 == 3 ? AffineCode() : MakeAffineCode(range, 7, form.symmetric));
    }
    args = {T,
            H,
            N,
            u.data(),
            A.data(),
            B.data(),
            C.data(),
            codes.data(),
            form.dynamic_bits,
            form.symmetric,
            form.three,
            form.rounding,
            0x1234567,
            form.shared_noise,
            static_cast<Real>(form.limit),
            y.data()};
    gradient = {args,      dy.data(), static_cast<Real>(form.adjoint_limit), du.data(), dA.data(),
                dB.data(), dC.data()};
  }
  Problem(const Problem&) = delete;
  std::vector<std::vector<Real>*> Gradients() { return {&du, &dA, &dB, &dC}; }
  void RunReference() {
    std::vector<Real> scratch(static_cast<size_t>(S4dcodeScratchValues(args)));
    S4dcodeReference(args, scratch.data());
  }
  void RunReferenceGradient() {
    std::vector<Real> scratch(static_cast<size_t>(S4dcodegradScratchValues(gradient)));
    S4dcodegradReference(gradient, scratch.data());
  }

  std::vector<Real> u, A, B, C, dy, du, dA, dB, dC, y;
  std::vector<AffineCode> codes;
  S4dcodeArgsOf<Real> args;
  S4dcodegradArgsOf<Real> gradient;
};

const std::array<int64_t, 3> kSizes[] = {{1, 1, 1},   {2, 3, 4},    {33, 2, 7}, {50, 5, 16},
                                         {97, 3, 17}, {200, 2, 32}, {64, 1, 41}};

TEST(S4dcode, EveryKernelHasTheBitsOfTheReference) {
  for (const FormOf& form : kForms) {
    const bool vectors =
        form.dynamic_bits == 0 && form.shared_noise && form.rounding != StateRounding::kFeedback;
    for (const std::array<int64_t, 3>& size : kSizes) {
      const int64_t T = size[0], H = size[1], N = size[2];
      Problem<float> p(form, T, H, N);
      p.RunReference();
      const std::vector<float> want = p.y;
      const int count =
          ForEachKernel<S4dcodeArgs>(p.args, [&](const std::string& name, const auto& call) {
            std::ranges::fill(p.y, NAN);
            call();
            EXPECT_EQ(p.y, want) << name << " " << form.name << " N=" << N;
          });
      EXPECT_GE(count, vectors ? 2 : 1);
    }
  }
}

// The layer over complex numbers; `round` is called for every rounding with its number, token,
// mode, part and value.
using Rounding = std::function<double(int, int64_t, int64_t, bool, double)>;

double Second(const Problem<double>& p, const Rounding& round, std::vector<double>* y) {
  const int64_t N = p.args.N, H = p.args.H;
  const auto rounded = [&](int k, int64_t t, int64_t m, Complex v) {
    return Complex(round(k, t, m, false, v.real()), round(k, t, m, true, v.imag()));
  };
  double loss = 0;
  for (int64_t h = 0; h < H; ++h) {
    std::vector<Complex> x(static_cast<size_t>(N));
    for (int64_t t = 0; t < p.args.T; ++t) {
      const auto at = static_cast<size_t>(t * H + h);
      double sum = 0;
      for (int64_t n = 0; n < N; ++n) {
        const auto re = static_cast<size_t>(2 * h * N + n), im = re + static_cast<size_t>(N);
        const int64_t m = h * N + n;
        Complex& state = x[static_cast<size_t>(n)];
        Complex decayed = Complex(p.A[re], p.A[im]) * state;
        Complex added = Complex(p.B[re], p.B[im]) * p.u[at];
        if (p.args.three_roundings) {
          decayed = rounded(0, t, m, decayed);
          added = rounded(1, t, m, added);
        }
        const Complex s = decayed + added;
        state = rounded(2, t, m, s);
        const Complex read = p.args.three_roundings ? s : state;
        sum += p.C[re] * read.real() - p.C[im] * read.imag();
      }
      if (y != nullptr) (*y)[at] = sum;
      loss += p.dy[at] * sum;
    }
  }
  return loss;
}

// One value through the code of mode m, in words of tensor/state_format.h.
double Coded(const Problem<double>& p, int64_t t, int64_t m, bool imaginary, double v) {
  const AffineCode& code = p.codes[static_cast<size_t>(m)];
  const double places = v * static_cast<double>(code.inverse);
  const double low = code.low, high = code.high, scale = code.scale, zero = code.zero;
  if (scale == 0) return v;
  const RowNoise noise(p.args.noise_key, t, m / p.args.N);
  const uint64_t n = static_cast<uint64_t>(m % p.args.N);
  const uint64_t bits = p.args.shared_noise ? (noise.bits + n * 0x9e3779b9u) % (uint64_t{1} << 32)
                                            : NoiseAt(noise, m % p.args.N);
  switch (p.args.rounding) {
    case StateRounding::kNearest:
      return (std::nearbyint(std::min(std::max(places + zero, low), high)) - zero) * scale;
    case StateRounding::kStochastic: {
      const double r =
          std::ldexp(static_cast<double>((imaginary ? bits >> 15 : bits) % 32768), -15);
      return std::min(std::floor(std::min(std::max(places, low), high) + r), high) * scale;
    }
    case StateRounding::kFeedback:
      return std::nearbyint(std::min(std::max(16 * places, 16 * low - 8), 16 * high + 7)) * scale /
             16;
  }
  return v;
}

double Limited(const Problem<double>& p, int k, double v) {
  return k == 2 ? std::min(std::max(v, -p.args.limit), p.args.limit) : v;
}

TEST(S4dcode, ReferenceIsTheRecurrence) {
  for (const FormOf& form : kForms) {
    if (form.dynamic_bits != 0) continue;
    Problem<double> p(form, 60, 2, 9);
    p.RunReference();
    std::vector<double> want(p.y.size());
    Second(
        p,
        [&](int k, int64_t t, int64_t m, bool imaginary, double v) {
          return Limited(p, k, Coded(p, t, m, imaginary, v));
        },
        &want);
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_NEAR(p.y[i], want[i], 1e-12) << form.name << " " << i;
    }
  }
}

// A scale that is made anew holds the largest value of the head and rounds the others.
TEST(S4dcode, DynamicCodesFollowTheValues) {
  FormOf form = kForms[9];
  double previous = kInfinity;
  Problem<double> exact({"float", true, false, StateRounding::kFeedback}, 60, 2, 9);
  std::ranges::fill(exact.codes, AffineCode());
  exact.RunReference();
  for (const int bits : {4, 8, 16}) {
    form.dynamic_bits = bits;
    Problem<double> p(form, 60, 2, 9);
    p.RunReference();
    double worst = 0;
    for (size_t i = 0; i < p.y.size(); ++i) {
      worst = std::max(worst, std::fabs(p.y[i] - exact.y[i]));
    }
    EXPECT_LT(worst, previous / 4) << bits;
    previous = worst;
  }
  EXPECT_LT(previous, 1e-2);
}

TEST(S4dcodegrad, ReferenceIsTheDerivativeBetweenRoundings) {
  for (const FormOf& form : kForms) {
    if (form.dynamic_bits != 0 || !form.shared_noise || form.adjoint_limit < kInfinity ||
        form.rounding == StateRounding::kFeedback) {
      continue;
    }
    Problem<double> p(form, 23, 2, 5);
    for (std::vector<double>* v : p.Gradients()) {
      std::ranges::fill(*v, 0.0);
    }
    p.RunReferenceGradient();
    // By rounding: its error, or its constant value.
    struct Kept {
      double value = 0;
      bool constant = false;
    };
    std::map<std::tuple<int, int64_t, int64_t, bool>, Kept> kept;
    int constants = 0;
    const auto record = [&](int k, int64_t t, int64_t m, bool imaginary, double v) {
      const double after = Limited(p, k, Coded(p, t, m, imaginary, v));
      const AffineCode& code = p.codes[static_cast<size_t>(m)];
      const bool held = code.scale == 0 || (code.low - code.zero - 0.5 <= v / code.scale &&
                                            v / code.scale <= code.high - code.zero + 0.5);
      const bool constant = !held || (k == 2 && std::fabs(v) > p.args.limit);
      constants += constant;
      kept[{k, t, m, imaginary}] = {constant ? after : after - v, constant};
      return after;
    };
    const auto replay = [&](int k, int64_t t, int64_t m, bool imaginary, double v) {
      const Kept& e = kept[{k, t, m, imaginary}];
      return e.constant ? e.value : v + e.value;
    };
    Second(p, record, nullptr);
    EXPECT_GT(constants, 20) << form.name;
    const auto check = [&](std::vector<double>* parameters, const std::vector<double>& gradient) {
      for (size_t i = 0; i < parameters->size(); ++i) {
        double& v = (*parameters)[i];
        const double before = v, step = 1e-5;
        v = before + step;
        const double up = Second(p, replay, nullptr);
        v = before - step;
        const double down = Second(p, replay, nullptr);
        v = before;
        const double want = (up - down) / (2 * step);
        ASSERT_NEAR(gradient[i], want, 1e-6 * std::max(1.0, std::fabs(want))) << form.name;
      }
    };
    check(&p.u, p.du);
    check(&p.A, p.dA);
    check(&p.B, p.dB);
    check(&p.C, p.dC);
  }
}

TEST(S4dcodegrad, EveryKernelIsCloseToTheReference) {
  for (const FormOf& form : kForms) {
    if (form.dynamic_bits != 0 || !form.shared_noise || form.rounding == StateRounding::kFeedback) {
      continue;
    }
    for (const std::array<int64_t, 3>& size : kSizes) {
      const int64_t T = size[0], H = size[1], N = size[2];
      Problem<float> want(form, T, H, N);
      want.RunReferenceGradient();
      const int count =
          ForEachKernel<S4dcodegradArgs>(want.gradient, [&](const std::string& name, const auto&) {
            Problem<float> p(form, T, H, N);
            RunOnce(KernelNamed<S4dcodegradArgs>(name.substr(0, name.find(' '))), p.gradient);
            for (size_t v = 0; v < 4; ++v) {
              const std::vector<float>&a = *p.Gradients()[v], &b = *want.Gradients()[v];
              float scale = 0, worst = 0;
              for (size_t i = 0; i < a.size(); ++i) {
                scale = std::max(scale, std::fabs(b[i]));
                const float error = std::fabs(a[i] - b[i]);
                worst = std::max(worst, std::isnan(error) ? INFINITY : error);
              }
              EXPECT_LE(worst, 2e-5f * scale) << name << " " << form.name << " " << v << " N=" << N;
              EXPECT_TRUE(std::equal(a.end() - kSentinels, a.end(), b.end() - kSentinels));
            }
          });
      EXPECT_GE(count, 2);
    }
  }
}

TEST(S4dcodegrad, TheAdjointIsLimited) {
  FormOf form = kForms[5];
  Problem<double> limited(form, 50, 1, 8);
  form.adjoint_limit = kInfinity;
  Problem<double> free(form, 50, 1, 8);
  limited.RunReferenceGradient();
  free.RunReferenceGradient();
  EXPECT_NE(limited.dB, free.dB);
  EXPECT_EQ(limited.dC, free.dC);
}

}  // namespace
}  // namespace octet
