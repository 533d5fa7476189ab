#include <fmt/format.h>

#include "quant/recipes/recipes.h"

namespace octet {
namespace {

constexpr const char* kSsdi8Source = "SSDi8 (ICLR 2026, arXiv:2608.21952)";

constexpr const char* kQuamba2Source = "Quamba2 (ICML 2025, arXiv:2503.22879)";

const Recipe kRecipes[] = {
    {"absmax", "baseline", "static per-tensor W8A8 on every edge, no rotation", AbsmaxOptions,
     PlanAbsmax},
    {"w8a8-dynamic", "baseline", "int8 linears, scales per weight row and per token",
     W8a8DynamicOptions, PlanW8a8Dynamic},
    {"w8a16", "baseline", "int8 weights with a scale per row, float activations", W8a16Options,
     PlanW8a16},
    {"w4a16", "baseline", "4-bit weights by GPTQ after rotation, float activations", W4a16Options,
     PlanW4a16},
    {"smoothquant", "SmoothQuant (ICML 2023, arXiv:2211.10438)",
     "absmax with outliers moved from inputs to weights", SmoothquantOptions, PlanSmoothquant},
    {"had-q1", "Quamba baseline", "absmax with an online Hadamard before out_proj", HadQ1Options,
     PlanHadQ1},
    {"had-s8", "SSDi8 baseline", "Hadamard rotations, static per-tensor W8A8 or W4A8", HadS8Options,
     PlanHadS8},
    {"quamba", "Quamba (ICLR 2025, arXiv:2410.13229)",
     "static W8A8, percentile of the scan's input, Hadamard of its output, int8 state",
     QuambaOptions, PlanQuamba, Family::kMamba},
    {"quamba-se", "Quamba-SE", "Quamba with a soft-edge code for the scan's input", QuambaSeOptions,
     PlanQuambaSe},
    {"quamba2-w8a8", kQuamba2Source, "sorted and clustered heads, scales per cluster, W8A8",
     Quamba2W8a8Options, PlanQuamba2W8a8},
    {"quamba2-w4a8", kQuamba2Source, "the same with 4-bit weights by GPTQ", Quamba2W4a8Options,
     PlanQuamba2W4a8},
    {"quamba2-w4a16", kQuamba2Source, "4-bit weights by GPTQ, float activations",
     Quamba2W4a16Options, PlanQuamba2W4a16},
    {"ssdi8-w8a8", kSsdi8Source, "int8 through the SSD, W8A8 linears, as published",
     Ssdi8W8a8Options, PlanSsdi8W8a8, Family::kMamba2},
    {"ssdi8-w4a8", kSsdi8Source, "int8 through the SSD, W4A8 linears", Ssdi8W4a8Options,
     PlanSsdi8W4a8, Family::kMamba2},
    {"ssdi8-plus-w8a8", "Octet", "SSDi8 with scales per chunk, fp32 passing, per-row weights",
     Ssdi8PlusW8a8Options, PlanSsdi8PlusW8a8, Family::kMamba2},
    {"ssdi8-plus-w4a8", "Octet", "the same with W4A8 linears", Ssdi8PlusW4a8Options,
     PlanSsdi8PlusW4a8, Family::kMamba2},
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
  if (name == "auto") return InvalidArgument("recipe auto is made for a model, by octet quantize");
  return InvalidArgument(fmt::format("unknown recipe {} (known: {})", name, known));
}

}  // namespace octet
