#include <algorithm>

#include <fmt/format.h>

#include "kernels/hadamard_shape.h"
#include "quant/passes/passes.h"

namespace octet {
namespace {

// Products are in double and rounded once at the end.

std::vector<float> Ones(int64_t n) {
  return std::vector<float>(static_cast<size_t>(n), 1.0f);
}

// w [diag(factors)] H^T; no factors: all are 1. A block of rows at a time is in double.
Weight RotateRows(const Weight& w, const std::vector<float>& factors, const HadamardShape& h) {
  constexpr int64_t kRows = 256;
  const int64_t rows = w.rows(), cols = w.columns();
  std::vector<float> rotated(static_cast<size_t>(rows * cols));
  std::vector<double> block;
  for (int64_t first = 0; first < rows; first += kRows) {
    const int64_t count = std::min(kRows, rows - first);
    float* out = rotated.data() + first * cols;
    for (int64_t r = 0; r < count; ++r) {
      RowToF32(w, first + r, out + r * cols);
    }
    block.assign(out, out + count * cols);
    for (int64_t i = 0; i < count * cols && !factors.empty(); ++i) {
      block[static_cast<size_t>(i)] *= static_cast<double>(factors[static_cast<size_t>(i % cols)]);
    }
    HadamardRowsF64(h, block.data(), count);
    std::ranges::transform(block, out, [](double v) { return static_cast<float>(v); });
  }
  return MakeWeight(std::move(rotated), {rows, cols});
}

std::vector<double> Transpose(const std::vector<double>& m, int64_t rows, int64_t cols) {
  std::vector<double> t(m.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) {
      t[static_cast<size_t>(c * rows + r)] = m[static_cast<size_t>(r * cols + c)];
    }
  }
  return t;
}

// H w
Weight RotateColumns(const Weight& w, const HadamardShape& h) {
  const std::vector<float> values = ToF32(w);
  std::vector<double> m =
      Transpose(std::vector<double>(values.begin(), values.end()), w.rows(), w.columns());
  HadamardRowsF64(h, m.data(), w.columns());
  m = Transpose(m, w.columns(), w.rows());
  return MakeWeight(std::vector<float>(m.begin(), m.end()), {w.rows(), w.columns()});
}

// The values of the norm weight `norm`, which becomes ones.
Result<std::vector<float>> TakeNorm(const std::string& norm, WeightMap* weights) {
  OCTET_ASSIGN(const Weight w, weights->Get(norm));
  weights->Set(norm, MakeWeight(Ones(w.count()), {w.count()}));
  return ToF32(w);
}

// out_proj <- out_proj [diag(gamma)] H_I^T, for an online Hadamard before it.
Status RotateOutProj(const std::string& mixer, const HadamardShape& hi, bool migrate_gamma,
                     WeightMap* weights) {
  OCTET_ASSIGN(const Weight out_proj, weights->Get(mixer + "out_proj.weight"));
  std::vector<float> gamma;
  if (migrate_gamma && weights->Find(mixer + "norm.weight") != nullptr) {  // Mamba has no such norm
    OCTET_ASSIGN(gamma, TakeNorm(mixer + "norm.weight", weights));
  }
  weights->Set(mixer + "out_proj.weight", RotateRows(out_proj, gamma, hi));
  return {};
}

// What of a block reads or writes the residual stream.
Status RotateBlock(const std::string& block, const HadamardShape& hd, WeightMap* weights) {
  const std::string mixer = block + "mixer.";
  OCTET_ASSIGN(const Weight in_proj, weights->Get(mixer + "in_proj.weight"));
  OCTET_ASSIGN(const std::vector<float> gamma, TakeNorm(block + "norm.weight", weights));
  weights->Set(mixer + "in_proj.weight", RotateRows(in_proj, gamma, hd));

  OCTET_ASSIGN(const Weight out_proj, weights->Get(mixer + "out_proj.weight"));
  weights->Set(mixer + "out_proj.weight", RotateColumns(out_proj, hd));
  if (const Weight* bias = weights->Find(mixer + "out_proj.bias"); bias != nullptr) {
    Weight row = *bias;
    row.shape = {1, bias->count()};
    Weight rotated = RotateRows(row, {}, hd);
    rotated.shape = {bias->count()};
    weights->Set(mixer + "out_proj.bias", std::move(rotated));
  }
  return {};
}

Status RotateEnds(const HadamardShape& hd, QuantContext* c) {
  Node& logits = c->graph.nodes[static_cast<size_t>(c->graph.logits)];
  const Node& norm = c->graph.nodes[static_cast<size_t>(logits.in[0])];
  const std::string table = c->graph.nodes[0].weights[0];
  OCTET_ASSIGN(const Weight head, c->weights.Get(logits.weights[0]));
  OCTET_ASSIGN(const Weight embedding, c->weights.Get(table));
  OCTET_ASSIGN(const std::vector<float> gamma, TakeNorm(norm.weights[0], &c->weights));
  c->weights.Set(table, RotateRows(embedding, {}, hd));
  logits.weights[0] = "lm_head.weight";  // tied or not, the two matrices differ from now on
  c->weights.Set(logits.weights[0], RotateRows(head, gamma, hd));
  return {};
}

}  // namespace

Pass RotateResidual(const std::string& hadamard) {
  const auto shape = [hadamard](const Graph& graph) {
    return MakeHadamardShape(graph.nodes[0].width, hadamard);
  };
  return {"rotate the residual stream",
          [shape](QuantContext& c) -> Status {
            OCTET_ASSIGN(const HadamardShape hd, shape(c.graph));
            return RotateEnds(hd, &c);
          },
          [shape](QuantContext& c, int layer) -> Status {
            OCTET_ASSIGN(const HadamardShape hd, shape(c.graph));
            return RotateBlock(fmt::format("backbone.layers.{}.", layer), hd, &c.weights);
          }};
}

Pass RotateOutput(const std::string& hadamard, bool migrate_gamma) {
  const auto rotate = [=](QuantContext& c, int layer) -> Status {
    const ValueId out = c.graph.FindSite(fmt::format("layers.{}.out", layer));
    if (out < 0) return Unsupported("rotation needs blocks with a site out");
    const ValueId in = c.graph.nodes[static_cast<size_t>(out)].in[0];
    OCTET_ASSIGN(const HadamardShape hi,
                 MakeHadamardShape(c.graph.nodes[static_cast<size_t>(in)].width, hadamard));
    OCTET_TRY(RotateOutProj(fmt::format("backbone.layers.{}.mixer.", layer), hi, migrate_gamma,
                            &c.weights));
    InsertHadamard(&c.graph, out, HadamardId(hi));
    return {};
  };
  return {"rotate the inputs of out_proj", nullptr, rotate};
}

}  // namespace octet
