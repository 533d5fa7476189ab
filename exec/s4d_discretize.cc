#include "exec/s4d_discretize.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

namespace octet {
namespace {

using Complex = std::complex<double>;

// Element i of a list of (re, im).
Complex PairAt(const std::vector<float>& v, size_t i) {
  return {v[2 * i], v[2 * i + 1]};
}

}  // namespace

double RealPartOf(RealPart form, double v) {
  switch (form) {
    case RealPart::kExp:
      return -std::exp(v);
    case RealPart::kRelu:
      return -(std::max(v, 0.0) + 1e-4);
    case RealPart::kSoftplus:
      return v > 0 ? -(v + std::log1p(std::exp(-v))) : -std::log1p(std::exp(v));
    case RealPart::kSigmoid:
      return -1 / (1 + std::exp(-v));
    case RealPart::kIdentity:
      return -v;
  }
  return 0;
}

DiscreteMode DiscretizeMode(Discretization discretization, Complex a, Complex b, double dt) {
  if (discretization == Discretization::kBilinear) {
    const Complex half = a * (dt / 2);
    return {(1.0 + half) / (1.0 - half), b * dt / (1.0 - half)};
  }
  const Complex A = std::exp(a * dt);
  // (A - 1) / a loses all digits near a = 0, where it is dt (1 + a dt / 2).
  const bool slow = std::abs(a * dt) < 1e-8;
  return {A, b * (slow ? dt * (1.0 + a * (dt / 2)) : (A - 1.0) / a)};
}

Result<DiscreteS4d> Discretize(const Node& n, std::span<const std::vector<float>* const> weights) {
  const auto N = static_cast<size_t>(n.s4d.modes);
  const auto H = static_cast<size_t>(n.width);
  const std::vector<float>&log_dt = *weights[0], &A_re = *weights[1], &A_im = *weights[2],
        &B = *weights[3], &C = *weights[4];
  const bool discrete = n.s4d.discretization == Discretization::kNone;
  DiscreteS4d s;
  for (std::vector<float>* v : {&s.A, &s.B, &s.C}) {
    v->resize(H * 2 * N);
  }
  for (size_t i = 0; i < H * N; ++i) {
    const size_t h = i / N;
    const Complex b = B.empty() ? Complex(1) : PairAt(B, i);
    const DiscreteMode mode =
        discrete
            ? DiscreteMode{PairAt(A_re, i), b}
            : DiscretizeMode(n.s4d.discretization, {RealPartOf(n.s4d.real_part, A_re[i]), A_im[i]},
                             b, std::exp(static_cast<double>(log_dt[h])));
    const Complex c = 2.0 * PairAt(C, i);
    const size_t re = h * 2 * N + i % N, im = re + N;
    bool finite = true;
    const auto put = [&](std::vector<float>* v, Complex value) {
      finite = finite && std::isfinite(static_cast<float>(value.real())) &&
               std::isfinite(static_cast<float>(value.imag()));
      (*v)[re] = static_cast<float>(value.real());
      (*v)[im] = static_cast<float>(value.imag());
    };
    put(&s.A, mode.A);
    put(&s.B, mode.B);
    put(&s.C, c);
    if (!finite) {
      return Corrupt(
          fmt::format("{}: head {}, mode {} has no finite discrete form", n.site, h, i % N));
    }
  }
  return s;
}

std::vector<double> ImpulseResponse(const DiscreteS4d& s, int64_t modes, int64_t head,
                                    int64_t length) {
  const auto N = static_cast<size_t>(modes);
  const size_t base = static_cast<size_t>(head) * 2 * N;
  const auto at = [&](const std::vector<float>& v, size_t n) {
    return Complex(v[base + n], v[base + N + n]);
  };
  std::vector<double> K(static_cast<size_t>(length));
  for (size_t n = 0; n < N; ++n) {
    const Complex A = at(s.A, n), residue = at(s.C, n) * at(s.B, n);
    const Complex log_pole = std::log(A);
    for (size_t l = 0; l < K.size(); ++l) {
      // Not by repeated multiplication, whose error grows with l; 0^0 is 1.
      const Complex power = l == 0 ? Complex(1) : std::exp(log_pole * static_cast<double>(l));
      K[l] += (residue * power).real();
    }
  }
  return K;
}

std::vector<float> Convolve(const DiscreteS4d& s, int64_t modes, std::span<const float> D,
                            std::span<const float> u) {
  const size_t H = D.size(), T = u.size() / H;
  std::vector<float> y(T * H);
  for (size_t h = 0; h < H; ++h) {
    const std::vector<double> K =
        ImpulseResponse(s, modes, static_cast<int64_t>(h), static_cast<int64_t>(T));
    for (size_t t = 0; t < T; ++t) {
      double sum = static_cast<double>(D[h]) * u[t * H + h];
      for (size_t l = 0; l <= t; ++l) {
        sum += K[l] * u[(t - l) * H + h];
      }
      y[t * H + h] = static_cast<float>(sum);
    }
  }
  return y;
}

}  // namespace octet
