// From the gradient of the discrete coefficients of an S4D layer to that of its parameters.
#ifndef OCTET_TRAIN_S4D_CHAIN_H_
#define OCTET_TRAIN_S4D_CHAIN_H_

#include <complex>

#include "graph/graph.h"

namespace octet {

// d f(v) / dv of Re a = -f(v) (RealPartOf of exec/s4d_discretize.h).
double RealPartSlope(RealPart form, double v);

// A gradient with respect to a complex number z is held as dL/dRe z + i dL/dIm z.
struct ModeGradient {
  std::complex<double> a, b;  // of the pole and its input weight
  double dt = 0;
};
// The gradient of what DiscretizeMode was given, from that of what it gave.
ModeGradient ChainMode(Discretization discretization, std::complex<double> a,
                       std::complex<double> b, double dt, std::complex<double> dA,
                       std::complex<double> dB);

}  // namespace octet
#endif  // OCTET_TRAIN_S4D_CHAIN_H_
