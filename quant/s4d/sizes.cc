#include "quant/s4d/sizes.h"

#include "quant/s4d/ranges.h"

namespace octet {
namespace {

class Counter {
 public:
  explicit Counter(const S4dPlan& plan) : plan_(plan) {}

  // Bytes of `values` codes of the tensor, which also go to the total.
  int64_t Add(const std::string& tensor, int64_t values) {
    const int bits = BitsOf(plan_, tensor);
    const int64_t bytes = (values * (bits == 0 ? 32 : bits) + 7) / 8;
    sizes_.tensors[tensor] = bytes;
    return bytes;
  }
  void AddRam(const std::string& tensor, int64_t values) { sizes_.ram += Add(tensor, values); }
  void AddBias(int64_t values) { sizes_.rest += 4 * values; }

  void AddLayer(const Node& n) {
    const int64_t H = n.width, N = n.s4d.modes;
    const auto named = [&](const char* what) { return S4dRangeSite(n.layer, what); };
    // Two coordinates either way; a Cartesian or float pole has one width for both.
    const bool polar = BitsOf(plan_, named("A.phase")) != 0;
    Add(named("A"), (polar ? 1 : 2) * H * N);
    if (polar) Add(named("A.phase"), H * N);
    Add(named("B"), 2 * H * N);
    Add(named("C"), 2 * H * N);
    Add(named("D"), H);
    AddRam(named("x"), 2 * H * N);
    for (const char* what : {"u", "y_ssm", "y"}) {
      AddRam(named(what), H);
    }
  }

  S4dSizes Take() { return std::move(sizes_); }

 private:
  const S4dPlan& plan_;
  S4dSizes sizes_;
};

}  // namespace

Result<S4dSizes> IdealSizes(const Graph& graph, const WeightMap& weights, const S4dPlan& plan) {
  Counter counter(plan);
  for (const Node& n : graph.nodes) {
    if (n.op == Op::kS4d) counter.AddLayer(n);
    if (FeedsLinear(n.site)) counter.AddRam(n.site, n.width);
    if (n.op != Op::kLinear) continue;
    OCTET_ASSIGN(const Weight matrix, weights.Get(n.weights[0]));
    counter.Add(n.site, matrix.count());
    if (!n.weights[1].empty()) counter.AddBias(n.width);
  }
  return counter.Take();
}

}  // namespace octet
