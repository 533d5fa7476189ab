// From the weights of an S4d node to the coefficients of its recurrence (Gu et al. 2022, S4D).
#ifndef OCTET_EXEC_S4D_DISCRETIZE_H_
#define OCTET_EXEC_S4D_DISCRETIZE_H_

#include <complex>
#include <span>
#include <vector>

#include "graph/graph.h"
#include "tensor/weights.h"

namespace octet {

// The continuous mode -> the discrete one, in double.
struct DiscreteMode {
  std::complex<double> A, B;
};
// Re a of a pole, from what the checkpoint stores: -exp(v), -(max(v, 0) + 1e-4), -softplus(v),
// -sigmoid(v) or -v.
double RealPartOf(RealPart form, double v);
// Of the pole a with input weight b, at step dt > 0. `discretization` is not kNone.
DiscreteMode DiscretizeMode(Discretization discretization, std::complex<double> a,
                            std::complex<double> b, double dt);

// As kernels/s4d.h wants them, [H, 2, N]: C holds the factor 2 of the conjugates. Computed in
// double and rounded once.
struct DiscreteS4d {
  std::vector<float> A, B, C;
};
// `weights`: the values of the node's weights by role (graph/graph.h), empty where it names none.
// kCorrupt, naming the head and the mode, when a coefficient is not finite.
Result<DiscreteS4d> Discretize(const Node& n, std::span<const std::vector<float>* const> weights);

// The impulse response of head h, K[l] = Re sum_n C[n] B[n] A[n]^l for l < length, in double: what
// the layer convolves its input with (Gu et al. 2022, S4D, equation 5); the skip D is not in it.
std::vector<double> ImpulseResponse(const DiscreteS4d& s, int64_t modes, int64_t head,
                                    int64_t length);

// The layer as a convolution with its impulse response, from the zero state: y [T, H] of u [T, H],
// sums in double. It costs T^2 per head and serves as a check of the recurrence; by FFT it would
// still cost as much as that, which needs no kernel and no padding.
std::vector<float> Convolve(const DiscreteS4d& s, int64_t modes, std::span<const float> D,
                            std::span<const float> u);

}  // namespace octet
#endif  // OCTET_EXEC_S4D_DISCRETIZE_H_
