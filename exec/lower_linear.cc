// Linear layers: integer or float products, codes in rows or in panels.
#include <algorithm>
#include <limits>
#include <memory>

#include <fmt/format.h>

#include "base/arena.h"
#include "base/file.h"
#include "exec/node_lowering.h"
#include "kernels/linear.h"
#include "kernels/panels.h"

namespace octet {
namespace {

// Whether a dot product can take the codes of a site: int8 with one scale for all channels of a
// token.
bool HasDotCodes(const Encoding* e) {
  return e != nullptr && e->quantized() && e->codec == Codec::kUniform &&
         (e->source == ScaleSource::kPerToken ||
          (e->source == ScaleSource::kStatic && e->scales.size() == 1));
}

// Bytes of weights that one task reads for one token: enough to pay for its start, and few enough
// that the threads end together.
constexpr int64_t kDecodeTaskBytes = 192 << 10;
// Of a matrix, between two times that its pages are given back while it is copied.
constexpr int64_t kPackBytes = 4 << 20;

class LinearLowering : private NodeLowering {
 public:
  using NodeLowering::NodeLowering;

  Status Run() {
    const Weight& weight = *c_.weights.Find(n_.weights[0]);
    codes_ = ReadsCodes(c_.graph, n_, 0, c_.weights);
    OCTET_ASSIGN(LinearArgs base, Args(weight));
    auto memory = std::make_shared<Memory>();
    memory->weight = weight;
    memory->bias = Vector(n_.weights[1]);
    auto choice = Pick(base, &LinearArgs::M, c_.piece);
    if (codes_) {
      LinearArgs panels = base;
      panels.w.layout = WeightLayout::kPanels;
      const auto other = Pick(panels, &LinearArgs::M, c_.piece);
      if (other.prefill->rank > choice.prefill->rank) {
        choice = other;
        UsePanels(weight, &base, memory.get());
      }
    } else if (weight.quantized()) {
      CopyCodes(weight, &base, memory.get());
    }
    PushStep(base, choice, std::move(memory));
    return {};
  }

 private:
  // What the step keeps: the weight where it is read as it came, and small vectors.
  struct Memory {
    Weight weight;
    std::shared_ptr<const FloatVector> bias, static_scale;
  };

  Result<LinearArgs> Args(const Weight& weight) {
    LinearArgs a{};
    a.N = n_.width;
    a.K = InNode(0).width;
    a.n_end = a.N;
    a.y_stride = a.N;
    a.w = {weight.dtype, weight.data, nullptr, 0, nullptr, weight.group};
    a.bf16_compute = c_.options.bf16_compute;
    a.x_dtype = DType::kF32;
    if (weight.quantized()) {
      a.w.row_scale = weight.row_scale->data();
      a.w.row_scale_stride = weight.row_scale->size() == 1 ? 0 : 1;
      a.w.group_scale = weight.group_scale == nullptr ? nullptr : weight.group_scale->data();
    }
    if (!codes_) return a;
    // Codes reach 127, 4-bit ones 8 times a multiplier of at most 127.
    const int64_t largest = weight.dtype == DType::kI4 ? 8 * 127 : 127;
    if (a.K > std::numeric_limits<int32_t>::max() / (127 * largest)) {
      return Unsupported(fmt::format("{}: integer sums over {} columns could overflow 32 bits",
                                     n_.weights[0], a.K));
    }
    a.x_dtype = DType::kI8;
    a.x_scale_stride = PerToken() ? 1 : 0;
    return a;
  }

  bool PerToken() const {
    return c_.graph.FindEncoding(InNode(0).site)->source == ScaleSource::kPerToken;
  }

  // Copies the codes to panels, a few megabytes at a time: what was copied leaves memory at once.
  void UsePanels(const Weight& weight, LinearArgs* a, Memory* memory) {
    const PanelShape shape = PanelShape::Of(weight.dtype, a->N, a->K, weight.group);
    auto* panels = reinterpret_cast<uint8_t*>(c_.arena->Take(shape.bytes));
    const int64_t row_bytes = BytesOf(weight.dtype, a->K);
    const int64_t some = CeilDiv(kPackBytes, row_bytes * kPanelRows);
    for (int64_t begin = 0; begin < shape.panels; begin += some) {
      const int64_t end = std::min(begin + some, shape.panels);
      PackPanels(shape, a->w, begin, end, panels);
      const int64_t bytes = std::min(end * kPanelRows, a->N) * row_bytes;
      if (weight.mapped) ForgetPages({weight.data, static_cast<size_t>(bytes)});
    }
    a->w.layout = WeightLayout::kPanels;
    a->w.data = panels;
    if (weight.dtype == DType::kI4) a->w.group_scale = panels + shape.multipliers_offset();
    ForgetCodes(weight, memory);
  }

  // Copies the codes as they are, if they lie in a file: from its small pages they read slower.
  void CopyCodes(const Weight& weight, LinearArgs* a, Memory* memory) {
    if (!weight.mapped) return;
    std::byte* codes = c_.arena->Take(weight.data_bytes());
    std::copy_n(weight.data, weight.data_bytes(), codes);
    a->w.data = codes;
    ForgetCodes(weight, memory);
  }

  // The pages of the file are given back; the scales are kept.
  static void ForgetCodes(const Weight& weight, Memory* memory) {
    if (weight.mapped) ForgetPages({weight.data, static_cast<size_t>(weight.data_bytes())});
    memory->weight.owner = nullptr;
  }

  void PushStep(const LinearArgs& base, const KernelChoice<LinearArgs>& choice,
                std::shared_ptr<Memory> memory) {
    const bool codes = codes_;
    const bool per_token = codes && PerToken();
    if (codes && !per_token) {
      memory->static_scale =
          std::make_shared<const FloatVector>(c_.graph.FindEncoding(InNode(0).site)->scales);
    }
    const ValuePlace x = In(0), y = v_ == c_.graph.logits ? ValuePlace{} : Place(v_);
    // Enough work per task to pay for its start; whole tiles of the kernels.
    const int64_t many = std::clamp<int64_t>(CeilDiv(65536 / base.K, 64) * 64, 64, 512);
    const int64_t row_bytes = BytesOf(base.w.dtype, base.K);
    const int64_t one =
        std::max(many, CeilDiv(kDecodeTaskBytes / row_bytes, kTaskRows) * kTaskRows);
    Push(choice.decode->name, choice.prefill->name, [=](const Frame& f) {
      LinearArgs a = base;
      a.M = f.T;
      a.x = codes ? static_cast<const void*>(f.values + x.codes) : Floats(f, x);
      if (codes) {
        a.x_scale = per_token ? reinterpret_cast<const float*>(f.values + x.token_scales)
                              : memory->static_scale->data();
      }
      a.bias = memory->bias->empty() ? nullptr : memory->bias->data();
      a.y = y.floats < 0 ? f.logits : Floats(f, y);
      // The codes of several tokens are prepared anew for each task: few tasks, but enough that a
      // thread which others slow down has less to do. Sums of codes are exact, whatever the
      // partition; those of floats need not be, and theirs must not depend on the threads.
      const int64_t tasks = f.pool->threads() == 1 ? 1 : int64_t{4} * f.pool->threads();
      const int64_t share = CeilDiv(CeilDiv(a.N, tasks), kPanelRows) * kPanelRows;
      const bool several_codes = f.T > 1 && codes;
      const int64_t block = several_codes ? std::max(many, share) : f.decode ? one : many;
      // Sums of codes are exact whatever the kernel, too: streams that decode together, and short
      // prompts, take the kernel for many tokens unless it refuses so few. No kernel refuses more
      // than kMaxStreams, for which Pick books the scratch of the other.
      const auto accepts = [&] {
        return f.T > kMaxStreams || choice.prefill->why_not(a) == nullptr;
      };
      const bool for_many = several_codes ? accepts() : !f.decode;
      const Kernel<LinearArgs>& kernel = for_many ? *choice.prefill : *choice.decode;
      f.pool->For(CeilDiv(a.N, block), [&](int64_t task, int worker) {
        LinearArgs part = a;
        part.n_begin = task * block;
        part.n_end = std::min(a.N, part.n_begin + block);
        kernel.run(part, Scratch(f, worker));
      });
    });
  }

  static constexpr int64_t kTaskRows = 64;

  bool codes_ = false;
};

}  // namespace

bool ReadsCodes(const Graph& graph, const Node& n, size_t i, const WeightMap& weights) {
  if (n.op == Op::kLinear) {
    const Node& source = graph.nodes[static_cast<size_t>(n.in[i])];
    return weights.Find(n.weights[0])->quantized() && HasDotCodes(graph.FindEncoding(source.site));
  }
  return n.op == Op::kSsd && n.ssd.int8 && i >= 2;
}

Status LowerLinear(ValueId v, LoweringContext* context, std::vector<Step>* steps) {
  return LinearLowering(v, context, steps).Run();
}

}  // namespace octet
