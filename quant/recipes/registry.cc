#include <fmt/format.h>

#include "quant/recipes/recipes.h"

namespace octet {
namespace {

constexpr const char* kSsdi8Source = "SSDi8 (ICLR 2026, arXiv:2608.21952)";

const Recipe kRecipes[] = {
    {"absmax", "baseline", "static per-tensor W8A8 on every edge, no rotation", AbsmaxOptions,
     PlanAbsmax},
    {"w8a8-dynamic", "baseline", "int8 linears, scales per weight row and per token",
     W8a8DynamicOptions, PlanW8a8Dynamic},
    {"had-q1", "Quamba baseline", "absmax with an online Hadamard before out_proj", HadQ1Options,
     PlanHadQ1},
    {"had-s8", "SSDi8 baseline", "Hadamard rotations, static per-tensor W8A8 or W4A8", HadS8Options,
     PlanHadS8},
    {"ssdi8-w8a8", kSsdi8Source, "int8 through the SSD, W8A8 linears, as published",
     Ssdi8W8a8Options, PlanSsdi8W8a8, Families::kMamba2},
    {"ssdi8-w4a8", kSsdi8Source, "int8 through the SSD, W4A8 linears", Ssdi8W4a8Options,
     PlanSsdi8W4a8, Families::kMamba2},
    {"ssdi8-plus-w8a8", "Octet", "SSDi8 with wider state scales, fp32 passing, per-row weights",
     Ssdi8PlusW8a8Options, PlanSsdi8PlusW8a8, Families::kMamba2},
    {"ssdi8-plus-w4a8", "Octet", "the same with W4A8 linears", Ssdi8PlusW4a8Options,
     PlanSsdi8PlusW4a8, Families::kMamba2},
};

}  // namespace

std::span<const Recipe> Recipes() {
  return kRecipes;
}

Result<const Recipe*> FindRecipe(std::string_view name) {
  std::string known;
  for (const Recipe& r : kRecipes) {
    if (name == r.name) return &r;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", r.name);
  }
  return InvalidArgument(fmt::format("unknown recipe {} (known: {})", name, known));
}

}  // namespace octet
