#include "exec/lowering.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include <fmt/format.h>

#include "base/checked.h"
#include "exec/node_args.h"
#include "exec/node_lowering.h"
#include "kernels/conv1d.h"
#include "kernels/gate.h"
#include "kernels/gelu.h"
#include "kernels/glu.h"
#include "kernels/hadamard.h"
#include "kernels/hadamard_shape.h"
#include "kernels/rmsnorm.h"
#include "kernels/softplus.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

// Channels that one task of a SelectiveScan handles: whole tiles of its kernel, and enough tasks
// for small models.
constexpr int64_t kChannelBlock = 64;
// Heads that one task of an S4d handles.
constexpr int64_t kHeadBlock = 8;

class Lowering : private NodeLowering {
 public:
  using NodeLowering::NodeLowering;

  Status Run() {
    switch (n_.op) {
      case Op::kRmsNorm:
      case Op::kGatedRmsNorm:
        Norm();
        break;
      case Op::kLinear:
        OCTET_TRY(LowerLinear(v_, &c_, steps_));
        break;
      case Op::kCausalConvSilu:
        Conv();
        break;
      case Op::kSoftplus:
        Softplus();
        break;
      case Op::kSsd:
        Ssd();
        break;
      case Op::kSelectiveScan:
        Scan();
        break;
      case Op::kGate:
        Gate();
        break;
      case Op::kHadamard:
        OCTET_TRY(Hadamard());
        break;
      case Op::kAdd:
        Add();
        break;
      case Op::kSplit:
        Split();
        break;
      case Op::kS4d:
        OCTET_TRY(S4d());
        break;
      case Op::kGelu:
        Gelu();
        break;
      case Op::kGlu:
        Glu();
        break;
      case Op::kLayerNorm:
        LayerNorm();
        break;
      case Op::kMean:
        Mean();
        break;
      case Op::kEmbedding:
      case Op::kFrames:
        break;
    }
    LowerEncoding(v_, &c_, steps_);
    return {};
  }

 private:
  void Norm() {
    const bool gated = n_.op == Op::kGatedRmsNorm;
    auto weight = Vector(n_.weights[0]);
    RmsnormArgs base = NormArgs(n_, *weight);
    const ValuePlace x = In(0), gate = gated ? In(1) : ValuePlace{}, y = Place(v_);
    base.x_stride = x.stride;
    base.gate_stride = gate.stride;
    const auto choice = Pick(base, &RmsnormArgs::T, kTokenBlock);
    PushRows(choice.decode->name, choice.prefill->name,
             [=](const Frame& f, int64_t begin, int64_t end, const Workspace& w) {
               RmsnormArgs a = base;
               a.weight = weight->empty() ? nullptr : weight->data();
               a.T = end - begin;
               a.x = Floats(f, x) + begin * x.stride;
               a.gate = gated ? Floats(f, gate) + begin * gate.stride : nullptr;
               a.y = Floats(f, y) + begin * a.C;
               choice.For(f).run(a, w);
             });
  }

  void Conv() {
    const auto taps =
        std::make_shared<const std::vector<float>>(ConvTaps(*Vector(n_.weights[0]), n_.taps));
    auto bias = Vector(n_.weights[1]);
    const ValuePlace x = In(0), y = Place(v_);
    Conv1dArgs base{};
    base.C = n_.width;
    base.K = n_.taps;
    base.x_stride = x.stride;
    const int layer = n_.layer;
    // Pointers to the rows before a block, and rows that are kept as codes.
    const int64_t pointer_bytes = CeilDiv((base.K - 1) * int64_t{sizeof(const float*)}, 64) * 64;
    const auto choice = Pick(base, &Conv1dArgs::T, kTokenBlock,
                             pointer_bytes + (base.K - 1) * base.C * int64_t{sizeof(float)});
    const int64_t history_offset = extra_offset_;
    PushLead(choice.decode->name, choice.prefill->name,
             [=](const Frame& f, const RowsFunction& next) {
               const int64_t keep = base.K - 1;
               const int64_t blocks = f.decode ? 1 : CeilDiv(f.T, kTokenBlock);
               // Every block but the first finds its history in x; the carried one is shifted at
               // the end.
               OverSequences(f, blocks, [&](const Sequence& s, int64_t block, const Workspace& w) {
                 ConvHistory& carried = s.state->conv(layer);
                 const float* rows = Floats(f, x) + s.row * x.stride;
                 const int64_t begin = block * kTokenBlock;
                 std::byte* scratch = static_cast<std::byte*>(w.scratch) + history_offset;
                 auto* history = reinterpret_cast<const float**>(scratch);
                 auto* decoded = reinterpret_cast<float*>(scratch + pointer_bytes);
                 for (int64_t j = 0; j < keep; ++j) {
                   const int64_t t = begin - keep + j;
                   history[j] = t < 0 ? carried.Values(keep + t) : rows + t * x.stride;
                   if (history[j] != nullptr) continue;
                   carried.Load(keep + t, decoded + j * base.C);
                   history[j] = decoded + j * base.C;
                 }
                 Conv1dArgs a = base;
                 a.T = std::min(s.T, begin + kTokenBlock) - begin;
                 a.x = rows + begin * x.stride;
                 a.taps = taps->data();
                 a.bias = bias->empty() ? nullptr : bias->data();
                 a.history = history;
                 a.y = Floats(f, y) + (s.row + begin) * a.C;
                 choice.For(f).run(a, w);
                 next(f, s.row + begin, s.row + begin + a.T, w);
               });
               for (const Sequence& s : f.sequences) {
                 s.state->conv(layer).Push(Floats(f, x) + s.row * x.stride, x.stride, s.T);
               }
             });
  }

  void Softplus() {
    auto bias = Vector(n_.weights[0]);
    SoftplusArgs a{};
    a.C = n_.width;
    a.x_stride = In(0).stride;
    a.bias = bias->data();
    a.lo = n_.lo;
    a.hi = n_.hi;
    PerToken(a, bias);
  }

  // Scales of the int8 form, owned by the step; empty where they are made per chunk.
  struct OwnedScales {
    FloatVector B, C, x_scaled, score, state;
  };

  std::shared_ptr<const OwnedScales> Scales() const {
    auto s = std::make_shared<OwnedScales>();
    auto scales = [&](const std::string& site) { return c_.graph.FindEncoding(site)->scales; };
    s->B = scales(InNode(2).site);
    s->C = scales(InNode(3).site);
    s->x_scaled = scales(SsdInnerSite(n_.layer, "x_scaled"));
    s->score = scales(SsdInnerSite(n_.layer, "score"));
    s->state = scales(SsdInnerSite(n_.layer, "state"));
    return s;
  }

  void Ssd() {
    auto A = std::make_shared<const FloatVector>(DecayRates(*Vector(n_.weights[0])));
    auto D = Vector(n_.weights[1]);
    const bool int8 = n_.ssd.int8;
    std::shared_ptr<const OwnedScales> owned = int8 ? Scales() : nullptr;
    auto scales = std::make_shared<SsdScales>();
    if (int8) {
      const auto data = [](const FloatVector& v) { return v.empty() ? nullptr : v.data(); };
      *scales = {
          data(owned->B),        data(owned->C),
          data(owned->x_scaled), data(owned->score),
          data(owned->state),    c_.graph.FindEncoding(SsdInnerSite(n_.layer, "x_scaled"))->codec};
    }
    const ValuePlace x = In(0), dt = In(1), B = In(2), C = In(3), y = Place(v_);
    SsdArgs base = SsdShapeArgs(n_, *D);
    base.head_end = base.H;
    base.x_stride = x.stride;
    base.bc_dtype = int8 ? DType::kI8 : DType::kF32;
    base.bc_stride = int8 ? base.G * base.N : B.stride;
    base.scales = int8 ? scales.get() : nullptr;
    base.passing = n_.ssd.gate_q7 ? StatePassing::kGateQ7 : StatePassing::kFloat;
    base.h.format = c_.graph.state;
    const auto choice = Pick(base, &SsdArgs::T, 2 * base.L);
    // Scores are shared by the heads of a group: few enough tasks that computing them again in each
    // costs little, enough to occupy the cores.
    const int64_t block = std::max<int64_t>(1, base.H / base.G / 4);
    const int layer = n_.layer;
    const int64_t bc_size = int8 ? 1 : int64_t{sizeof(float)};
    Push(choice.decode->name, choice.prefill->name, [=](const Frame& f) {
      (void)owned;
      SsdArgs a = base;
      a.A = A->data();
      a.D = D->data();
      a.scales = int8 ? scales.get() : nullptr;
      const std::byte* b_rows = f.values + (int8 ? B.codes : B.floats);
      const std::byte* c_rows = f.values + (int8 ? C.codes : C.floats);
      OverSequences(f, CeilDiv(a.H, block), [&](const Sequence& s, int64_t task, Workspace w) {
        ForEachSsdPart(s.T, a.L, [&](int64_t first, int64_t count) {
          const int64_t row = s.row + first;
          SsdArgs part = a;
          part.T = count;
          part.head_begin = task * block;
          part.head_end = std::min(a.H, part.head_begin + block);
          part.x = Floats(f, x) + row * a.x_stride;
          part.dt = Floats(f, dt) + row * a.H;
          part.B = b_rows + row * a.bc_stride * bc_size;
          part.C = c_rows + row * a.bc_stride * bc_size;
          part.y = Floats(f, y) + row * a.H * a.P;
          part.h = s.state->ssm(layer, s.offset + first);
          choice.For(count).run(part, w);
        });
      });
    });
  }

  void Scan() {
    auto A = std::make_shared<const FloatVector>(DecayRates(*Vector(n_.weights[0])));
    auto D = Vector(n_.weights[1]);
    const ValuePlace x = In(0), dt = In(1), B = In(2), C = In(3), y = Place(v_);
    ScanArgs base = ScanShapeArgs(n_, *A, *D);
    base.x_stride = x.stride;
    base.dt_stride = dt.stride;
    base.b_stride = B.stride;
    base.c_stride = C.stride;
    base.h.format = c_.graph.state;
    const auto choice = Pick(base, &ScanArgs::T, 2 * base.period);
    const int layer = n_.layer;
    Push(choice.decode->name, choice.prefill->name, [=](const Frame& f) {
      ScanArgs a = base;
      a.A = A->data();
      a.D = D->data();
      const int64_t blocks = CeilDiv(a.I, kChannelBlock);
      OverSequences(f, blocks, [&](const Sequence& s, int64_t task, const Workspace& w) {
        ScanArgs part = a;
        part.T = s.T;
        part.x = Floats(f, x) + s.row * x.stride;
        part.dt = Floats(f, dt) + s.row * dt.stride;
        part.B = Floats(f, B) + s.row * B.stride;
        part.C = Floats(f, C) + s.row * C.stride;
        part.h = s.state->ssm(layer, s.offset);
        part.y = Floats(f, y) + s.row * a.I;
        part.channel_begin = task * kChannelBlock;
        part.channel_end = std::min(a.I, part.channel_begin + kChannelBlock);
        choice.For(f).run(part, w);
      });
    });
  }

  void Gate() {
    const ValuePlace y = In(0), z = In(1), out = Place(v_);
    GateArgs base{};
    base.C = n_.width;
    base.y_stride = y.stride;
    base.z_stride = z.stride;
    const auto choice = Pick(base, &GateArgs::T, kTokenBlock);
    PushRows(choice.decode->name, choice.prefill->name,
             [=](const Frame& f, int64_t begin, int64_t end, const Workspace& w) {
               GateArgs a = base;
               a.T = end - begin;
               a.y = Floats(f, y) + begin * y.stride;
               a.z = Floats(f, z) + begin * z.stride;
               a.out = Floats(f, out) + begin * a.C;
               choice.For(f).run(a, w);
             });
  }

  Status S4d() {
    std::shared_ptr<const FloatVector> values[6];
    const FloatVector* weights[6] = {};
    for (size_t i = 0; i < 6; ++i) {
      values[i] = Vector(n_.weights[i]);
      weights[i] = values[i].get();
    }
    OCTET_ASSIGN(DiscreteS4d coefficients, Discretize(n_, weights));
    auto discrete = std::make_shared<const DiscreteS4d>(std::move(coefficients));
    auto D = values[5];
    const ValuePlace u = In(0), y = Place(v_);
    S4dArgs base = S4dShapeArgs(n_, *discrete, *D);
    base.u_stride = u.stride;
    base.x.format = c_.graph.state;
    const auto choice = Pick(base, &S4dArgs::T, c_.piece);
    const int layer = n_.layer;
    Push(choice.decode->name, choice.prefill->name, [=](const Frame& f) {
      (void)discrete;  // owns what base points to, as D does
      (void)D;
      const int64_t blocks = CeilDiv(base.H, kHeadBlock);
      OverSequences(f, blocks, [&](const Sequence& s, int64_t task, const Workspace& w) {
        S4dArgs part = base;
        part.T = s.T;
        part.u = Floats(f, u) + s.row * u.stride;
        part.x = s.state->ssm(layer, s.offset);
        part.y = Floats(f, y) + s.row * base.H;
        part.head_begin = task * kHeadBlock;
        part.head_end = std::min(base.H, part.head_begin + kHeadBlock);
        choice.For(f).run(part, w);
      });
    });
    return {};
  }

  // An operation on each token for itself: `base` has all but T, x and y.
  template <class Args>
  void PerToken(const Args& base, const std::shared_ptr<const void>& owner = nullptr) {
    const ValuePlace x = In(0), y = Place(v_);
    const int64_t width = n_.width;
    const auto choice = Pick(base, &Args::T, kTokenBlock);
    PushRows(choice.decode->name, choice.prefill->name,
             [=](const Frame& f, int64_t begin, int64_t end, const Workspace& w) {
               (void)owner;
               Args a = base;
               a.T = end - begin;
               a.x = Floats(f, x) + begin * x.stride;
               a.y = Floats(f, y) + begin * width;
               choice.For(f).run(a, w);
             });
  }

  void Gelu() {
    GeluArgs a{};
    a.C = n_.width;
    a.form = n_.gelu;
    a.x_stride = In(0).stride;
    PerToken(a);
  }

  void Glu() {
    GluArgs a{};
    a.C = n_.width;
    a.x_stride = In(0).stride;
    PerToken(a);
  }

  void LayerNorm() {
    auto weights = std::make_shared<const std::array<FloatVector, 2>>(
        std::array{*Vector(n_.weights[0]), *Vector(n_.weights[1])});
    LayernormArgs a = LayerNormArgs(n_, (*weights)[0], (*weights)[1]);
    a.x_stride = In(0).stride;
    PerToken(a, weights);
  }

  void Mean() {
    const ValuePlace x = In(0), y = Place(v_);
    const int64_t width = n_.width;
    Push("mean", "mean", [=](const Frame& f) {
      for (const Sequence& s : f.sequences) {
        RunningMean(Floats(f, x) + s.row * x.stride, x.stride, s.T, width,
                    s.state->position() + s.offset, s.state->sum().data(),
                    Floats(f, y) + s.row * width);
      }
    });
  }

  Status Hadamard() {
    HadamardArgs base{};
    OCTET_ASSIGN(base.shape, MakeHadamardShape(n_.width, n_.hadamard));
    PerToken(base);
    return {};
  }

  // A window into its parent needs nothing; some readers want a copy (exec/value_plan.h).
  void Split() {
    const ValuePlace from = In(0), to = Place(v_);
    if (!to.copy) return;
    const int64_t offset = n_.offset, width = n_.width;
    PushRows("copy", "copy", [=](const Frame& f, int64_t begin, int64_t end, const Workspace&) {
      for (int64_t t = begin; t < end; ++t) {
        std::copy_n(Floats(f, from) + t * from.stride + offset, width, Floats(f, to) + t * width);
      }
    });
  }

  void Add() {
    const ValuePlace a = In(0), b = In(1), y = Place(v_);
    const int64_t width = n_.width;
    PushRows("add", "add", [=](const Frame& f, int64_t begin, int64_t end, const Workspace&) {
      const float* left = Floats(f, a) + begin * width;
      const float* right = Floats(f, b) + begin * width;
      float* sum = Floats(f, y) + begin * width;
      for (int64_t i = 0; i < (end - begin) * width; ++i) {
        sum[i] = left[i] + right[i];
      }
    });
  }
};

}  // namespace

std::vector<ValueUse> ValueUses(const Graph& graph, const WeightMap& weights) {
  std::vector<ValueUse> uses(graph.nodes.size());
  for (const Node& n : graph.nodes) {
    for (size_t i = 0; i < n.in.size(); ++i) {
      const auto source = static_cast<size_t>(n.in[i]);
      const bool codes = ReadsCodes(graph, n, i, weights);
      (codes ? uses[source].codes : uses[source].floats) = true;
    }
  }
  return uses;
}

void RunInOrder(std::span<const Step> steps, const Frame& f) {
  for (size_t i = 0; i < steps.size();) {
    if (steps[i].run) {
      steps[i++].run(f);
      continue;
    }
    const size_t first = steps[i].lead ? i + 1 : i;
    size_t last = first;
    while (last < steps.size() && steps[last].rows) {
      ++last;
    }
    const auto pass = [&](const Frame&, int64_t begin, int64_t end, const Workspace& scratch) {
      for (size_t s = first; s < last; ++s) {
        steps[s].rows(f, begin, end, scratch);
      }
    };
    if (steps[i].lead) {
      steps[i].lead(f, pass);
    } else {
      const int64_t block = f.decode ? kStreamBlock : kTokenBlock;
      f.pool->For(CeilDiv(f.T, block), [&](int64_t task, int worker) {
        const Workspace scratch{(*f.scratch)[static_cast<size_t>(worker)].data()};
        pass(f, task * block, std::min(f.T, (task + 1) * block), scratch);
      });
    }
    i = last;
  }
}

Status LowerNode(ValueId v, LoweringContext* context, std::vector<Step>* steps) {
  return Lowering(v, context, steps).Run();
}

}  // namespace octet
