#include "train/s4d_chain.h"

#include <cmath>

namespace octet {
namespace {

using Complex = std::complex<double>;

// phi(z) = (e^z - 1) / z, and its derivative, which loses its digits near 0 unless it is a series:
// phi'(z) = sum_k (k + 1) z^k / (k + 2)!.
struct Phi {
  Complex value, slope;
};

Phi PhiOf(Complex z) {
  if (std::abs(z) > 0.5) {
    const Complex power = std::exp(z), value = (power - 1.0) / z;
    return {value, (power - value) / z};
  }
  Phi phi;
  Complex term = 1;  // z^k / (k + 1)!
  for (int k = 0; k < 18; ++k) {
    phi.value += term;
    phi.slope += term * ((k + 1.0) / (k + 2.0));
    term *= z / (k + 2.0);
  }
  return phi;
}

}  // namespace

double RealPartSlope(RealPart form, double v) {
  switch (form) {
    case RealPart::kExp:
      return std::exp(v);
    case RealPart::kRelu:
      return v > 0 ? 1 : 0;
    case RealPart::kSoftplus:
      return 1 / (1 + std::exp(-v));
    case RealPart::kSigmoid: {
      const double s = 1 / (1 + std::exp(-v));
      return s * (1 - s);
    }
    case RealPart::kIdentity:
      return 1;
  }
  return 0;
}

ModeGradient ChainMode(Discretization discretization, Complex a, Complex b, double dt, Complex dA,
                       Complex dB) {
  const Complex z = a * dt;
  Complex A_slope, w, w_to_a, w_to_dt;  // B = b w; dA/dz, dw/da, dw/d(dt)
  if (discretization == Discretization::kBilinear) {
    const Complex m = 1.0 / (1.0 - z / 2.0);
    A_slope = w_to_dt = m * m;
    w = dt * m;
    w_to_a = dt * dt / 2 * m * m;
  } else {
    const Phi phi = PhiOf(z);
    A_slope = w_to_dt = std::exp(z);
    w = dt * phi.value;
    w_to_a = dt * dt * phi.slope;
  }
  const Complex dw = std::conj(b) * dB;
  ModeGradient g;
  g.b = std::conj(w) * dB;
  g.a = std::conj(dt * A_slope) * dA + std::conj(w_to_a) * dw;
  g.dt = (std::conj(a * A_slope) * dA + std::conj(w_to_dt) * dw).real();
  return g;
}

}  // namespace octet
