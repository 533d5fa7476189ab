// The C of an integer S4D classifier: its tables as const data, and test vectors.
#ifndef OCTET_EDGE_C_SOURCE_H_
#define OCTET_EDGE_C_SOURCE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "edge/integer_s4d.h"

namespace octet {

// Sizes of an exported model in bytes; they do not depend on the machine.
struct CSizes {
  int64_t context = 0;  // what a stream keeps between frames
  int64_t scratch = 0;  // arrays on the stack during a step
  int64_t A = 0, B = 0, C = 0, heads = 0, gelu = 0, linears = 0, norms = 0;  // const data
  int64_t tables() const { return A + B + C + heads + gelu + linears + norms; }
  int64_t state = 0;  // of the context: the recurrent states alone
};
CSizes SizesOf(const IntegerS4d& model);
// Those of the A and of the B of a layer; packed, of the 64 bits of a mode 40 are of A.
int64_t BytesOfA(const IntegerLayer& layer);
int64_t BytesOfB(const IntegerLayer& layer);

// Whether the name may begin C identifiers and file names: [a-z][a-z0-9_]*, up to 32 characters, no
// word of C. kInvalidArgument otherwise.
Status CheckCName(const std::string& name);

// "model_<name>.h" and "model_<name>.c". `pixels`: the code of each byte as a value of a frame, 256
// of them, or none.
std::string CHeaderOf(const IntegerS4d& model, const std::string& name, bool pixels);
std::string CSourceOf(const IntegerS4d& model, const std::string& name,
                      const std::vector<int8_t>& pixels);

// "model_<name>_golden.c": nine sequences, `sample` [frames, inputs] being the ninth unless it is
// empty, and what IntegerRun computes at chosen frames of them: check sums after every layer, and
// logits. The sequences: the code of 0 throughout; the lowest code; the highest; both in turn; one
// frame that is not 0; two random ones over all codes and one over a few; ten times `length` random
// frames. `length`: of a usual sequence, at least 1.
std::string CGoldenOf(const IntegerS4d& model, const std::string& name, int64_t length,
                      const std::vector<int8_t>& sample);

}  // namespace octet
#endif  // OCTET_EDGE_C_SOURCE_H_
