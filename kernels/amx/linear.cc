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
#include "kernels/tiles-inl.h"

// In assembly: the intrinsics of GCC 12 do not say which memory they read and write, so that stores
// before them, the configuration's too, may be dropped or moved (tools/check_tiles).
struct AmxTiles {
  static void Configure(const TileConfig& config) {
    __asm__ volatile("ldtilecfg %0" : : "m"(config));
  }
  static void Release() { __asm__ volatile("tilerelease"); }
  template <int t>
  static void Zero() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(t));
  }
  template <int t>
  static void Load(const void* p, int64_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(stride), "i"(t) : "memory");
  }
  template <int t>
  static void Store(void* p, int64_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(stride), "i"(t) : "memory");
  }
  template <int sums, int x, int codes>
  static void Dot() {
    __asm__ volatile("tdpbsud %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(sums), "i"(x), "i"(codes));
  }
};

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
