// Simulated quantization: floats that hold only what codes could hold.
#ifndef OCTET_EXEC_SIMULATE_H_
#define OCTET_EXEC_SIMULATE_H_

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "exec/interpreter.h"
#include "graph/graph.h"

namespace octet {

// How often values fell outside the range of their static scale.
struct Saturation {
  int64_t values = 0;
  int64_t saturated = 0;  // |value| beyond the largest code by more than half a step
};

// Replaces the values of every encoded site by decode(encode(value)), inner sites of int8 Ssd nodes
// included. An Interpreter over the reference kernels with this tap computes bit for bit what the
// Program lowered from the same graph over the reference kernels computes with integers.
class SimulationTap : public Tap {
 public:
  explicit SimulationTap(const Graph& graph) : graph_(graph) {}
  void At(std::string_view site, int64_t index, float* values, int64_t rows, int64_t cols) override;
  const std::map<std::string, Saturation, std::less<>>& saturation() const { return saturation_; }

 private:
  const Graph& graph_;
  std::map<std::string, Saturation, std::less<>> saturation_;
};

}  // namespace octet
#endif  // OCTET_EXEC_SIMULATE_H_
