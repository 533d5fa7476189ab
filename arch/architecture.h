// From a checkpoint's config and tensors to a Graph.
#ifndef OCTET_ARCH_ARCHITECTURE_H_
#define OCTET_ARCH_ARCHITECTURE_H_

#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "graph/graph.h"
#include "tensor/weights.h"

namespace octet {

// A model ready to execute: its graph, and exactly the tensors that the graph names.
struct Architecture {
  Graph graph;
  WeightMap weights;
  std::string model_type;  // "mamba", "falcon_mamba", "mamba2" or "s4d"
  std::vector<std::string>
      warnings;  // values of config.json that the tensors contradict, corrected
};

// One supported kind of model.
struct ArchSpec {
  const char* model_type;
  // Whether this config.json describes such a model (Hugging Face or state-spaces spelling).
  bool (*accepts)(const Json& config);
  // Sizes come from the tensors; config.json supplies what tensors cannot tell and is checked where
  // they can. kInvalidArgument for nonsense in the config; kCorrupt for a missing, unexpected or
  // misshapen tensor; kUnsupported for a variant that Octet does not run. `weights` keeps the names
  // of the checkpoint; the result has canonical ones.
  Result<Architecture> (*build)(const Json& config, const WeightMap& weights);
};

std::span<const ArchSpec> Architectures();

// Builds with the first spec that accepts, verifies the graph and refuses non-finite float weights
// and codes without scales, naming the tensor. kUnsupported, naming the model_type, when none
// accepts.
Result<Architecture> BuildArchitecture(const Json& config, const WeightMap& weights);

}  // namespace octet
#endif  // OCTET_ARCH_ARCHITECTURE_H_
