#include "exec/program.h"

#include <algorithm>
#include <chrono>
#include <cstring>

#include <fmt/format.h>

#include "base/checked.h"
#include "exec/lowering.h"
#include "exec/node_lowering.h"
#include "exec/value_plan.h"

namespace octet {
namespace {

constexpr int64_t kHeadRows = 64;  // positions whose logits are computed together
static_assert(kMaxStreams <= kHeadRows);

}  // namespace

// A piece is a whole number of chunks, so that cutting a prompt into pieces changes nothing.
struct Program::Impl {
  Graph graph;
  Weight table;
  ValuePlan plan;
  int64_t piece = 0;
  int64_t scratch_bytes = 0;
  Arena arena;                                         // weights in panels
  std::vector<Step> steps;                             // in graph order
  std::vector<std::pair<size_t, size_t>> layer_steps;  // by layer
  // What treats each token for itself begins here, after the blocks and the mean.
  size_t tail = 0;

  ValueId tail_input = 0;  // the value before the tail

  // Row 0 of value `v` in the workspace.
  float* Rows(ProgramWorkspace* w, ValueId v) const {
    return reinterpret_cast<float*>(w->values_.data() + plan.places[static_cast<size_t>(v)].floats);
  }

  // Memory for a piece of tokens and for `head_rows` rows of logits at once.
  void Prepare(ProgramWorkspace* w, int64_t head_rows) const {
    const auto threads = static_cast<size_t>(w->pool().threads());
    if (w->values_.bytes() < plan.bytes) w->values_ = Buffer(plan.bytes);
    const int64_t head = head_rows * graph.vocab_rows * int64_t{sizeof(float)};
    if (w->logits_.bytes() < head) w->logits_ = Buffer(head);
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
    Prepare(w, sink == nullptr ? 0 : kHeadRows);
    const int64_t width = graph.nodes[0].width;
    for (int64_t t = 0; t < T; t += piece) {
      const int64_t rows = std::min(piece, T - t);
      for (int64_t i = 0; i < rows; ++i) {
        fill(t + i, Rows(w, 0) + i * width);
      }
      const Sequence sequence{state, 0, rows, t};
      RunSteps(0, tail, {&sequence, 1}, w);
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
    const Sequence sequence{state, 0, count, offset + first};
    RunSteps(tail, steps.size(), {&sequence, 1}, w);
  }

  // Those of the last of the T tokens that RunStream has just run.
  void LastLogits(int64_t T, State* state, ProgramWorkspace* w, float* logits) const {
    Prepare(w, 1);
    const int64_t last = (T - 1) % piece;
    RunTail(T - 1 - last, last, 1, state, w);
    std::copy_n(w->logits_.as<float>(), graph.vocab_rows, logits);
  }

  // Runs steps [first, last) on sequences whose inputs are in the workspace, row after row: one of
  // any length, or several of one token.
  void RunSteps(size_t first, size_t last, std::span<const Sequence> sequences,
                ProgramWorkspace* w) const {
    Frame frame{};
    frame.sequences = sequences;
    frame.T = sequences.size() == 1 ? sequences[0].T : std::ssize(sequences);
    frame.decode = frame.T == std::ssize(sequences);
    frame.values = w->values_.data();
    frame.logits = w->logits_.as<float>();
    frame.scratch = &w->scratch_;
    frame.pool = w->pool_;
    const std::span<const Step> range = std::span(steps).subspan(first, last - first);
    if (w->observer_ == nullptr) return RunInOrder(range, frame);
    for (size_t s = first; s < last; ++s) {
      const auto start = std::chrono::steady_clock::now();
      RunInOrder({&steps[s], 1}, frame);
      const std::chrono::nanoseconds taken = std::chrono::steady_clock::now() - start;
      w->observer_(s, frame.T, taken.count());
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
  LoweringContext context{impl.graph, weights,    impl.plan,           uses,
                          options,    impl.piece, &impl.scratch_bytes, &impl.arena};
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
    kernels.push_back({s.site, s.decode_kernel, s.prefill_kernel, s.node, s.encoding});
  }
  return kernels;
}

Status Program::RunLayer(int layer, std::vector<float>* residual, State* state,
                         ProgramWorkspace* w) const {
  const Impl& impl = *impl_;
  impl.Prepare(w, 0);
  const int64_t width = StreamWidth(impl.graph);
  const auto [begin, end] = impl.graph.LayerRange(layer);
  const ValueId input = begin - 1;
  const auto [first, last] = impl.layer_steps[static_cast<size_t>(layer)];
  const int64_t T = static_cast<int64_t>(residual->size()) / width;
  for (int64_t t = 0; t < T; t += impl.piece) {
    const int64_t rows = std::min(impl.piece, T - t);
    float* stream = residual->data() + t * width;
    std::copy_n(stream, rows * width, impl.Rows(w, input));
    const Sequence sequence{state, 0, rows, t};
    impl.RunSteps(first, last, {&sequence, 1}, w);
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

Status Program::RunEach(std::span<const TokenId> tokens, std::span<State* const> states,
                        ProgramWorkspace* w, std::span<float> logits) const {
  const Impl& impl = *impl_;
  const int64_t vocab = impl.graph.vocab_rows;
  if (tokens.size() != states.size() || std::ssize(logits) != std::ssize(tokens) * vocab) {
    return InvalidArgument(fmt::format("{} tokens for {} streams, and room for {} logits",
                                       tokens.size(), states.size(), logits.size()));
  }
  OCTET_TRY(CheckTokens(impl.graph, tokens));
  impl.Prepare(w, std::min(kMaxStreams, std::ssize(tokens)));
  const int64_t width = impl.graph.nodes[0].width;
  for (int64_t begin = 0; begin < std::ssize(tokens); begin += kMaxStreams) {
    const int64_t count = std::min(kMaxStreams, std::ssize(tokens) - begin);
    std::vector<Sequence> sequences;
    for (int64_t i = 0; i < count; ++i) {
      const auto stream = static_cast<size_t>(begin + i);
      sequences.push_back({states[stream], i, 1, 0});
      RowToF32(impl.table, tokens[stream], impl.Rows(w, 0) + i * width);
    }
    impl.RunSteps(0, impl.steps.size(), sequences, w);
    for (const Sequence& s : sequences) {
      s.state->Advance(1);
    }
    std::copy_n(w->logits_.as<float>(), count * vocab, logits.data() + begin * vocab);
  }
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
