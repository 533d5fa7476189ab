// What quantization-aware training rounds, and what its gradients do there (arXiv:2506.12480,
// section 3.3): straight through, but for values that the codes do not hold.
#ifndef OCTET_TRAIN_FAKE_QUANT_H_
#define OCTET_TRAIN_FAKE_QUANT_H_

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "graph/graph.h"
#include "quant/s4d/codes.h"
#include "quant/s4d/quantized.h"
#include "train/ops.h"

namespace octet {

// By value: 1 where its gradient passes. Empty: everywhere.
using Held = std::vector<uint8_t>;

template <class Real>
void Mask(const Held& held, std::vector<Real>* gradient) {
  for (size_t i = 0; i < held.size(); ++i) {
    if (held[i] == 0) (*gradient)[i] = 0;
  }
}

// Coefficients of an S4d as kernels have them.
template <class Real>
struct S4dPlanes {
  std::vector<Real> A, B, C;  // [H, 2, N], C with the factor 2
  std::vector<Real> D;        // [H]
};

// kUnsupported for scales that are made at run time, and for states with error feedback or a random
// number for each mode.
Status CheckTrainable(const S4dPlan& plan);

// The forward pass is that of S4dSimulation. Immutable and thread-safe.
template <class Real>
class FakeQuant {
 public:
  // What an S4d node leaves behind on the way forward.
  struct Layer {
    std::vector<Real> u;  // [T, H], rounded
    Held held_u, held_ssm;
  };

  // Errors of CheckTrainable and CodesOf.
  static Result<FakeQuant> Create(const Graph& graph, const S4dQuantization& q);

  // Its plan, where a GELU is piecewise.
  bool piecewise_gelu() const { return plan_.piecewise_gelu; }

  // The matrix [width, columns] of a linear, in codes of its present range.
  void RoundMatrix(const Node& n, int64_t columns, std::vector<Real>* w) const;
  // The same of an S4d.
  void RoundCoefficients(const Node& n, S4dPlanes<Real>* planes) const;
  // The result of a node that feeds a linear; nothing happens to others.
  void RoundResult(const Node& n, std::vector<Real>* values, Held* held) const;

  // y [T, H] of x [T, H].
  void S4d(const Node& n, const S4dPlanes<Real>& p, const std::vector<Real>& x,
           std::vector<Real>* y, Held* held, Layer* layer, KernelScratch* scratch) const;
  // Adds to dx [T, H], dA, dB, dC [H, 2, N] and dD [H]; `dy` is masked.
  void S4dGradient(const Node& n, const S4dPlanes<Real>& p, const std::vector<Real>& dy,
                   const Layer& layer, std::vector<Real>* dx, Real* dA, Real* dB, Real* dC,
                   Real* dD, KernelScratch* scratch) const;

 private:
  FakeQuant(S4dPlan plan, S4dModelCodes codes) : plan_(std::move(plan)), codes_(std::move(codes)) {}
  const S4dLayerCodes& LayerOf(const Node& n) const { return codes_.layers.find(n.layer)->second; }
  S4dcodeArgsOf<Real> Args(const Node& n, const S4dPlanes<Real>& p,
                           const std::vector<Real>& u) const;

  S4dPlan plan_;
  S4dModelCodes codes_;
};

extern template class FakeQuant<float>;
extern template class FakeQuant<double>;

}  // namespace octet
#endif  // OCTET_TRAIN_FAKE_QUANT_H_
