#include "exec/program.h"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/checked.h"
#include "exec/lowering.h"
#include "exec/value_plan.h"

namespace octet {
namespace {

constexpr int64_t kHeadRows = 64;  // positions whose logits are computed together

}  // namespace

// A piece is a whole number of chunks, so that cutting a prompt into pieces changes nothing.
struct Program::Impl {
  Graph graph;
  Weight table;
  ValuePlan plan;
  int64_t piece = 0;
  int64_t scratch_bytes = 0;
  std::vector<Step> steps;                             // in graph order
  std::vector<std::pair<size_t, size_t>> layer_steps;  // by layer
  // What treats each token for itself begins here, after the blocks and the mean.
  size_t tail = 0;

  ValueId tail_input = 0;  // the value before the tail

  // Row 0 of value `v` in the workspace.
  float* Rows(ProgramWorkspace* w, ValueId v) const {
    return reinterpret_cast<float*>(w->values_.data() + plan.places[static_cast<size_t>(v)].floats);
  }

  void Prepare(ProgramWorkspace* w, bool with_logits) const {
    const auto threads = static_cast<size_t>(w->pool().threads());
    if (w->values_.bytes() < plan.bytes) w->values_ = Buffer(plan.bytes);
    const int64_t head = kHeadRows * graph.vocab_rows * int64_t{sizeof(float)};
    if (with_logits && w->logits_.bytes() < head) w->logits_ = Buffer(head);
    if (w->scratch_.size() == threads && w->scratch_.front().bytes() >= scratch_bytes) return;
    w->scratch_.clear();
    for (size_t i = 0; i < threads; ++i) {
      w->scratch_.emplace_back(scratch_bytes);
    }
  }

  Status CheckRoom(std::span<float> last_logits) const {
    if (std::ssize(last_logits) == graph.vocab_rows) return {};
    return InvalidArgument(fmt::format("room for {} logits was given, but the model has {}",
                                       last_logits.size(), graph.vocab_rows));
  }

  // The next T tokens of the stream; `fill(t, row)` writes token t's row of node 0.
  template <class Fill>
  Status RunStream(int64_t T, const Fill& fill, State* state, ProgramWorkspace* w,
                   const LogitsSink& sink) const {
    if (T == 0) return InvalidArgument("there are no tokens to run");
    Prepare(w, sink != nullptr);
    const int64_t width = graph.nodes[0].width;
    for (int64_t t = 0; t < T; t += piece) {
      const int64_t rows = std::min(piece, T - t);
      for (int64_t i = 0; i < rows; ++i) {
        fill(t + i, Rows(w, 0) + i * width);
      }
      RunSteps(0, tail, t, rows, state, w);
      for (int64_t r = 0; r < rows && sink != nullptr; r += kHeadRows) {
        const int64_t group = std::min(kHeadRows, rows - r);
        RunTail(t, r, group, state, w);
        sink(t + r, group, w->logits_.template as<float>());
      }
    }
    state->Advance(T);
    return {};
  }

  // Logits of `count` rows of the piece that begins `offset` tokens into the call, from row `first`
  // on. The tail reads its tokens from row 0 on, so they are moved there.
  void RunTail(int64_t offset, int64_t first, int64_t count, State* state,
               ProgramWorkspace* w) const {
    const int64_t width = graph.nodes[static_cast<size_t>(tail_input)].width;
    float* stream = Rows(w, tail_input);
    std::memmove(stream, stream + first * width,
                 static_cast<size_t>(count * width) * sizeof(float));
    RunSteps(tail, steps.size(), offset + first, count, state, w);
  }

  // Those of the last of the T tokens that RunStream has just run.
  void LastLogits(int64_t T, State* state, ProgramWorkspace* w, float* logits) const {
    Prepare(w, true);
    const int64_t last = (T - 1) % piece;
    RunTail(T - 1 - last, last, 1, state, w);
    std::copy_n(w->logits_.as<float>(), graph.vocab_rows, logits);
  }

  // Runs steps [first, last) on `T` tokens, `offset` tokens into the call, whose inputs are in the
  // workspace.
  void RunSteps(size_t first, size_t last, int64_t offset, int64_t T, State* state,
                ProgramWorkspace* w) const {
    Frame frame{};
    frame.T = T;
    frame.offset = offset;
    frame.state = state;
    frame.values = w->values_.data();
    frame.logits = w->logits_.as<float>();
    frame.scratch = &w->scratch_;
    frame.pool = w->pool_;
    for (size_t s = first; s < last; ++s) {
      steps[s].run(frame);
    }
  }
};

Program::Program() : impl_(std::make_unique<Impl>()) {}
Program::~Program() = default;

const Graph& Program::graph() const {
  return impl_->graph;
}

Result<std::unique_ptr<Program>> Program::Lower(const Graph& graph, const WeightMap& weights,
                                                const LowerOptions& options) {
  return LowerRange(graph, weights, 1, static_cast<ValueId>(graph.nodes.size()), options);
}

Result<std::unique_ptr<Program>> Program::LowerBlock(const Graph& graph, const WeightMap& weights,
                                                     int layer, const LowerOptions& options) {
  const auto [begin, end] = graph.LayerRange(layer);
  return LowerRange(graph, weights, begin, end, options);
}

Result<std::unique_ptr<Program>> Program::LowerRange(const Graph& graph, const WeightMap& weights,
                                                     ValueId begin, ValueId end,
                                                     const LowerOptions& options) {
  OCTET_TRY(Verify(graph));
  std::unique_ptr<Program> program(new Program());
  Impl& impl = *program->impl_;
  impl.graph = graph;
  const Node& input = graph.nodes[0];
  if (input.op == Op::kEmbedding) impl.table = *weights.Find(input.weights[0]);
  const int64_t chunk = ChunkSize(graph);
  impl.piece = CeilDiv(256, chunk) * chunk;
  const std::vector<ValueUse> uses = ValueUses(graph, weights);
  impl.plan = PlanValues(graph, uses, impl.piece);
  LoweringContext context{impl.graph, weights,    impl.plan,          uses,
                          options,    impl.piece, &impl.scratch_bytes};
  impl.layer_steps.resize(static_cast<size_t>(graph.layers));
  for (ValueId v = begin; v < end; ++v) {
    const Node& n = graph.nodes[static_cast<size_t>(v)];
    const size_t before = impl.steps.size();
    OCTET_TRY(LowerNode(v, &context, &impl.steps));
    if (n.layer >= 0 || n.op == Op::kMean) {
      impl.tail = impl.steps.size();
      impl.tail_input = v;
    }
    if (n.layer < 0) continue;
    auto& range = impl.layer_steps[static_cast<size_t>(n.layer)];
    if (range.second == 0) range.first = before;
    range.second = impl.steps.size();
  }
  return program;
}

std::vector<StepKernels> Program::Kernels() const {
  std::vector<StepKernels> kernels;
  for (const Step& s : impl_->steps) {
    kernels.push_back({s.site, s.decode_kernel, s.prefill_kernel});
  }
  return kernels;
}

Status Program::RunLayer(int layer, std::vector<float>* residual, State* state,
                         ProgramWorkspace* w) const {
  const Impl& impl = *impl_;
  impl.Prepare(w, false);
  const int64_t width = StreamWidth(impl.graph);
  const auto [begin, end] = impl.graph.LayerRange(layer);
  const ValueId input = begin - 1;
  const auto [first, last] = impl.layer_steps[static_cast<size_t>(layer)];
  const int64_t T = static_cast<int64_t>(residual->size()) / width;
  for (int64_t t = 0; t < T; t += impl.piece) {
    const int64_t rows = std::min(impl.piece, T - t);
    float* stream = residual->data() + t * width;
    std::copy_n(stream, rows * width, impl.Rows(w, input));
    impl.RunSteps(first, last, t, rows, state, w);
    std::copy_n(impl.Rows(w, end - 1), rows * width, stream);
  }
  return {};
}

Status Program::Run(std::span<const TokenId> tokens, State* state, ProgramWorkspace* w,
                    const LogitsSink& sink) const {
  OCTET_TRY(CheckTokens(impl_->graph, tokens));
  const auto embed = [&](int64_t t, float* row) {
    RowToF32(impl_->table, tokens[static_cast<size_t>(t)], row);
  };
  return impl_->RunStream(std::ssize(tokens), embed, state, w, sink);
}

Status Program::RunForLast(std::span<const TokenId> tokens, State* state, ProgramWorkspace* w,
                           std::span<float> last_logits) const {
  OCTET_TRY(impl_->CheckRoom(last_logits));
  OCTET_TRY(Run(tokens, state, w, nullptr));
  impl_->LastLogits(std::ssize(tokens), state, w, last_logits.data());
  return {};
}

Status Program::RunFrames(std::span<const float> frames, State* state, ProgramWorkspace* w,
                          const LogitsSink& sink) const {
  OCTET_TRY(CheckFrames(impl_->graph, frames));
  const int64_t width = impl_->graph.nodes[0].width;
  const auto copy = [&](int64_t t, float* row) {
    std::copy_n(frames.data() + t * width, width, row);
  };
  return impl_->RunStream(std::ssize(frames) / width, copy, state, w, sink);
}

Status Program::RunFramesForLast(std::span<const float> frames, State* state, ProgramWorkspace* w,
                                 std::span<float> last_logits) const {
  OCTET_TRY(impl_->CheckRoom(last_logits));
  OCTET_TRY(RunFrames(frames, state, w, nullptr));
  impl_->LastLogits(std::ssize(frames) / impl_->graph.nodes[0].width, state, w, last_logits.data());
  return {};
}

}  // namespace octet
