#include "edge/lower.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "edge/lower_layer.h"
#include "edge/lower_linear.h"
#include "edge/lower_norm.h"
#include "edge/sites.h"
#include "kernels/math.h"
#include "quant/s4d/weights.h"

namespace octet {
namespace {

// The stream stays within 2^29 units; its sums have room for rounding up to 2^30.
constexpr double kStreamLimit = 0x1p29;

struct Block {
  const Node *s4d, *gelu, *z, *norm;  // norm may be null
};

// The nodes of a graph that can be lowered.
struct Parts {
  const Node *frames, *encoder, *mean, *decoder;
  std::vector<Block> blocks;
};

// Takes the next node, which must be `op` and read `inputs`; {op and inputs} of the only form.
class Walk {
 public:
  explicit Walk(const Graph& graph) : graph_(graph) {}

  Result<const Node*> Next(Op op, const std::vector<ValueId>& inputs) {
    const Node* n = next_ < graph_.nodes.size() ? &graph_.nodes[next_] : nullptr;
    if (n == nullptr || n->op != op || n->in != inputs) {
      return Unsupported(
          fmt::format("{}: integers run encoder, S4D blocks with a LayerNorm after them or none, "
                      "mean and decoder; here is {} in place of {}",
                      n == nullptr ? "the graph" : n->site,
                      n == nullptr ? "its end" : OpName(n->op), OpName(op)));
    }
    ++next_;
    return n;
  }
  ValueId last() const { return static_cast<ValueId>(next_) - 1; }
  bool At(Op op) const { return next_ < graph_.nodes.size() && graph_.nodes[next_].op == op; }

 private:
  const Graph& graph_;
  size_t next_ = 0;
};

Result<Parts> FindParts(const Graph& graph) {
  Parts p{};
  Walk walk(graph);
  OCTET_ASSIGN(p.frames, walk.Next(Op::kFrames, {}));
  OCTET_ASSIGN(p.encoder, walk.Next(Op::kLinear, {walk.last()}));
  while (!walk.At(Op::kMean)) {
    const ValueId stream = walk.last();
    Block block{};
    OCTET_ASSIGN(block.s4d, walk.Next(Op::kS4d, {stream}));
    OCTET_ASSIGN(block.gelu, walk.Next(Op::kGelu, {walk.last()}));
    OCTET_ASSIGN(block.z, walk.Next(Op::kLinear, {walk.last()}));
    OCTET_TRY(walk.Next(Op::kGlu, {walk.last()}).status());
    OCTET_TRY(walk.Next(Op::kAdd, {stream, walk.last()}).status());
    if (walk.At(Op::kLayerNorm)) {
      OCTET_ASSIGN(block.norm, walk.Next(Op::kLayerNorm, {walk.last()}));
    }
    p.blocks.push_back(block);
  }
  OCTET_ASSIGN(p.mean, walk.Next(Op::kMean, {walk.last()}));
  OCTET_ASSIGN(p.decoder, walk.Next(Op::kLinear, {walk.last()}));
  return p;
}

// A block between the two halves of lowering it: before and after the stream has its scale.
struct LoweredBlock {
  FloatLayer layer;
  S4dStatePlan state;
  GeluForm form = GeluForm::kExact;
  AffineCode gelu;
  IntegerSums value, gate;
  std::optional<FloatNorm> norm;
};

class ModelLowering {
 public:
  ModelLowering(const WeightMap& weights, const S4dPlan& plan, const S4dRanges& ranges,
                const S4dWeights& quantized, const Parts& parts)
      : weights_(weights), plan_(plan), ranges_(ranges), quantized_(quantized), parts_(parts) {}

  Result<IntegerS4d> Lower() {
    IntegerS4d m;
    OCTET_ASSIGN(m.frame, CodeOfInput(plan_, ranges_, parts_.frames->site));
    // Frames come from outside: any int8 must be safe.
    OCTET_ASSIGN(IntegerSums encoder, SumsOf(*parts_.encoder, m.frame, 0, 1, -128, 127));
    std::vector<LoweredBlock> blocks;
    for (const Block& b : parts_.blocks) {
      OCTET_ASSIGN(LoweredBlock lowered, LowerBlock(b));
      blocks.push_back(std::move(lowered));
    }
    const double unit = StreamUnit(encoder, blocks);
    m.inputs = parts_.frames->width;
    m.heads = parts_.encoder->width;
    m.classes = parts_.decoder->width;
    OCTET_ASSIGN(m.encoder, WithUnit(std::move(encoder), unit));
    for (LoweredBlock& b : blocks) {
      OCTET_ASSIGN(IntegerLayer l, LowerRecurrence(b.layer, b.state, unit));
      AddGelu(b, &l);
      OCTET_ASSIGN(l.value, WithUnit(std::move(b.value), unit));
      OCTET_ASSIGN(l.gate, WithUnit(std::move(b.gate), std::ldexp(1.0, -kGateBits)));
      if (b.norm) {
        OCTET_ASSIGN(l.norm, LowerNorm(*b.norm, unit));
      }
      m.layers.push_back(std::move(l));
    }
    OCTET_TRY(LowerEnd(unit, &m));
    return m;
  }

 private:
  Result<std::vector<float>> Floats(const std::string& name) const {
    OCTET_ASSIGN(const Weight w, weights_.Get(name));
    return ToF32(w);
  }

  // Half `half` of the rows of a linear, of `halves`.
  Result<IntegerSums> SumsOf(const Node& n, const AffineCode& x, int64_t half, int64_t halves,
                             int32_t low, int32_t high) const {
    OCTET_ASSIGN(const MatrixCodes matrix, CodesOfMatrix(plan_, weights_, n));
    std::vector<float> bias;
    if (!n.weights[1].empty()) {
      OCTET_ASSIGN(bias, Floats(n.weights[1]));
    }
    const int64_t rows = matrix.rows / halves;
    return LowerSums(n.site, matrix, bias, half * rows, (half + 1) * rows, x, low, high);
  }

  Result<LoweredBlock> LowerBlock(const Block& b) const {
    LoweredBlock lowered;
    const Node& n = *b.s4d;
    lowered.layer.node = &n;
    lowered.state = PlanOfLayer(plan_, n.layer).x;
    lowered.form = plan_.piecewise_gelu ? GeluForm::kPiecewise : b.gelu->gelu;
    const ValueId id = quantized_.graph.FindSite(n.site);
    const Node& discrete = quantized_.graph.nodes[static_cast<size_t>(id)];
    std::array<std::vector<float>, 6> values;
    std::array<const std::vector<float>*, 6> roles{};
    for (size_t i = 0; i < roles.size(); ++i) {
      if (!discrete.weights[i].empty()) {
        OCTET_ASSIGN(const Weight w, quantized_.weights.Get(discrete.weights[i]));
        values[i] = ToF32(w);
      }
      roles[i] = &values[i];
    }
    OCTET_ASSIGN(lowered.layer.s, Discretize(discrete, roles));
    lowered.layer.D = values[5];
    OCTET_ASSIGN(lowered.layer.u, CodesOfHeads(plan_, ranges_, n, "u"));
    OCTET_ASSIGN(lowered.layer.y_ssm, CodesOfHeads(plan_, ranges_, n, "y_ssm"));
    OCTET_ASSIGN(lowered.layer.y, CodesOfHeads(plan_, ranges_, n, "y"));
    OCTET_ASSIGN(lowered.layer.x, CodesOfState(plan_, ranges_, n));
    OCTET_ASSIGN(lowered.gelu, CodeOfInput(plan_, ranges_, b.gelu->site));
    const auto low = static_cast<int32_t>(lowered.gelu.low),
               high = static_cast<int32_t>(lowered.gelu.high);
    OCTET_ASSIGN(lowered.value, SumsOf(*b.z, lowered.gelu, 0, 2, low, high));
    OCTET_ASSIGN(lowered.gate, SumsOf(*b.z, lowered.gelu, 1, 2, low, high));
    if (b.norm != nullptr) {
      FloatNorm& norm = lowered.norm.emplace();
      norm.site = b.norm->site;
      norm.eps = b.norm->eps;
      OCTET_ASSIGN(norm.weight, Floats(b.norm->weights[0]));
      OCTET_ASSIGN(norm.bias, Floats(b.norm->weights[1]));
    }
    return lowered;
  }

  // The sigmoid is at most 1, so that a layer adds at most its value. The stream is largest where a
  // norm or the mean reads it.
  static double StreamUnit(const IntegerSums& encoder, const std::vector<LoweredBlock>& blocks) {
    double most = 0, least_unit = 0;
    for (size_t h = 0; h < encoder.bound.size(); ++h) {
      double sum = encoder.Largest(h);
      for (const LoweredBlock& b : blocks) {
        sum += b.value.Largest(h);
        if (!b.norm) continue;
        most = std::max(most, sum);
        sum = b.norm->Largest(h);
        least_unit = std::max(least_unit, b.norm->LeastUnit());
      }
      most = std::max(most, sum);
    }
    return most > 0 ? std::max(most / kStreamLimit, least_unit) : std::max(1.0, least_unit);
  }

  void AddGelu(const LoweredBlock& b, IntegerLayer* l) const {
    l->levels = int64_t{1} << BitsOf(plan_, S4dRangeSite(b.layer.node->layer, "y"));
    const std::vector<AffineCode>& y = b.layer.y;
    const int64_t low = -l->levels / 2;
    const bool one = std::ranges::all_of(
        y, [&](const AffineCode& c) { return c.scale == y[0].scale && c.zero == y[0].zero; });
    for (size_t h = 0; h < (one ? 1 : y.size()); ++h) {
      for (int64_t i = 0; i < l->levels; ++i) {
        const float code = static_cast<float>(i + low);
        const float v = (code - y[h].zero) * y[h].scale;
        const float gelu = b.form == GeluForm::kExact ? GeluF(v) : PiecewiseGeluF(v);
        l->gelu.push_back(static_cast<int8_t>(CodeOf(b.gelu, gelu)));
      }
    }
  }

  Status LowerEnd(double unit, IntegerS4d* m) const {
    OCTET_ASSIGN(const AffineCode mean, CodeOfInput(plan_, ranges_, parts_.mean->site));
    const double factor = mean.scale > 0 ? unit / mean.scale : 0;
    OCTET_ASSIGN(m->mean, MakeRequant(factor, 0x1p30, parts_.mean->site));
    m->mean_zero = static_cast<int32_t>(mean.zero);
    m->mean_low = static_cast<int8_t>(mean.low);
    m->mean_high = static_cast<int8_t>(mean.high);
    OCTET_ASSIGN(IntegerSums decoder,
                 SumsOf(*parts_.decoder, mean, 0, 1, m->mean_low, m->mean_high));
    double most = 0;
    for (size_t i = 0; i < decoder.bound.size(); ++i) {
      most = std::max(most, decoder.Largest(i));
    }
    m->logit_scale = most > 0 ? most / kStreamLimit : 1;
    OCTET_ASSIGN(m->decoder, WithUnit(std::move(decoder), m->logit_scale));
    return {};
  }

  const WeightMap& weights_;
  const S4dPlan& plan_;
  const S4dRanges& ranges_;
  const S4dWeights& quantized_;
  const Parts& parts_;
};

}  // namespace

Result<IntegerS4d> LowerS4d(const Graph& graph, const WeightMap& weights, const S4dPlan& plan,
                            const S4dRanges& ranges) {
  OCTET_TRY(CheckIntegerPlan(plan));
  OCTET_ASSIGN(const Parts parts, FindParts(graph));
  OCTET_ASSIGN(const S4dWeights quantized, QuantizeS4dWeights(graph, weights, plan));
  return ModelLowering(weights, plan, ranges, quantized, parts).Lower();
}

}  // namespace octet
