#include "quant/s4d/recipes.h"

#include <algorithm>

#include <fmt/format.h>

namespace octet {
namespace {

constexpr int64_t kMaxRecipe = int64_t{1} << 20;

// Section 3: one scale and zero for each head, three roundings of the state, parts cut off at +-50,
// a piecewise GELU, one scale for a matrix.
S4dPlan Published(int weight_bits, int activation_bits) {
  S4dPlan p;
  p.A = {PoleCodec::kCartesian, 8, 0, S4dGrain::kHead, false};
  p.B = p.C = p.D = {weight_bits, S4dGrain::kHead, false};
  p.linears = {weight_bits, S4dGrain::kTensor, false};
  p.x.code = {8, S4dGrain::kHead, false};
  p.x.published = true;
  p.x.limit = 50;
  p.activations = {activation_bits, false, false, false};
  p.piecewise_gelu = true;
  return p;
}

// A that cannot leave the unit circle, a scale for each mode of a state that is rounded once, up or
// down at random, a scale for each row of a matrix.
S4dPlan Own(int weight_bits, int activation_bits) {
  S4dPlan p = Published(weight_bits, activation_bits);
  p.A = {PoleCodec::kLogPolar, 4, 8, S4dGrain::kHead, false};
  p.linears.grain = S4dGrain::kHead;
  p.x = S4dStatePlan();
  p.x.code = {8, S4dGrain::kMode, true};
  p.x.rounding = StateRounding::kStochastic;
  p.piecewise_gelu = false;
  return p;
}

S4dPlan WithState16(S4dPlan p) {
  p.x.code.bits = 16;
  p.x.rounding = StateRounding::kNearest;
  return p;
}

constexpr S4dRecipe kRecipes[] = {
    {"paper-w8a8", "arXiv:2506.12480, all in 8 bits", [] { return Published(8, 8); }},
    {"paper-w4a6", "arXiv:2506.12480, its W4A6 with A and state in 8 bits",
     [] { return Published(4, 6); }},
    {"w8a8", "Octet's: log-polar A, a stochastic state with a scale per mode",
     [] { return Own(8, 8); }},
    {"w4a6", "the same with 4-bit weights and 6-bit activations", [] { return Own(4, 6); }},
    {"w8a8-x16", "w8a8 with a 16-bit state, rounded to nearest",
     [] { return WithState16(Own(8, 8)); }},
    {"w4a6-x16", "w4a6 with a 16-bit state, rounded to nearest",
     [] { return WithState16(Own(4, 6)); }},
};

Result<S4dPlan> Named(std::string_view name) {
  const auto found =
      std::ranges::find_if(kRecipes, [&](const S4dRecipe& r) { return name == r.name; });
  if (found != std::end(kRecipes)) return found->plan();
  std::string known;
  for (const S4dRecipe& r : kRecipes) {
    known += fmt::format("{}{}", known.empty() ? "" : ", ", r.name);
  }
  return NotFound(fmt::format("recipe {} is unknown (known: {}, or a .json file)", name, known));
}

Result<S4dPlan> FromJson(Json j) {
  if (!j.is_object()) return InvalidArgument("must be a JSON object");
  S4dPlan plan;
  if (const Json* base = j.Find("recipe"); base != nullptr) {
    if (!base->is_string()) return InvalidArgument("recipe must be text");
    OCTET_ASSIGN(plan, Named(base->AsString()));
    j.Erase("recipe");
  }
  OCTET_TRY(ApplyJson(j, &plan));
  return plan;
}

}  // namespace

std::span<const S4dRecipe> S4dRecipes() {
  return kRecipes;
}

Result<S4dPlan> LoadS4dRecipe(const std::string& recipe) {
  if (!recipe.ends_with(".json")) return Named(recipe);
  OCTET_ASSIGN(Json j, Json::ParseFile(recipe, kMaxRecipe));
  Result<S4dPlan> plan = FromJson(std::move(j));
  if (!plan.ok()) return plan.status().Annotate(recipe);
  return plan;
}

Result<S4dPlan> LoadS4dRecipe(const std::string& recipe, const Graph& graph) {
  OCTET_ASSIGN(S4dPlan plan, LoadS4dRecipe(recipe));
  const Status fits = Check(plan, graph);
  if (!fits.ok()) return fits.Annotate(recipe);
  return plan;
}

Json S4dRecipeFile(const std::string& recipe, const S4dPlan& plan) {
  const Json all = ToJson(plan);
  Result<S4dPlan> named = Named(recipe);
  if (!named.ok()) return all;
  named->widths = plan.widths;
  if (*named != plan) return all;
  Json file = Json::MakeObject();
  file.Set("recipe", recipe);
  file.Set("widths", *all.Find("widths"));
  return file;
}

}  // namespace octet
