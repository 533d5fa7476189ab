// The building blocks of recipes. Each function returns a Pass; order is the recipe's business.
#ifndef OCTET_QUANT_PASSES_PASSES_H_
#define OCTET_QUANT_PASSES_PASSES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "quant/observers/observer.h"
#include "quant/recipe.h"

namespace octet {

// Rotates the residual stream by a Hadamard matrix H_D and prepares the out_proj input for an
// online one, H_I (methods_mamba 2.2): head <- head diag(w_f) H_D^T, embedding <- embedding H_D^T,
// in_proj <- in_proj diag(w) H_D^T, out_proj <- H_D out_proj [diag(gamma)] H_I^T, norm weights <-
// 1, a Hadamard node before out_proj. Products in double. The function of the model is unchanged.
struct RotateOptions {
  std::string hadamard = "auto";  // or "block", for both orders
  bool migrate_gamma = true;      // fold the gated norm's weight into out_proj as well
};
Pass Rotate(const RotateOptions& options);

// Sets the SSD chunk length; 0 keeps the checkpoint's.
Pass SetChunkSize(int64_t chunk_size);
// Sets the storage of the recurrent state, by the text form of tensor/state_format.h. Static scales
// are one per row, from the largest value that the states have after every 8 tokens of the
// calibration texts and at their ends; kInvalidArgument without such texts.
Pass SetStateFormat(const std::string& format);

// Runs the model over the calibration data and encodes sites as static int8 with absmax scales.
// kInvalidArgument for a rule that is not optional and names a site that some block lacks.
struct SiteRule {
  std::string site;  // within its block: "u_norm", "B", "ssd.score"
  ScaleAxis axis;
  // Number of scales by name of the axis: 1, groups, or heads * head_dim.
  enum class Count : uint8_t { kOne, kGroups, kHeadChannels } count;
  bool optional = false;  // a site of some families only: blocks without it are passed over
};
struct CalibrateOptions {
  // Whether the input of every Linear of a block gets one scale. Recipes that quantize the linears
  // say it this way, and fit every family: u_norm and y_norm (y_rot once rotated) of Mamba-2;
  // u_norm, x, dt_low and y_gate (y_rot) of Mamba.
  bool linear_inputs = false;
  std::vector<SiteRule> rules;
  bool full_score = false;     // observe scores above the diagonal too, as the paper does
  bool running_state = false;  // state scales cover carried states, not only local ones
};
Pass Calibrate(const CalibrateOptions& options);

// Encodes the input of every Linear of a block as int8 with a scale per token, computed at run
// time.
Pass EncodeLinearInputsPerToken();

// Encodes the inner sites of every Ssd ("x_scaled", "score", "state") as int8 with scales made at
// run time for each chunk: nothing to calibrate, nothing saturates.
Pass EncodeInnerSitesPerChunk();

// Switches every Ssd to its int8 form; needs the encodings of B, C and the inner sites.
Pass UseInt8Ssd(bool gate_q7);

// Every Linear of a block as int8 codes, absmax scales per tensor or per row.
Pass QuantizeLinearsInt8(bool per_row);
// The step of a 4-bit group.
enum class Int4Step : uint8_t {
  kAbsMax,        // 2 max|w| / 15 (methods_mamba 2.6)
  kLeastSquares,  // the multiple of the row scale within 0.7 to 1.1 of that with the smallest error
};
// Every Linear of a block as 4-bit codes by rounding to nearest: a step for each (row, `group`
// columns), held as an integer multiple (1..127) of a row scale. Rows of more than 64 groups get
// wider groups.
Pass QuantizeLinearsInt4Rtn(int64_t group, Int4Step rule);

// Small tensors of every block ("mixer.A_log", "mixer.D", "mixer.conv1d.weight", ...; absent ones
// are skipped) as int8 with one scale each.
Pass QuantizeVectorsInt8(const std::vector<std::string>& names);
// Embedding and own head as fp16 (fp32 where fp16 would overflow).
Pass StoreEmbeddingsF16();

// Adds to each block's output the constant that makes its mean over the calibration data that of
// the float model, layer by layer on corrected inputs (SSDi8; methods_mamba 2.8.4, 2.8.7).
// `factor`: g in [0, 1]; nothing: per channel c^2 / (c^2 + tau^2), tau^2 the variance of the mean's
// estimate between documents.
Pass CorrectMeans(std::optional<double> factor);

}  // namespace octet
#endif  // OCTET_QUANT_PASSES_PASSES_H_
