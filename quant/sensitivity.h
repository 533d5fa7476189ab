// How much accuracy each part of a model loses when that part alone is quantized.
#ifndef OCTET_QUANT_SENSITIVITY_H_
#define OCTET_QUANT_SENSITIVITY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/parallel.h"
#include "base/status.h"
#include "quant/recipe.h"

namespace octet {

// One part in one form.
struct SensitivityItem {
  enum class Kind : uint8_t {
    kMatrix,  // a matrix of a block, the embedding or the head; tried at each of the given widths
    kVector,  // another tensor that the base recipe stores as codes, as it does that
    kSite,    // a site that the base recipe encodes, as it does that
  };
  Kind kind = Kind::kMatrix;
  int layer = -1;         // -1: outside the blocks
  std::string name;       // as a rule of a plan names it: "in_proj", "A_log", "u_norm", "ssd.state"
  int64_t bits = 8;       // of the form
  int64_t bytes = 0;      // of the tensor in this form with its scales, as stored; sites: 0
  int64_t f16_bytes = 0;  // of the tensor in fp16
  double kl = 0;          // mean KL(float || this part quantized) per token, nats
  double kl_error = 0;    // standard error of kl, from the differences between documents
};

struct Sensitivity {
  std::vector<SensitivityItem> items;  // by layer, -1 first; matrices, vectors, sites
  int layers = 0;
  int64_t documents = 0, tokens = 0;  // that it was measured on
  // Of everything that is no matrix, with the base recipe: stored bytes of the model without them.
  int64_t fixed_bytes = 0;

  Json ToJson() const;
};

struct SensitivityOptions {
  std::vector<int64_t> bits = {4, 8};  // of matrices: 4, 8; not empty, no number twice
  bool matrices_only = false;
  // 4-bit codes as recipe auto stores them: by GPTQ, behind blocks that are quantized so. Else all
  // are rounded to nearest.
  bool gptq = false;
};

// Carries out `base` but for its weights: rotated, reordered, with the scales that `calibration`
// gives, the matrices still in float. That model in float is the reference, which differs from the
// checkpoint by fp32 rounding only. Then for every matrix of every block, the embedding and the
// head at each width (8 bits with a scale per row, 4 bits with least-squares steps for groups of
// 128 columns), and for every other tensor and site that `base` quantizes, runs the model with that
// alone quantized over `sample`, and compares predictions with the reference. The format of the
// recurrent state is no site: `octet evaluate drift` measures it.
//
// Forward only: a part of block l starts from the reference's residual stream before l. Documents
// run in parallel; results do not depend on the number of threads. Memory for each thread: the
// residual streams of a document before every block and two sets of its logits.
// kInvalidArgument for fewer than two documents in `sample`, an empty one, or a width that is not
// possible; errors of Quantize for `base`.
Result<Sensitivity> MeasureSensitivity(const QuantPlan& base, const Graph& graph,
                                       const WeightMap& weights, const TokenDataset& calibration,
                                       const TokenDataset& sample,
                                       const SensitivityOptions& options, ThreadPool* pool,
                                       const Progress& progress);

// The 8-bit recipe that parts are taken from when the user names none.
const char* DefaultBaseRecipe(Family family);

// The first `length` tokens of at most `documents` documents, spread evenly over `data`; those of
// less than two tokens are left out.
TokenDataset SampleOf(const TokenDataset& data, int64_t documents, int64_t length);

// The rule by which the auto recipe stores a matrix in `bits`: 16, or as above, with 4-bit codes by
// GPTQ but for the embedding.
WeightRule MatrixRule(const std::string& name, const std::string& layers, int64_t bits);

}  // namespace octet
#endif  // OCTET_QUANT_SENSITIVITY_H_
