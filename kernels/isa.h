// Which instruction sets run, and forcing a lower one for tests.
#ifndef OCTET_KERNELS_ISA_H_
#define OCTET_KERNELS_ISA_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "kernels/table.h"

namespace octet {

// Names that ForceIsa accepts on this machine, best first, e.g. {"avx512", "avx2", "ref"}. "ref"
// means the scalar reference kernels only. Below the widest level of an architecture oneDNN is left
// out too.
std::vector<std::string> AvailableIsas();

// Restricts every later Pick and Highway dispatch of the process to `name`; "" or "native" lifts
// the restriction. kUnsupported when this machine lacks it, kInvalidArgument when there is no such
// name. Not thread-safe: call it before any kernel runs, or between runs in a test.
Status ForceIsa(std::string_view name);

// ForceIsa(OCTET_ISA) when the environment variable is set; programs call it once at start.
Status ForceIsaFromEnvironment();

// Kernels that may be picked under the current restriction.
IsaMask AllowedIsas();

// The name in force, for reports: "avx512", ..., "ref".
std::string CurrentIsa();

}  // namespace octet
#endif  // OCTET_KERNELS_ISA_H_
