// The recurrence of an S4d in floats, for taps that look at its states.
#ifndef OCTET_QUANT_S4D_FLOAT_STATES_H_
#define OCTET_QUANT_S4D_FLOAT_STATES_H_

#include <algorithm>
#include <span>
#include <vector>

#include "exec/s4d_discretize.h"
#include "graph/graph.h"

namespace octet {

// y and y_ssm (y without D u), both [T, H], of u [T, H] from a zero state; see(t, h, n, re, im) is
// called with each state, head by head.
template <class See>
void RunFloatS4d(const Node& n, const DiscreteS4d& s, std::span<const float> D,
                 std::span<const float> u, std::span<float> y_ssm, std::span<float> y,
                 const See& see) {
  const auto H = n.width, N = n.s4d.modes;
  const int64_t T = std::ssize(u) / H;
  std::vector<float> re(static_cast<size_t>(N)), im(re.size());
  for (int64_t h = 0; h < H; ++h) {
    const float *Ar = s.A.data() + h * 2 * N, *Ai = Ar + N, *Br = s.B.data() + h * 2 * N,
                *Bi = Br + N, *Cr = s.C.data() + h * 2 * N, *Ci = Cr + N;
    std::ranges::fill(re, 0.0f);
    std::ranges::fill(im, 0.0f);
    for (int64_t t = 0; t < T; ++t) {
      const auto at = static_cast<size_t>(t * H + h);
      float sum = 0;
      for (int64_t i = 0; i < N; ++i) {
        const auto k = static_cast<size_t>(i);
        const float next = Ar[i] * re[k] - Ai[i] * im[k] + Br[i] * u[at];
        im[k] = Ar[i] * im[k] + Ai[i] * re[k] + Bi[i] * u[at];
        re[k] = next;
        sum += Cr[i] * re[k] - Ci[i] * im[k];
        see(t, h, i, re[k], im[k]);
      }
      y_ssm[at] = sum;
      y[at] = sum + D[static_cast<size_t>(h)] * u[at];
    }
  }
}

}  // namespace octet
#endif  // OCTET_QUANT_S4D_FLOAT_STATES_H_
