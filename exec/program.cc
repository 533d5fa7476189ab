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
  size_t tail = 0;                                     // first step after the last layer

  void Prepare(ProgramWorkspace* w, Buffer* values, Buffer* logits, std::vector<Buffer>* scratch,
               bool with_logits) const {
    const int threads = w->pool().threads();
    if (values->bytes() < plan.bytes) *values = Buffer(plan.bytes);
    const int64_t head = kHeadRows * graph.vocab_rows * 4;
    if (with_logits && logits->bytes() < head) *logits = Buffer(head);
    while (static_cast<int>(scratch->size()) < threads ||
           scratch->front().bytes() < scratch_bytes) {
      scratch->clear();
      for (int i = 0; i < threads; ++i) {
        scratch->emplace_back(scratch_bytes);
      }
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
  OCTET_TRY(Verify(graph));
  std::unique_ptr<Program> program(new Program());
  Impl& impl = *program->impl_;
  impl.graph = graph;
  impl.table = *weights.Find(graph.nodes[0].weights[0]);
  const int64_t chunk = ChunkSize(graph);
  impl.piece = CeilDiv(256, chunk) * chunk;
  impl.plan = PlanValues(graph, CodedValues(graph, weights), impl.piece);
  LoweringContext context{impl.graph, weights, impl.plan, options, &impl.scratch_bytes};
  impl.layer_steps.resize(static_cast<size_t>(graph.layers));
  for (size_t v = 1; v < graph.nodes.size(); ++v) {
    const Node& n = graph.nodes[v];
    const size_t before = impl.steps.size();
    OCTET_TRY(LowerNode(static_cast<ValueId>(v), &context, &impl.steps));
    if (n.layer < 0) continue;
    auto& range = impl.layer_steps[static_cast<size_t>(n.layer)];
    if (range.second == 0) range.first = before;
    range.second = impl.steps.size();
    impl.tail = impl.steps.size();
  }
  return program;
}

std::string Program::Explain() const {
  std::string text;
  for (const Step& s : impl_->steps) {
    text += fmt::format("{:<28} {:<20} {}\n", s.site, s.decode_kernel, s.prefill_kernel);
  }
  return text;
}

namespace {

Frame MakeFrame(int64_t T, State* state, Buffer* values, Buffer* logits,
                std::vector<Buffer>* scratch, ThreadPool* pool) {
  Frame f{};
  f.T = T;
  f.state = state;
  f.values = values->data();
  f.logits = logits->as<float>();
  f.scratch = scratch;
  f.pool = pool;
  return f;
}

}  // namespace

Status Program::RunLayer(int layer, std::vector<float>* residual, State* state,
                         ProgramWorkspace* w) const {
  const Impl& impl = *impl_;
  impl.Prepare(w, &w->values_, &w->logits_, &w->scratch_, false);
  const int64_t width = impl.graph.nodes[0].width;
  const auto [begin, end] = impl.graph.LayerRange(layer);
  const ValueId input = layer == 0 ? 0 : begin - 1;
  const auto [first, last] = impl.layer_steps[static_cast<size_t>(layer)];
  const int64_t T = static_cast<int64_t>(residual->size()) / width;
  for (int64_t t = 0; t < T; t += impl.piece) {
    const int64_t rows = std::min(impl.piece, T - t);
    const size_t bytes = static_cast<size_t>(rows * width * 4);
    float* stream = residual->data() + t * width;
    std::memcpy(w->values_.data() + impl.plan.places[static_cast<size_t>(input)].floats, stream,
                bytes);
    const Frame frame = MakeFrame(rows, state, &w->values_, &w->logits_, &w->scratch_, w->pool_);
    for (size_t s = first; s < last; ++s) {
      impl.steps[s].run(frame);
    }
    std::memcpy(stream, w->values_.data() + impl.plan.places[static_cast<size_t>(end - 1)].floats,
                bytes);
  }
  return {};
}

Status Program::Run(std::span<const TokenId> tokens, State* state, ProgramWorkspace* w,
                    const LogitsSink& sink) const {
  const Impl& impl = *impl_;
  if (tokens.empty()) return InvalidArgument("there are no tokens to run");
  for (const TokenId id : tokens) {
    if (id < 0 || id >= impl.graph.vocab_rows) {
      return InvalidArgument(
          fmt::format("token {} is outside the vocabulary of {} rows", id, impl.graph.vocab_rows));
    }
  }
  impl.Prepare(w, &w->values_, &w->logits_, &w->scratch_, sink != nullptr);
  const int64_t width = impl.graph.nodes[0].width;
  const int64_t T = static_cast<int64_t>(tokens.size());
  const ValueId last_residual =
      impl.graph.layers == 0 ? 0 : impl.graph.LayerRange(impl.graph.layers - 1).second - 1;
  for (int64_t t = 0; t < T; t += impl.piece) {
    const int64_t rows = std::min(impl.piece, T - t);
    auto* embedded = reinterpret_cast<float*>(w->values_.data() + impl.plan.places[0].floats);
    for (int64_t i = 0; i < rows; ++i) {
      RowToF32(impl.table, tokens[static_cast<size_t>(t + i)], embedded + i * width);
    }
    Frame frame = MakeFrame(rows, state, &w->values_, &w->logits_, &w->scratch_, w->pool_);
    for (size_t s = 0; s < impl.tail; ++s) {
      impl.steps[s].run(frame);
    }
    if (sink == nullptr) continue;
    // The tail reads its tokens from row 0 on, so each group of rows is moved there.
    auto* stream = reinterpret_cast<float*>(
        w->values_.data() + impl.plan.places[static_cast<size_t>(last_residual)].floats);
    for (int64_t r = 0; r < rows; r += kHeadRows) {
      frame.T = std::min(kHeadRows, rows - r);
      std::memmove(stream, stream + r * width, static_cast<size_t>(frame.T * width * 4));
      for (size_t s = impl.tail; s < impl.steps.size(); ++s) {
        impl.steps[s].run(frame);
      }
      sink(t + r, frame.T, frame.logits);
    }
  }
  state->Advance(T);
  return {};
}

Status Program::RunForLast(std::span<const TokenId> tokens, State* state, ProgramWorkspace* w,
                           std::span<float> last_logits) const {
  const Impl& impl = *impl_;
  OCTET_TRY(Run(tokens, state, w, nullptr));
  impl.Prepare(w, &w->values_, &w->logits_, &w->scratch_, true);
  const ValueId last_residual =
      impl.graph.layers == 0 ? 0 : impl.graph.LayerRange(impl.graph.layers - 1).second - 1;
  const int64_t width = impl.graph.nodes[0].width;
  const int64_t rows = (static_cast<int64_t>(tokens.size()) - 1) % impl.piece;  // index of the last
  auto* stream = reinterpret_cast<float*>(
      w->values_.data() + impl.plan.places[static_cast<size_t>(last_residual)].floats);
  std::memmove(stream, stream + rows * width, static_cast<size_t>(width * 4));
  const Frame frame = MakeFrame(1, state, &w->values_, &w->logits_, &w->scratch_, w->pool_);
  for (size_t s = impl.tail; s < impl.steps.size(); ++s) {
    impl.steps[s].run(frame);
  }
  std::copy_n(frame.logits, impl.graph.vocab_rows, last_logits.data());
  return {};
}

}  // namespace octet
