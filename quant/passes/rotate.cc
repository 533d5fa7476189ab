#include <algorithm>

#include <fmt/format.h>

#include "kernels/hadamard_shape.h"
#include "quant/passes/passes.h"

namespace octet {
namespace {

// A matrix in double, for exact-enough products that are rounded once at the end.
struct Matrix {
  int64_t rows, cols;
  std::vector<double> values;

  explicit Matrix(const Weight& w) : rows(w.rows()), cols(w.columns()) {
    const std::vector<float> f = ToF32(w);
    values.assign(f.begin(), f.end());
  }
  void ScaleColumns(const std::vector<float>& factors) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        values[static_cast<size_t>(r * cols + c)] *=
            static_cast<double>(factors[static_cast<size_t>(c)]);
      }
    }
  }
  // this <- this H^T
  void RotateRows(const HadamardShape& h) { HadamardRowsF64(h, values.data(), rows); }
  // this <- H this
  void RotateColumns(const HadamardShape& h) {
    Transpose();
    RotateRows(h);
    Transpose();
  }
  void Transpose() {
    std::vector<double> t(values.size());
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c) {
        t[static_cast<size_t>(c * rows + r)] = values[static_cast<size_t>(r * cols + c)];
      }
    }
    values = std::move(t);
    std::swap(rows, cols);
  }
  Weight ToWeight() const {
    return MakeWeight(std::vector<float>(values.begin(), values.end()), {rows, cols});
  }
};

std::vector<float> Ones(int64_t n) {
  return std::vector<float>(static_cast<size_t>(n), 1.0f);
}

// Multiplies the columns of `matrix` by the norm weight `norm` and sets that to ones.
Status FoldNorm(const std::string& norm, WeightMap* weights, Matrix* matrix) {
  OCTET_ASSIGN(const Weight w, weights->Get(norm));
  matrix->ScaleColumns(ToF32(w));
  weights->Set(norm, MakeWeight(Ones(w.count()), {w.count()}));
  return {};
}

// out_proj <- out_proj [diag(gamma)] H_I^T, for an online Hadamard before it.
Status RotateOutProj(const std::string& mixer, const HadamardShape& hi, bool migrate_gamma,
                     WeightMap* weights) {
  OCTET_ASSIGN(const Weight out_proj, weights->Get(mixer + "out_proj.weight"));
  Matrix out(out_proj);
  if (migrate_gamma && weights->Find(mixer + "norm.weight") != nullptr) {  // Mamba has no such norm
    OCTET_TRY(FoldNorm(mixer + "norm.weight", weights, &out));
  }
  out.RotateRows(hi);
  weights->Set(mixer + "out_proj.weight", out.ToWeight());
  return {};
}

// What of a block reads or writes the residual stream.
Status RotateBlock(const std::string& block, const HadamardShape& hd, WeightMap* weights) {
  const std::string mixer = block + "mixer.";
  OCTET_ASSIGN(const Weight in_proj, weights->Get(mixer + "in_proj.weight"));
  Matrix in(in_proj);
  OCTET_TRY(FoldNorm(block + "norm.weight", weights, &in));
  in.RotateRows(hd);
  weights->Set(mixer + "in_proj.weight", in.ToWeight());

  OCTET_ASSIGN(const Weight out_proj, weights->Get(mixer + "out_proj.weight"));
  Matrix out(out_proj);
  out.RotateColumns(hd);
  weights->Set(mixer + "out_proj.weight", out.ToWeight());
  if (const Weight* bias = weights->Find(mixer + "out_proj.bias"); bias != nullptr) {
    Matrix b(*bias);
    b.Transpose();  // [D, 1] to one row
    b.RotateRows(hd);
    weights->Set(mixer + "out_proj.bias",
                 MakeWeight(std::vector<float>(b.values.begin(), b.values.end()), {bias->count()}));
  }
  return {};
}

Status RotateEnds(const HadamardShape& hd, QuantContext* c) {
  Node& logits = c->graph.nodes[static_cast<size_t>(c->graph.logits)];
  const Node& norm = c->graph.nodes[static_cast<size_t>(logits.in[0])];
  const std::string table = c->graph.nodes[0].weights[0];
  OCTET_ASSIGN(const Weight head, c->weights.Get(logits.weights[0]));
  Matrix rotated_head(head);
  OCTET_TRY(FoldNorm(norm.weights[0], &c->weights, &rotated_head));
  rotated_head.RotateRows(hd);
  OCTET_ASSIGN(const Weight embedding, c->weights.Get(table));
  Matrix rotated_table(embedding);
  rotated_table.RotateRows(hd);
  c->weights.Set(table, rotated_table.ToWeight());
  logits.weights[0] = "lm_head.weight";  // tied or not, the two matrices differ from now on
  c->weights.Set(logits.weights[0], rotated_head.ToWeight());
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
