// The weights of an S4D classifier after quantization, as floats.
#ifndef OCTET_QUANT_S4D_WEIGHTS_H_
#define OCTET_QUANT_S4D_WEIGHTS_H_

#include <complex>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "graph/graph.h"
#include "quant/s4d/plan.h"
#include "tensor/weights.h"

namespace octet {

// Replaces the poles of one group by decode(encode(pole)); the group shares its scales. With
// kLogPolar 1 - |A| is at least 1e-6, also after decoding. A polar coordinate of b bits has 2^b
// values from its smallest to its largest in the group; phases are in (-pi, pi].
void QuantizePoles(const S4dPoles& plan, std::span<std::complex<double>> poles);

// The same of the discrete coefficients of a layer, A, B and C [H, N, 2] without the factor 2 of
// the conjugates, and of its D [H], in the codes of `layer` (PlanOfLayer).
struct S4dCoefficients {
  std::vector<float> A, B, C, D;
};
void QuantizeCoefficients(const S4dPlan& layer, int64_t heads, int64_t modes, S4dCoefficients* c);

// The same of the matrix [rows, columns] of the linear at `site`.
void QuantizeMatrix(const S4dPlan& plan, std::string_view site, int64_t columns,
                    std::vector<float>* values);

// [H, 2, N] as kernels have complex coefficients to [H, N, 2] as weights have them, and back.
template <class Real>
std::vector<float> ToPairs(const std::vector<Real>& planes, int64_t modes, Real factor) {
  const auto N = static_cast<size_t>(modes);
  std::vector<float> pairs(planes.size());
  for (size_t i = 0; i < planes.size() / 2; ++i) {
    const size_t re = i / N * 2 * N + i % N;
    pairs[2 * i] = static_cast<float>(factor * planes[re]);
    pairs[2 * i + 1] = static_cast<float>(factor * planes[re + N]);
  }
  return pairs;
}
template <class Real>
void FromPairs(const std::vector<float>& pairs, int64_t modes, Real factor,
               std::vector<Real>* planes) {
  const auto N = static_cast<size_t>(modes);
  for (size_t i = 0; i < planes->size() / 2; ++i) {
    const size_t re = i / N * 2 * N + i % N;
    (*planes)[re] = factor * static_cast<Real>(pairs[2 * i]);
    (*planes)[re + N] = factor * static_cast<Real>(pairs[2 * i + 1]);
  }
}

// A graph with weights that executors run as they are.
struct S4dWeights {
  Graph graph;
  WeightMap weights;
};

// Discretizes every S4d node and replaces its A, B, C, D and the matrices of linears by
// decode(encode(value)); `graph` and `weights` are a float model. Nodes become kNone, their weights
// those of "discretization": "none" (arch/s4d.h): the name of C, and that name with A and B for its
// last letter. kCorrupt as Discretize.
Result<S4dWeights> QuantizeS4dWeights(const Graph& graph, const WeightMap& weights,
                                      const S4dPlan& plan);

}  // namespace octet
#endif  // OCTET_QUANT_S4D_WEIGHTS_H_
