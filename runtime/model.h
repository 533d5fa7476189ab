// A loaded model: immutable, shared by any number of sessions.
#ifndef OCTET_RUNTIME_MODEL_H_
#define OCTET_RUNTIME_MODEL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "exec/program.h"
#include "graph/graph.h"
#include "tensor/weights.h"
#include "text/tokenizer.h"

namespace octet {

struct ModelOptions {
  // Tokens per SSD chunk; 0: what the checkpoint says. A float model runs with any length; a
  // quantized one whose int8 scales were calibrated for another length refuses.
  int64_t chunk_size = 0;
  bool bf16_compute = false;  // see LowerOptions
  // Kernels to choose from; nothing: all that ForceIsa allows.
  std::optional<IsaMask> isas;
};

// config.json, weights and graph of a float checkpoint, not lowered: what quantization starts from.
struct FloatCheckpoint {
  Json config;
  Graph graph;
  WeightMap weights;
  std::vector<std::string> warnings;
};

// A model folder, float or quantized, ready to run.
class Model {
 public:
  // Opens config.json, the weights (io/checkpoint.h) and, where there is one, tokenizer.json. A
  // .pth or .pt file in place of the folder is an S4D classifier with the defaults of arch/s4d.h.
  // Weights stay mapped from the files. Every error is one sentence that names the file.
  static Result<std::shared_ptr<const Model>> Load(const std::string& folder,
                                                   const ModelOptions& options);
  // The same of a folder that is open: its weights are not mapped a second time.
  static Result<std::shared_ptr<const Model>> Load(const std::string& folder,
                                                   const FloatCheckpoint& checkpoint,
                                                   const ModelOptions& options);
  // From parts in memory, for tools that have just made them. `config` is config.json's content.
  static Result<std::shared_ptr<const Model>> Create(Graph graph, WeightMap weights, Json config,
                                                     std::optional<Tokenizer> tokenizer,
                                                     const ModelOptions& options);

  const Graph& graph() const { return graph_; }
  const WeightMap& weights() const { return weights_; }
  const Json& config() const { return config_; }
  const Program& program() const { return *program_; }
  // What config.json claims and the tensors contradict; corrected.
  const std::vector<std::string>& warnings() const { return warnings_; }
  const std::string& folder() const { return folder_; }  // "" when made by Create

  // quantization_config, or nullptr for a float model.
  const Json* quantization() const { return config_.Find("quantization_config"); }
  // The tokenizer; kNotFound when the folder has none.
  Result<Tokenizer> tokenizer() const;
  // Tokens that end a text: eos_token_id of generation_config.json or config.json; may be empty.
  const std::vector<TokenId>& eos() const { return eos_; }
  int64_t vocab_rows() const { return graph_.vocab_rows; }

 private:
  Model() = default;
  Status LoadTokenizer();
  Status ReadEos();

  std::string folder_;
  Json config_;
  Graph graph_;
  WeightMap weights_;
  std::unique_ptr<Program> program_;
  std::optional<Tokenizer> tokenizer_;
  std::vector<TokenId> eos_;
  std::vector<std::string> warnings_;
};

// kInvalidArgument when the folder is quantized already.
Result<FloatCheckpoint> LoadFloatCheckpoint(const std::string& folder);

// An S4D classifier; its config may have a quantization_config of kS4dQuantMethod, of which weights
// and graph know nothing (quant/s4d/quantized.h). kInvalidArgument for another model.
Result<FloatCheckpoint> LoadS4dCheckpoint(const std::string& folder);

}  // namespace octet
#endif  // OCTET_RUNTIME_MODEL_H_
