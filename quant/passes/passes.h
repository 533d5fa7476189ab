// The building blocks of recipes. Each function returns a Pass (quant/recipe.h); PassesOf puts
// those that a plan asks for in order.
#ifndef OCTET_QUANT_PASSES_PASSES_H_
#define OCTET_QUANT_PASSES_PASSES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "quant/plan.h"
#include "quant/recipe.h"

namespace octet {

// Sets the SSD chunk length; 0 keeps the checkpoint's.
Pass SetChunkSize(int64_t chunk_size);

// Rotates the residual stream by a Hadamard matrix H_D (methods_mamba 2.2): head <- head diag(w_f)
// H_D^T, embedding <- embedding H_D^T, in_proj <- in_proj diag(w) H_D^T, out_proj <- H_D out_proj,
// norm weights <- 1. Products in double. The function of the model is unchanged.
Pass RotateResidual(const std::string& hadamard);
// Puts an online Hadamard H_I before out_proj <- out_proj [diag(gamma)] H_I^T, gamma being the
// gated norm's weight, which becomes 1.
Pass RotateOutput(const std::string& hadamard, bool migrate_gamma);

// Moves difficulty from the inputs of linears to their weights, where a norm feeds them
// (quant/smooth.h).
Pass Smooth(double alpha);

// Sorts and clusters the heads and channels of every block by how large x gets (quant/cluster.h)
// and moves the weights accordingly; before RotateOutput. Clusters of the block are left in the
// context for scales per cluster.
Pass SortAndClusterHeads();

// Runs the float model over the calibration text and encodes the sites that `rules` name: with
// static scales from observers, or with scales made at run time. kInvalidArgument for a rule that
// is not optional and names a site that no block has, or a granularity that the site cannot have.
struct EncodeOptions {
  bool full_score = false, running_state = false;  // as in QuantPlan
  bool block_means = false;     // fill QuantContext::block_means, for RunAsDeployed
  bool rotates_output = false;  // blocks will have a site y_rot that the graph does not have yet
};
Pass EncodeSites(std::vector<SiteRule> rules, const EncodeOptions& options);

// Gives readers of values sites of their own (ForkInput in graph/graph.h).
Pass ForkSites(std::vector<ForkRule> forks);

// Stores the tensors that `rules` name as codes. Matrices of at most 64 groups a row; wider rows
// get wider groups. GPTQ sees the inputs that blocks before, quantized already, give (methods_mamba
// 2.6). `damping`: as in QuantPlan. kInvalidArgument for a rule that names a tensor that no block
// has.
Pass QuantizeWeights(std::vector<WeightRule> rules, double damping);

// Switches every Ssd to its int8 form; needs the encodings of B, C and the inner sites.
Pass UseInt8Ssd(bool gate_q7);

// Sets the storage of the recurrent state (tensor/state_format.h). Static scales follow from the
// states that the float model has after every 8 tokens of the calibration text and at its ends.
struct StatePlan {
  std::string format = "f32";
  StateLayout layout = StateLayout::kRow;
  ObserverKind observer = ObserverKind::kAbsMax;  // kPercentile: with kTensor only
  double alpha = 1.0;
};
Pass SetStateFormat(const StatePlan& plan);

// Runs each block as it will be deployed, so that passes over later blocks see what it makes of the
// calibration text. With a mean correction, first adds to the block's output the constant that
// makes its mean that of the float model, layer by layer on corrected inputs (SSDi8;
// methods_mamba 2.8.4, 2.8.7): times a factor g in [0, 1], or with "auto" per channel c^2 / (c^2 +
// tau^2), tau^2 the variance of the mean's estimate between documents.
Pass RunAsDeployed(const std::string& mean_correction);

// All passes of a plan.
std::vector<Pass> PassesOf(const QuantPlan& plan);

}  // namespace octet
#endif  // OCTET_QUANT_PASSES_PASSES_H_
