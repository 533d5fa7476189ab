// What is quantized in an S4D classifier, and how (arXiv:2506.12480 and what Octet adds).
#ifndef OCTET_QUANT_S4D_PLAN_H_
#define OCTET_QUANT_S4D_PLAN_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "graph/graph.h"
#include "tensor/state_format.h"

namespace octet {

// What shares a scale.
enum class S4dGrain : uint8_t { kTensor, kHead, kMode };

// Coordinates of the complex poles A, whose codes are uniform in them.
enum class PoleCodec : uint8_t {
  kCartesian,  // re and im, one scale for both
  kPolar,      // |A| and arg A
  kLogPolar,   // log(1 - |A|) and arg A: |A| < 1 whatever the code
};

// Uniform codes of 2 to 16 bits; 0: stays in float.
struct S4dCode {
  int bits = 0;
  S4dGrain grain = S4dGrain::kHead;
  bool symmetric = false;
  friend bool operator==(const S4dCode&, const S4dCode&) = default;
};

struct S4dPoles {
  PoleCodec codec = PoleCodec::kCartesian;
  int bits = 0;        // of each coordinate; polar: of the radius (1 to 16)
  int phase_bits = 0;  // polar
  S4dGrain grain = S4dGrain::kHead;
  bool symmetric = false;  // kCartesian
  friend bool operator==(const S4dPoles&, const S4dPoles&) = default;
};

struct S4dStatePlan {
  S4dCode code;                                      // real and imaginary parts share it
  bool dynamic = false;                              // a scale per head, made anew at every step
  StateRounding rounding = StateRounding::kNearest;  // the other two: symmetric, not `published`
  uint64_t seed = 1;                                 // kStochastic
  bool shared_noise = true;  // kStochastic: one random word for a head (kernels/s4dcode.h)
  // As the paper's code has it: A x, B u and their sum are rounded one after the other, and y reads
  // the sum before its rounding. Otherwise the sum alone is rounded, and y reads the state.
  bool published = false;
  float limit = 0;  // values beyond +-limit are cut off after the rounding; 0: none
  friend bool operator==(const S4dStatePlan&, const S4dStatePlan&) = default;
};

struct S4dActivations {
  int bits = 0;
  bool symmetric = false;
  bool dynamic = false;  // ranges of the sequence itself instead of the calibrated ones
  // Of u, y without D u, and y, per head otherwise; inputs of linears have one scale in any case.
  bool per_tensor = false;
  friend bool operator==(const S4dActivations&, const S4dActivations&) = default;
};

struct S4dPlan {
  S4dPoles A;       // the discrete ones
  S4dCode B, C;     // the discrete ones
  S4dCode D;        // one scale for all heads, whatever the grain
  S4dCode linears;  // kTensor, or kHead: a scale per row; biases stay in float
  S4dStatePlan x;
  S4dActivations activations;
  bool piecewise_gelu = false;  // in place of the model's (GeluForm::kPiecewise)
  // Widths that differ from those above, by the names that S4dTensors lists.
  std::map<std::string, int, std::less<>> widths;
  friend bool operator==(const S4dPlan&, const S4dPlan&) = default;
};

// S4dcodeArgs::limit of a state: infinity without one.
float StateLimit(const S4dStatePlan& plan);

// What a plan gives widths to: linears by site ("encoder", "layers.<i>.z", "logits"); activations
// ("frames", "mean", "layers.<i>.u", ".y_ssm", ".y", ".gelu"); and of each layer "layers.<i>.A",
// ".A.phase", ".B", ".C", ".D", ".x".
std::vector<std::string> S4dTensors(const Graph& graph);
// The width of one of them; 0: float.
int BitsOf(const S4dPlan& plan, std::string_view tensor);
// The plan of one layer: its own widths in A to x, none in `widths`.
S4dPlan PlanOfLayer(const S4dPlan& plan, int layer);

// kInvalidArgument, naming the member, for widths outside of what each allows and combinations that
// mean nothing.
Status Check(const S4dPlan& plan);
// The same, and for widths of tensors that the model does not have.
Status Check(const S4dPlan& plan, const Graph& graph);

// An object with every member, which ApplyJson takes back to the same plan.
Json ToJson(const S4dPlan& plan);
// Changes the members that `j` names. kInvalidArgument naming an unknown member, or one of a wrong
// type or value; `plan` is then undefined.
Status ApplyJson(const Json& j, S4dPlan* plan);
Json S4dPlanSchema();

}  // namespace octet
#endif  // OCTET_QUANT_S4D_PLAN_H_
