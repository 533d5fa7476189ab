// The parts of kernel arguments that follow from a node and its weights alone; shared by executors.
#ifndef OCTET_EXEC_NODE_ARGS_H_
#define OCTET_EXEC_NODE_ARGS_H_

#include <algorithm>
#include <cmath>
#include <vector>

#include "exec/s4d_discretize.h"
#include "graph/graph.h"
#include "kernels/layernorm.h"
#include "kernels/rmsnorm.h"
#include "kernels/s4d.h"
#include "kernels/scan.h"
#include "kernels/ssd.h"

namespace octet {

// Shape, weight and eps; empty `weight`: all ones.
inline RmsnormArgs NormArgs(const Node& n, const std::vector<float>& weight) {
  RmsnormArgs a{};
  a.C = n.width;
  a.groups = n.groups;
  a.weight = weight.empty() ? nullptr : weight.data();
  a.eps = n.eps;
  return a;
}

// A = -exp(A_log).
inline std::vector<float> DecayRates(const std::vector<float>& A_log) {
  std::vector<float> A(A_log.size());
  std::ranges::transform(A_log, A.begin(), [](float v) {
    return static_cast<float>(-std::exp(static_cast<double>(v)));
  });
  return A;
}

// Sizes and the skip weight D [H] or [H * P].
inline SsdArgs SsdShapeArgs(const Node& n, const std::vector<float>& D) {
  SsdArgs a{};
  a.H = n.ssd.heads;
  a.P = n.ssd.head_dim;
  a.N = n.ssd.state_size;
  a.G = n.ssd.groups;
  a.L = n.ssd.chunk_size;
  a.D = D.data();
  a.D_per_channel = static_cast<int64_t>(D.size()) != n.ssd.heads;
  return a;
}

// Sizes, A = DecayRates(A_log) [I, N] and the skip weight D [I]; all channels.
inline ScanArgs ScanShapeArgs(const Node& n, const std::vector<float>& A,
                              const std::vector<float>& D) {
  ScanArgs a{};
  a.I = n.width;
  a.N = n.scan.state_size;
  a.period = n.scan.period;
  a.channel_end = a.I;
  a.A = A.data();
  a.D = D.data();
  return a;
}

// Sizes, the discrete A, B and C, and the skip weight D [H]; all heads.
inline S4dArgs S4dShapeArgs(const Node& n, const DiscreteS4d& s, const std::vector<float>& D) {
  S4dArgs a{};
  a.H = n.width;
  a.N = n.s4d.modes;
  a.period = n.s4d.period;
  a.head_end = a.H;
  a.A = s.A.data();
  a.B = s.B.data();
  a.C = s.C.data();
  a.D = D.data();
  return a;
}

inline LayernormArgs LayerNormArgs(const Node& n, const std::vector<float>& weight,
                                   const std::vector<float>& bias) {
  LayernormArgs a{};
  a.C = n.width;
  a.weight = weight.data();
  a.bias = bias.data();
  a.eps = n.eps;
  return a;
}

// The running means of T rows of `width` channels: row t is the mean over the tokens of the stream
// up to it. `sum` [width] holds what `seen` tokens before the first add up to.
inline void RunningMean(const float* x, int64_t stride, int64_t T, int64_t width, int64_t seen,
                        float* sum, float* y) {
  for (int64_t t = 0; t < T; ++t) {
    const auto count = static_cast<float>(seen + t + 1);
    for (int64_t c = 0; c < width; ++c) {
      sum[c] += x[t * stride + c];
      y[t * width + c] = sum[c] / count;
    }
  }
}

// Calls body(first, count) for the parts of T tokens that an Ssd runs one after the other. A chunk
// of one token runs as the decode step, however it came about: cutting a text at multiples of the
// chunk length then changes no bit, even when one token is left.
template <class Body>
void ForEachSsdPart(int64_t T, int64_t chunk_size, const Body& body) {
  const bool steps = chunk_size == 1;
  const int64_t tail = steps ? T : T > 1 && (T - 1) % chunk_size == 0 ? 1 : 0;
  if (T > tail) body(0, T - tail);
  for (int64_t t = T - tail; t < T; ++t) {
    body(t, 1);
  }
}

}  // namespace octet
#endif  // OCTET_EXEC_NODE_ARGS_H_
