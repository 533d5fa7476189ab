#include "quant/s4d/width_forms.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace octet {
namespace {

constexpr int kMostBits = 16;

bool Ends(std::string_view tensor, std::string_view end) {
  return tensor.starts_with("layers.") && tensor.ends_with(end);
}

// Whether the width is of A, B, C or D, which become integers of one size in any case.
bool IsCoefficient(std::string_view tensor) {
  return Ends(tensor, ".A") || Ends(tensor, ".A.phase") || Ends(tensor, ".B") ||
         Ends(tensor, ".C") || Ends(tensor, ".D");
}

std::vector<int> WidthsOf(const std::string& tensor, int base_bits, const S4dWidthList& list) {
  const bool state = Ends(tensor, ".x");
  std::set<int> widths = {base_bits};
  for (const int bits : list.bits) {
    if (state && bits < list.least_of_state) continue;
    if (!state && !IsCoefficient(tensor) && bits > list.most_of_codes) continue;
    widths.insert(bits);
  }
  return {widths.begin(), widths.end()};
}

// The plan that has `tensor` in `bits` and all else in float.
S4dPlan Alone(const S4dPlan& base, const std::string& tensor, int bits) {
  S4dPlan plan = base;
  plan.widths.clear();
  plan.A.bits = plan.A.phase_bits = 0;
  plan.B.bits = plan.C.bits = plan.D.bits = 0;
  plan.linears.bits = plan.activations.bits = plan.x.code.bits = 0;
  plan.piecewise_gelu = false;
  if (!Ends(tensor, ".x")) plan.x = {};
  plan.widths[tensor] = bits;
  const bool polar = base.A.codec != PoleCodec::kCartesian;
  if (polar && Ends(tensor, ".A")) plan.widths[tensor + ".phase"] = kMostBits;
  if (Ends(tensor, ".A.phase")) plan.widths[tensor.substr(0, tensor.rfind('.'))] = kMostBits;
  return plan;
}

Status CheckList(const S4dWidthList& list) {
  if (list.bits.empty()) return InvalidArgument("there is no width to choose from");
  for (const int bits : list.bits) {
    if (bits < 2 || bits > kMostBits) {
      return InvalidArgument(fmt::format("a width of {} bits is not 2 to {}", bits, kMostBits));
    }
  }
  return {};
}

int64_t BytesOf(const S4dSizes& sizes, const std::string& tensor) {
  const auto it = sizes.tensors.find(tensor);
  return it == sizes.tensors.end() ? 0 : it->second;
}

}  // namespace

Result<std::vector<S4dTensorForms>> MeasureS4dForms(const S4dPlan& base, const Graph& graph,
                                                    const S4dWidthList& list,
                                                    const S4dAccounting& accounting,
                                                    const S4dMeanKl& mean_kl,
                                                    const Progress& progress) {
  OCTET_TRY(CheckList(list));
  OCTET_TRY(Check(base, graph));
  OCTET_TRY(accounting(base).status());
  std::vector<S4dTensorForms> all;
  const std::vector<std::string> tensors = S4dTensors(graph);
  int64_t done = 0;
  for (const std::string& tensor : tensors) {
    if (progress) progress("measuring tensors alone", done++, std::ssize(tensors));
    const int base_bits = BitsOf(base, tensor);
    if (base_bits == 0) continue;
    S4dTensorForms t{tensor, {}, 0, 0};
    for (const int bits : WidthsOf(tensor, base_bits, list)) {
      S4dPlan plan = base;
      plan.widths[tensor] = bits;
      const Result<S4dSizes> sizes = accounting(plan);
      if (!sizes.ok()) continue;
      OCTET_ASSIGN(const double kl, mean_kl.Of(Alone(base, tensor, bits)));
      if (bits == base_bits) t.base = t.chosen = t.forms.size();
      t.forms.push_back({bits, BytesOf(*sizes, tensor), kl});
    }
    all.push_back(std::move(t));
  }
  return all;
}

}  // namespace octet
