// An integer S4D classifier as a folder of C99 for microcontrollers.
#ifndef OCTET_EDGE_EXPORT_C_H_
#define OCTET_EDGE_EXPORT_C_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/status.h"
#include "edge/integer_s4d.h"
#include "edge/measure.h"
#include "io/output_folder.h"
#include "quant/s4d/plan.h"

namespace octet {

struct CExport {
  std::string name = "s4d";    // CheckCName
  int64_t length = 784;        // frames of a usual sequence: how long test vectors are
  std::vector<int8_t> pixels;  // the code of each byte as a value of a frame: 256, or none
  std::vector<int8_t> sample;  // codes of a real sequence [frames, inputs], or none
  std::string source;          // what was exported, one line for the report; may be empty
  // Accuracies in the order of the report, "float" for example, in 0 .. 1.
  std::vector<std::pair<std::string, double>> accuracy;
  std::vector<SiteError> sites;  // MeasureSites, or none
  std::string sites_of;          // on what, "16 test images" for example
  std::string recipe_sha256;     // RecipeHash; may be empty
};

// SHA-256, in hex, of the plan as ToJson has it, on one line.
std::string RecipeHash(const S4dPlan& plan);

// Writes model_<name>.h, .c and _golden.c, ssm_rt.h and .c, main.c, CMakeLists.txt, Makefile,
// library.properties (the folder is an Arduino library as well), README.md and report.json.
// kInvalidArgument for a name that C does not take, a length outside of 1 to 1e6, a sample that is
// not whole frames, or a number of pixels; errors of the folder.
Status WriteC(const IntegerS4d& model, const CExport& options, OutputFolder* folder);

// What report.json says: sizes of the model and its layers, costs, accuracies, and how far tensors
// are from float; without accuracies and tensors that they were not measured.
Json ReportOf(const IntegerS4d& model, const CExport& options);
// The sizes and costs of that report, by what they are, in its order.
std::vector<std::pair<std::string, int64_t>> SizeRows(const IntegerS4d& model,
                                                      const CExport& options);

// Multiplications of a step: of the recurrence, of the linears, and of norms.
struct StepCost {
  int64_t state = 0, linears = 0, norms = 0;
};
StepCost CostOf(const IntegerS4d& model);
// Instructions of a step on a Cortex-M4 with gcc 12 -O2, within 5 % of what tests/microcontrollers
// counts: 47 for a mode with sums in 32 bits, 51 if Y has 64, 105 with sums in 64 bits; 11, 13 and
// 23 more where it is packed, 9 more where it is dithered; 420 for a head besides, 5 for a product
// of a linear, 6 with 4-bit codes; 210 for a norm and 61 for each of its heads.
int64_t InstructionsOf(const IntegerS4d& model);

}  // namespace octet
#endif  // OCTET_EDGE_EXPORT_C_H_
