#include "kernels/peak.h"

#include <cstdint>

#include "kernels/cpu.h"
#include "kernels/kernel.h"

namespace octet {
namespace {

#include "kernels/tile_config-inl.h"

#include "kernels/amx/instructions-inl.h"
#include "kernels/peak_tiles-inl.h"

using Amx = PeakTiles<AmxTiles>;

const char* WhyNot(const PeakArgs& a) {
  return a.unit != PeakUnit::kI8 ? "it computes dot products of codes" : WhyNoAmx();
}

}  // namespace

extern const Kernel<PeakArgs> kPeakAmx = {"peak/amx", Isa::kAmx, 40,
                                          Amx::Run,   WhyNot,    Amx::ScratchBytes};

}  // namespace octet
