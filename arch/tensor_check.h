// What every family's loader does alike: read the shared part of config.json, find sizes in the
// tensors, and keep exactly the expected tensors.
#ifndef OCTET_ARCH_TENSOR_CHECK_H_
#define OCTET_ARCH_TENSOR_CHECK_H_

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "arch/config_reader.h"
#include "base/json.h"
#include "base/status.h"
#include "tensor/weights.h"

namespace octet {

// Values of config.json that all families have, in one spelling; absent ones are nothing.
struct DeclaredModel {
  std::optional<int64_t> d_model, layers, vocab, state_size, conv_kernel;
  bool bias = false, conv_bias = true, tied = false;
  double norm_eps = 1e-5;
};

// Whether config.json is spelled as state-spaces does; otherwise as Hugging Face does.
bool IsStateSpaces(const Json& config);

// kInvalidArgument unless `eps`, of that key, is a positive float below 1.
Status CheckEps(const char* key, double eps);

// Readers of the shared values. `tied` is the family's default of tie_word_embeddings.
// kUnsupported for another activation than SiLU.
Status ReadHuggingFace(const ConfigReader& reader, bool tied, DeclaredModel* d);
// `ssm` reads the object ssm_cfg. kUnsupported for MLP or attention layers.
Status ReadStateSpaces(const ConfigReader& reader, const ConfigReader& ssm, DeclaredModel* d);
// The object ssm_cfg of a state-spaces config.json, empty when absent.
Result<Json> SsmConfig(const Json& config);

// The names of the checkpoint in Hugging Face's spelling: state-spaces' one rename.
WeightMap CanonicalNames(const WeightMap& weights);

// A tensor of that rank with no empty dimension; kCorrupt or kNotFound, naming it, otherwise.
Result<Weight> ShapedTensor(const WeightMap& weights, const std::string& name, size_t rank);

// Sizes of the outer network as the tensors have them.
struct OuterSizes {
  int64_t d_model = 0, layers = 0, vocab_rows = 0;
};
Result<OuterSizes> FindOuterSizes(const WeightMap& weights);

// Sentences about values of config.json that the tensors contradict; the tensors win.
class SizeWarnings {
 public:
  void Compare(const char* what, std::optional<int64_t> declared, int64_t actual);
  // The sizes that all families have.
  void CompareOuter(const DeclaredModel& declared, const OuterSizes& actual);
  void Add(std::string sentence) { sentences_.push_back(std::move(sentence)); }
  std::vector<std::string> Take() { return std::move(sentences_); }

 private:
  std::vector<std::string> sentences_;
};

// Keeps exactly the expected tensors; a missing, misshapen or unexpected one is an error.
class TensorCheck {
 public:
  // `weights` must outlive it.
  explicit TensorCheck(const WeightMap& weights) : weights_(weights) {}
  Status Need(const std::string& name, const std::vector<int64_t>& shape);
  // Absent is fine unless `required`.
  Status Optional(const std::string& name, const std::vector<int64_t>& shape, bool required);
  // Embedding, final norm and head. The head may be absent (tied), an alias of the embedding, or a
  // matrix of its own; returns whether it is tied.
  Result<bool> NeedOuter(const OuterSizes& sizes, const DeclaredModel& declared,
                         SizeWarnings* warnings);
  // The tensors asked for; kCorrupt when there are others. `family` is for the message: "Mamba-2".
  Result<WeightMap> Finish(const char* family);

 private:
  const WeightMap& weights_;
  WeightMap kept_;
  std::set<std::string> ignored_;
};

}  // namespace octet
#endif  // OCTET_ARCH_TENSOR_CHECK_H_
