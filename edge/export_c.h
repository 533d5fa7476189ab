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
#include "io/output_folder.h"

namespace octet {

struct CExport {
  std::string name = "s4d";    // CheckCName
  int64_t length = 784;        // frames of a usual sequence: how long test vectors are
  std::vector<int8_t> pixels;  // the code of each byte as a value of a frame: 256, or none
  std::vector<int8_t> sample;  // codes of a real sequence [frames, inputs], or none
  std::string source;          // what was exported, one line for the report; may be empty
  // Accuracies in the order of the report, "float" for example, in 0 .. 1.
  std::vector<std::pair<std::string, double>> accuracy;
};

// Writes model_<name>.h, .c and _golden.c, ssm_rt.h and .c, main.c, CMakeLists.txt, Makefile,
// library.properties (the folder is an Arduino library as well), README.md and report.json.
// kInvalidArgument for a name that C does not take, a length outside of 1 to 1e6, a sample that is
// not whole frames, or a number of pixels; errors of the folder.
Status WriteC(const IntegerS4d& model, const CExport& options, OutputFolder* folder);

// What report.json says: sizes of the model and its layers, costs, accuracies.
Json ReportOf(const IntegerS4d& model, const CExport& options);
// The sizes and costs of that report, by what they are, in its order.
std::vector<std::pair<std::string, int64_t>> SizeRows(const IntegerS4d& model,
                                                      const CExport& options);

// Multiplications of a step: of the recurrence, and of the linears.
struct StepCost {
  int64_t state = 0, linears = 0;
};
StepCost CostOf(const IntegerS4d& model);
// Instructions of a step on a Cortex-M4 with gcc 12 -O2, within 5 % of what tests/microcontrollers
// counts: 54 for a mode with sums in 32 bits, 58 if Y has 64, 111 with sums in 64 bits, 420 for a
// head besides, 5 for a product of a linear, 6 with 4-bit codes.
int64_t InstructionsOf(const IntegerS4d& model);

}  // namespace octet
#endif  // OCTET_EDGE_EXPORT_C_H_
