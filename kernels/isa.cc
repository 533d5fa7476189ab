#include "kernels/isa.h"

#include <cstdint>
#include <cstdlib>

#include "kernels/hwy/targets.h"
#include "kernels/kernel.h"

namespace octet {
namespace {

struct Level {
  const char* name;
  int64_t target;  // Highway's; 0 for ref
  IsaMask mask;
};

// oneDNN chooses its own instruction set and cannot be capped after its first use, so only the
// levels that equal its widest include it.
constexpr Level kLevels[] = {
    {"avx512", HWY_AVX3,
     MaskOf(Isa::kScalar) | MaskOf(Isa::kHwy) | MaskOf(Isa::kOneDnn) | MaskOf(Isa::kAvx2) |
         MaskOf(Isa::kAvx512Vnni) | MaskOf(Isa::kAmx)},
    {"avx2", HWY_AVX2, MaskOf(Isa::kScalar) | MaskOf(Isa::kHwy) | MaskOf(Isa::kAvx2)},
    {"neon", HWY_NEON,
     MaskOf(Isa::kScalar) | MaskOf(Isa::kHwy) | MaskOf(Isa::kOneDnn) | MaskOf(Isa::kNeon)},
    {"ref", 0, kReferenceOnly},
};

const Level* current = nullptr;  // null: unrestricted

bool Available(const Level& level) {
  static const int64_t detected = hwy::SupportedTargets() & HWY_TARGETS;  // before any restriction
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
                         "\"; known are native, avx512, avx2, neon and ref");
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
