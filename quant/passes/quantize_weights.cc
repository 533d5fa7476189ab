#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>

#include <fmt/format.h>

#include "base/checked.h"
#include "kernels/isa.h"
#include "quant/gptq.h"
#include "quant/hessian.h"
#include "quant/int4_grid.h"
#include "quant/named_tensors.h"
#include "quant/passes/passes.h"
#include "quant/segments.h"
#include "quant/weight_codes.h"

namespace octet {
namespace {

float AbsMax(const float* v, int64_t n) {
  float peak = 0;
  for (int64_t i = 0; i < n; ++i) {
    peak = std::max(peak, std::fabs(v[i]));
  }
  return peak;
}

// Row by row: a head in fp32 may be half a gigabyte, and a copy of it another.
Weight Float16Weight(const Weight& w) {
  const auto columns = static_cast<size_t>(w.columns());
  std::vector<float> row(columns);
  std::vector<std::byte> bytes(static_cast<size_t>(w.count()) * 2);
  for (int64_t r = 0; r < w.rows(); ++r) {
    RowToF32(w, r, row.data());
    for (size_t i = 0; i < columns; ++i) {
      const uint16_t half = F32ToF16(row[i]);
      std::memcpy(bytes.data() + 2 * (static_cast<size_t>(r) * columns + i), &half, 2);
    }
  }
  return MakeWeight(DType::kF16, std::move(bytes), w.shape);
}

// The ends of the runs of rows that share a scale; the rows are the channels of value `v`.
std::vector<int64_t> ScaleEnds(const Graph& graph, ValueId v, int64_t rows, WeightScale scale) {
  if (scale == WeightScale::kTensor) return {rows};
  return SegmentEnds(graph, v);
}

bool Matches(const WeightRule& rule, const NamedTensor& t) {
  const bool inside = t.layer != kOutsideBlocks;
  if (inside && !ContainsLayer(rule.layers, t.layer)) return false;
  if (rule.tensors == "linears") return inside && t.linear;
  return MatchesName(rule.tensors, t.name);
}

const WeightRule* LastRule(const std::vector<WeightRule>& rules, const NamedTensor& t) {
  const WeightRule* last = nullptr;
  for (const WeightRule& r : rules) {
    if (Matches(r, t)) last = &r;
  }
  return last == nullptr || last->bits == 32 ? nullptr : last;
}

class QuantizeWeightsPass {
 public:
  QuantizeWeightsPass(std::vector<WeightRule> rules, double damping)
      : rules_(std::move(rules)), damping_(damping) {}

  Status Prepare(QuantContext& c) const {
    OCTET_TRY(CheckRulesMatch(c.graph));
    for (const NamedTensor& t : TensorsOf(c.graph, kOutsideBlocks)) {
      const WeightRule* rule = LastRule(rules_, t);
      const bool gptq = rule != nullptr && rule->method == WeightMethod::kGptq;
      if (gptq && t.name == "embedding") {
        return InvalidArgument("gptq cannot choose the codes of embedding");
      }
      if (rule == nullptr || gptq) continue;
      OCTET_TRY(Store(c, t, *rule, nullptr));
    }
    return {};
  }

  Status Block(QuantContext& c, int layer) const {
    const std::vector<NamedTensor> tensors = TensorsOf(c.graph, layer);
    Hessians hessians;
    for (const NamedTensor& t : tensors) {
      const WeightRule* rule = LastRule(rules_, t);
      if (rule != nullptr && rule->method == WeightMethod::kGptq && t.linear) {
        const Node& input = InputOf(c.graph, t);
        OCTET_ASSIGN(Hessian empty, Hessian::Create(input.width));
        hessians.try_emplace(input.site, std::move(empty));
      }
    }
    if (!hessians.empty()) OCTET_TRY(Collect(c, layer, &hessians));
    for (const NamedTensor& t : tensors) {
      const WeightRule* rule = LastRule(rules_, t);
      if (rule == nullptr) continue;
      const auto found = t.linear ? hessians.find(InputOf(c.graph, t).site) : hessians.end();
      OCTET_TRY(Store(c, t, *rule, found == hessians.end() ? nullptr : &found->second));
    }
    return {};
  }

  // A head by GPTQ sees what the quantized blocks make of the calibration text.
  Status Finish(QuantContext& c) const {
    for (const NamedTensor& t : TensorsOf(c.graph, kOutsideBlocks)) {
      const WeightRule* rule = LastRule(rules_, t);
      if (rule == nullptr || rule->method != WeightMethod::kGptq) continue;
      OCTET_ASSIGN(Hessian hessian, Hessian::Create(InputOf(c.graph, t).width));
      const Interpreter interpreter(c.graph, c.weights, AllowedIsas(), -1);
      for (size_t d = 0; d < c.quantized_streams->documents(); ++d) {
        OCTET_ASSIGN(const std::vector<float> rows,
                     interpreter.FinalNorm(c.quantized_streams->entering(d), nullptr));
        hessian.Add(rows.data(), c.quantized_streams->tokens(d), &c.pool);
      }
      OCTET_TRY(Store(c, t, *rule, &hessian));
    }
    return {};
  }

 private:
  using Hessians = std::map<std::string, Hessian, std::less<>>;  // by site of the linear's input

  static const Node& InputOf(const Graph& graph, const NamedTensor& t) {
    const Node& linear = graph.nodes[static_cast<size_t>(t.value)];
    return graph.nodes[static_cast<size_t>(linear.in[0])];
  }

  Status CheckRulesMatch(const Graph& graph) const {
    for (const WeightRule& rule : rules_) {
      OCTET_TRY(CheckLayers(rule.layers, graph.layers));
      const auto matches = [&](const NamedTensor& t) { return Matches(rule, t); };
      // A head may be tied to the embedding.
      bool matched = rule.tensors == "head" || rule.optional;
      for (int layer = kOutsideBlocks; layer < graph.layers && !matched; ++layer) {
        matched = std::ranges::any_of(TensorsOf(graph, layer), matches);
      }
      if (!matched) return InvalidArgument(fmt::format("no block has a tensor {}", rule.tensors));
    }
    return {};
  }

  // The inputs of linears in block `layer`, whose own weights are still in float, behind blocks
  // that are quantized already.
  static Status Collect(QuantContext& c, int layer, Hessians* hessians) {
    struct InputTap : Tap {
      explicit InputTap(const Hessians& wanted) {
        for (const auto& [site, hessian] : wanted) {
          rows[site];
        }
      }
      void At(std::string_view site, int64_t, float* values, int64_t n, int64_t cols) override {
        if (const auto it = rows.find(site); it != rows.end()) {
          it->second.assign(values, values + n * cols);
        }
      }
      bool WantsInnerSites() const override { return false; }
      std::map<std::string, std::vector<float>, std::less<>> rows;
    };
    std::map<size_t, InputTap> taps;  // of the documents that run now
    std::mutex mutex;
    return ObserveQuantizedBlock(
        c, layer,
        [&](size_t d) {
          const std::lock_guard lock(mutex);
          return &taps.try_emplace(d, *hessians).first->second;
        },
        [&](size_t d) {
          for (const auto& [site, rows] : taps.at(d).rows) {
            hessians->at(site).Add(rows.data(), c.quantized_streams->tokens(d), &c.pool);
          }
          taps.erase(d);
        });
  }

  Status Store(QuantContext& c, const NamedTensor& t, const WeightRule& rule,
               const Hessian* hessian) const {
    OCTET_ASSIGN(const Weight w, c.weights.Get(t.full));
    if (w.quantized())
      return InvalidArgument(fmt::format("tensor {} is quantized already", t.full));
    if (rule.bits == 16) {
      // 16 bits already, or beyond what fp16 can hold.
      if (w.dtype != DType::kF32) return {};
      if (AbsMax(reinterpret_cast<const float*>(w.data), w.count()) > 65504.0f) return {};
      c.weights.Set(t.full, Float16Weight(w));
      return {};
    }
    const bool segments = rule.bits == 8 && rule.scale == WeightScale::kSegment;
    if (segments && SegmentEnds(c.graph, t.value).back() != w.rows()) {
      return InvalidArgument(fmt::format(
          "tensor {}: its rows are not the channels of a value, so it has no segments", t.full));
    }
    if (rule.bits == 8) {
      c.weights.Set(
          t.full, rule.scale == WeightScale::kRow
                      ? EncodeRowsInt8(w, &c.pool)
                      : EncodeInt8(w, ScaleEnds(c.graph, t.value, w.rows(), rule.scale), &c.pool));
      return {};
    }
    if (!t.matrix()) {
      return InvalidArgument(fmt::format("tensor {}: 4 bits are for matrices", t.full));
    }
    if (hessian == nullptr) {
      c.weights.Set(t.full, QuantizeInt4Rtn(w, rule.group, rule.step, &c.pool));
      return {};
    }
    Result<Weight> q = GptqInt4(w, *hessian, {rule.group, rule.step, damping_}, &c.pool);
    if (!q.ok()) return q.status().Annotate(t.full);
    c.weights.Set(t.full, *std::move(q));
    return {};
  }

  std::vector<WeightRule> rules_;
  double damping_;
};

}  // namespace

Pass QuantizeWeights(std::vector<WeightRule> rules, double damping) {
  const auto pass = std::make_shared<const QuantizeWeightsPass>(std::move(rules), damping);
  return {"weights", [pass](QuantContext& c) { return pass->Prepare(c); },
          [pass](QuantContext& c, int layer) { return pass->Block(c, layer); },
          [pass](QuantContext& c) { return pass->Finish(c); }};
}

}  // namespace octet
