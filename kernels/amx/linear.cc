#include "kernels/linear.h"

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cpu.h"
#include "kernels/kernel.h"
#include "kernels/panels.h"

namespace octet {
namespace {

#include "kernels/avx512vnni/vectors-inl.h"
#include "kernels/panels-inl.h"
#include "kernels/tile_config-inl.h"
#include "kernels/tiles-inl.h"

#include "kernels/amx/instructions-inl.h"

using Amx = TileLinear<Avx512Vnni, AmxTiles>;

// Fewer tokens than lines of a tile are for kernels/avx512vnni.
const char* WhyNot(const LinearArgs& a) {
  if (const char* reason = WhyNoAmx(); reason != nullptr) return reason;
  if (a.M < 16) return "fewer than 16 tokens";
  return WhyNotPanels(a);
}

}  // namespace

extern const Kernel<LinearArgs> kLinearAmx = {"linear/amx", Isa::kAmx, 40,
                                              Amx::Run,     WhyNot,    Amx::ScratchBytes};

}  // namespace octet
