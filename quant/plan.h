// What a recipe decides, as plain data: printed as JSON, changed by JSON, carried out by passes.
#ifndef OCTET_QUANT_PLAN_H_
#define OCTET_QUANT_PLAN_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "quant/int4_grid.h"
#include "quant/state_scales.h"

namespace octet {

// The offline rotation (methods_mamba 2.2, 2.3).
enum class Rotation : uint8_t {
  kNone,
  kOutput,  // an online Hadamard before out_proj only (Quamba 1, HAD-Q1)
  kFull,    // the residual stream as well (Quamba 2, SSDi8)
};
// How an Ssd computes.
enum class SsdMode : uint8_t {
  kFloat,
  kInt8,        // codes through stages 2, 4 and 5a, state passing in fp32
  kInt8GateQ7,  // with the integer state passing of the SSDi8 paper
};
// What shares one scale at a site.
enum class Granularity : uint8_t {
  kTensor,   // everything
  kGroup,    // an SSM group
  kChannel,  // a channel; of x, x_scaled and state: a (head, head_dim) pair
  kSegment,  // the channels of z, of x, of B, of C, of dt
  kCluster,  // a (group, head cluster, channel cluster) of x, see reorder_heads
  kToken,    // a token; made at run time
  kChunk,    // inner sites of an Ssd: as kGroup or kChannel, made at run time for each chunk
};
// How a static scale follows from calibration data.
enum class ObserverKind : uint8_t {
  kAbsMax,      // the largest magnitude
  kPercentile,  // the alpha-quantile of magnitudes, a moving average over documents
  kOctav,       // the clip of least squared error
};

// How the sites of a name are encoded. Among rules for one site, the last one counts.
struct SiteRule {
  std::string sites = "";      // name within a block, `*` for any letters: "x", "ssd.*";
                               // "linear-inputs"; outside the blocks "final_norm"
  std::string layers = "";     // "0-3,7"; empty: all
  std::string codec = "int8";  // a name of tensor/codec.h, or "float"
  Granularity granularity = Granularity::kTensor;
  ObserverKind observer = ObserverKind::kAbsMax;
  double alpha = 1.0;        // kPercentile: in [0.5, 1]
  std::string same_as = "";  // the site shares the scales of this one, where it is a part of it
  bool optional = false;     // a site of some families only: no error where no block has it

  // Whether scales are made at run time: nothing to calibrate.
  bool run_time() const {
    return granularity == Granularity::kToken || granularity == Granularity::kChunk;
  }
  friend bool operator==(const SiteRule&, const SiteRule&) = default;
};

// A reader of a value that sees it under a site of its own, so that it can be encoded for that
// reader alone.
struct ForkRule {
  std::string site = "";    // the new site, within the block
  std::string reader = "";  // site of the operation that reads it
  int64_t input = 0;        // which of its inputs

  friend bool operator==(const ForkRule&, const ForkRule&) = default;
};

enum class WeightMethod : uint8_t {
  kRtn,   // round to nearest
  kGptq,  // Frantar et al. 2022; 4 bits
};
// What shares one 8-bit scale of a tensor.
enum class WeightScale : uint8_t {
  kTensor,
  kSegment,  // the rows of z, of x, of B, of C, of dt (parts of what reads the tensor's output)
  kRow,
};

// How the tensors of a name are stored. Among rules for one tensor, the last one counts.
struct WeightRule {
  std::string tensors = "";  // "in_proj", "conv1d.weight", "A_log", with `*`; "linears" for every
                             // matrix of a block; outside the blocks "embedding" and "head"
  std::string layers = "";   // as in SiteRule
  int64_t bits = 8;          // 4, 8, 16 (fp16) or 32 (left as it is)
  WeightScale scale = WeightScale::kTensor;  // 8 bits
  int64_t group = 128;                       // 4 bits: columns per step, a multiple of 32
  Int4Step step = Int4Step::kAbsMax;         // 4 bits
  WeightMethod method = WeightMethod::kRtn;
  bool optional = false;  // a tensor of some families only: no error where no block has it

  friend bool operator==(const WeightRule&, const WeightRule&) = default;
};

struct QuantPlan {
  Rotation rotation = Rotation::kNone;
  std::string hadamard = "auto";  // construction of the matrices: "auto" or "block"
  bool migrate_gamma = true;      // with kFull: fold the gated norm's weight into out_proj
  double smooth = 0;              // SmoothQuant's migration strength in (0, 1]; 0: none
  bool reorder_heads = false;     // sort and cluster heads and channels (Quamba 2)
  int64_t chunk_size = 0;         // of the SSD; 0: the checkpoint's
  SsdMode ssd = SsdMode::kFloat;
  bool full_score = false;     // calibrate scores above the diagonal too, as the paper does
  bool running_state = false;  // state scales cover carried states, not only local ones
  std::vector<ForkRule> forks;
  std::vector<SiteRule> sites;
  std::vector<WeightRule> weights;
  // Chooses alpha of all percentile rules by the calibration text's perplexity (quant/sweep.h).
  bool sweep_alpha = false;
  double damping = 0.01;                         // of GPTQ, relative to the Hessian's mean diagonal
  std::string state = "f32";                     // format of the recurrent state
  StateLayout state_scales = StateLayout::kRow;  // static formats: what shares a scale
  ObserverKind state_observer = ObserverKind::kAbsMax;  // kPercentile: one scale for all only
  double state_alpha = 1.0;                             // kPercentile
  std::string mean_correction = "none";  // "none", "auto", or a factor in [0, 1] (SSDi8)

  friend bool operator==(const QuantPlan&, const QuantPlan&) = default;
};

// What ApplyJson and the ranges of recipe options do not exclude; kInvalidArgument naming it.
Status CheckPlan(const QuantPlan& plan);

// The factor that a mean_correction means: nothing for "auto", 0 for "none"; kInvalidArgument for
// other text than a number between 0 and 1.
Result<std::optional<double>> ParseMeanCorrection(const std::string& text);

// Whether carrying the plan out needs calibration text.
bool NeedsCalibration(const QuantPlan& plan);

Json ToJson(const QuantPlan& plan);
// Sets what `j` has on `*plan`; "forks", "sites" and "weights" are appended. Unknown members, wrong
// types and values outside their ranges are refused: kInvalidArgument naming the member.
Status ApplyJson(const Json& j, QuantPlan* plan);
// JSON Schema (draft 2020-12) of what ApplyJson takes.
Json PlanSchema();

// Whether `layer` is in "0-3,7"; empty contains all.
bool ContainsLayer(std::string_view layers, int layer);
// kInvalidArgument, naming the blocks that there are, when it has a number that is no block.
Status CheckLayers(std::string_view layers, int blocks);
// Whether `name` matches `pattern`, in which `*` stands for any letters, also none.
bool MatchesName(std::string_view pattern, std::string_view name);

}  // namespace octet
#endif  // OCTET_QUANT_PLAN_H_
