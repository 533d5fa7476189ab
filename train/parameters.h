// The weights of a model that is trained, as one vector.
#ifndef OCTET_TRAIN_PARAMETERS_H_
#define OCTET_TRAIN_PARAMETERS_H_

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "graph/graph.h"
#include "tensor/weights.h"

namespace octet {

struct Parameter {
  std::string name;
  std::vector<int64_t> shape;
  int64_t begin = 0, count = 0;  // elements of the vector
};

// Where each tensor that a graph names lies in the vector, in the order in which it names them.
class ParameterLayout {
 public:
  // The graph's tensors, with the shapes they have in `weights`. kNotFound naming one that is
  // missing, kUnsupported for one that is quantized or that two nodes share.
  static Result<ParameterLayout> Of(const Graph& graph, const WeightMap& weights);

  int64_t size() const { return size_; }
  const std::vector<Parameter>& all() const { return parameters_; }
  // First element of the tensor, or -1 for the name "" or an unknown one.
  int64_t Begin(std::string_view name) const;
  // The tensor that holds that element.
  const Parameter& At(int64_t element) const;

  std::vector<float> Gather(const WeightMap& weights) const;
  WeightMap Scatter(std::span<const float> values) const;

 private:
  std::vector<Parameter> parameters_;
  int64_t size_ = 0;
};

}  // namespace octet
#endif  // OCTET_TRAIN_PARAMETERS_H_
