#include "kernels/isa.h"

#include <cstdint>
#include <cstdlib>
#include <optional>

#include "kernels/cpu.h"
#include "kernels/hwy/targets.h"
#include "kernels/kernel.h"

namespace octet {
namespace {

struct Level {
  const char* name;
  int64_t target;  // Highway's; 0 for ref
  std::optional<CpuFeature> feature;
  IsaMask mask;
};

constexpr IsaMask kHwyMask = MaskOf(Isa::kScalar) | MaskOf(Isa::kHwy);
constexpr IsaMask kAvx2Mask = kHwyMask | MaskOf(Isa::kAvx2);
constexpr IsaMask kAvx512Mask = kAvx2Mask | MaskOf(Isa::kOneDnn);
constexpr IsaMask kAvx512VnniMask = kAvx512Mask | MaskOf(Isa::kAvx512Vnni);
constexpr IsaMask kNeonMask = kHwyMask | MaskOf(Isa::kOneDnn);
constexpr IsaMask kDotprodMask = kNeonMask | MaskOf(Isa::kDotprod);

// Best first. oneDNN chooses its own instruction set and cannot be capped after its first use, so
// only the levels of the widest vectors include it.
constexpr Level kLevels[] = {
    {"amx", HWY_AVX3, CpuFeature::kAmx, kAvx512VnniMask | MaskOf(Isa::kAmx)},
    {"avx512vnni", HWY_AVX3, CpuFeature::kAvx512Vnni, kAvx512VnniMask},
    {"avx512", HWY_AVX3, std::nullopt, kAvx512Mask},
    {"avxvnni", HWY_AVX2, CpuFeature::kAvxVnni, kAvx2Mask | MaskOf(Isa::kAvxVnni)},
    {"avx2", HWY_AVX2, std::nullopt, kAvx2Mask},
    {"i8mm", HWY_NEON, CpuFeature::kI8mm, kDotprodMask | MaskOf(Isa::kI8mm)},
    {"dotprod", HWY_NEON, CpuFeature::kDotprod, kDotprodMask},
    {"neon", HWY_NEON, std::nullopt, kNeonMask},
    {"ref", 0, std::nullopt, kReferenceOnly},
};

const Level* current = nullptr;  // null: unrestricted

bool Available(const Level& level) {
  static const int64_t detected = hwy::SupportedTargets() & HWY_TARGETS;  // before any restriction
  if (level.feature.has_value() && !CpuHas(*level.feature)) return false;
  return level.target == 0 || (detected & level.target) != 0;
}

void Restrict(const Level* level) {
  current = level;
  hwy::SetSupportedTargetsForTest(level == nullptr ? 0 : level->target);
}

}  // namespace

std::vector<std::string> AvailableIsas() {
  std::vector<std::string> names;
  for (const Level& level : kLevels) {
    if (Available(level)) names.emplace_back(level.name);
  }
  return names;
}

Status ForceIsa(std::string_view name) {
  const std::vector<std::string> available = AvailableIsas();
  if (name.empty() || name == "native") {
    Restrict(nullptr);
    return {};
  }
  for (const Level& level : kLevels) {
    if (name != level.name) continue;
    if (!Available(level)) {
      return Unsupported("this machine cannot run the instruction set " + std::string(name) +
                         "; the best it has is " + available.front());
    }
    Restrict(&level);
    return {};
  }
  return InvalidArgument("there is no instruction set named \"" + std::string(name) +
                         "\"; known are native, amx, avx512vnni, avx512, avxvnni, avx2, i8mm, "
                         "dotprod, neon and ref");
}

Status ForceIsaFromEnvironment() {
  const char* name = std::getenv("OCTET_ISA");
  return name == nullptr ? Status() : ForceIsa(name).Annotate("OCTET_ISA");
}

IsaMask AllowedIsas() {
  return current == nullptr ? kAllIsas : current->mask;
}

std::string CurrentIsa() {
  return current == nullptr ? AvailableIsas().front() : current->name;
}

}  // namespace octet
