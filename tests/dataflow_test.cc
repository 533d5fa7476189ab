// Contracts: a quantized model computes the tables of the papers, written down here once more from
// the tables in double, with every rounding where the paper has it:
//  1. Quamba on Mamba-1 (methods_mamba 2.4): static scales at every edge, the scan in floats on
//     decoded values, a Hadamard transform of its gated output, an int8 state with one scale.
//  2. Quamba2 on Mamba-2 (2.5.5): a scale per segment of in_proj's output, per cluster of x and per
//     group of B and C, the SSD as the token recurrence, a state with scales per cluster and index.
// One block, from its input to its output, token by token. Rounding in double and in float may
// differ on a tie; what then moves is one code, so the outputs agree to a small part of their size,
// and a missing or misplaced rounding is seen by removing it.
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include <gtest/gtest.h>

#include "exec/program.h"
#include "exec/simulate.h"
#include "kernels/hadamard_shape.h"
#include "quant/recipe.h"
#include "tests/models.h"

namespace octet {
namespace {

using Row = std::vector<double>;

double Silu(double v) {
  return v / (1 + std::exp(-v));
}
double Softplus(double v) {
  return v > 20 ? v : std::log1p(std::exp(v));
}

// The model's numbers in double. A site without an encoding stays as it is.
class Block {
 public:
  Block(const QuantizedModel& q, int layer) : q_(q), layer_(layer) {}

  Row Tensor(const std::string& name) const {
    const std::vector<float> v =
        ToF32(*q_.weights.Find(fmt::format("backbone.layers.{}.{}", layer_, name)));
    return {v.begin(), v.end()};
  }
  // y = W x.
  Row Linear(const std::string& name, const Row& x) const {
    const Row w = Tensor(name);
    Row y(w.size() / x.size());
    for (size_t o = 0; o < y.size(); ++o) {
      for (size_t i = 0; i < x.size(); ++i) {
        y[o] += w[o * x.size() + i] * x[i];
      }
    }
    return y;
  }
  // decode(encode(x)) with the site's static int8 scales.
  Row Round(const std::string& site, Row x) const {
    const Encoding* e = q_.graph.FindEncoding(fmt::format("layers.{}.{}", layer_, site));
    if (e == nullptr || skip == site) return x;
    for (size_t c = 0; c < x.size(); ++c) {
      const double s = e->scales[c * e->scales.size() / x.size()];
      x[c] = s * std::clamp(std::nearbyint(x[c] / s), -127.0, 127.0);
    }
    return x;
  }
  Row RoundState(Row h, size_t rows) const {
    if (skip == "state") return h;
    const StateScales& scales = (*q_.graph.state_scales)[static_cast<size_t>(layer_)];
    const size_t N = h.size() / rows;
    for (size_t i = 0; i < h.size(); ++i) {
      const float* row = scales.Row(static_cast<int64_t>(i / N));
      const double s = row[scales.columns == 1 ? 0 : i % N];
      h[i] = s * std::clamp(std::nearbyint(h[i] / s), -127.0, 127.0);
    }
    return h;
  }
  Row Hadamard(const Row& x) const {
    const Node& n =
        q_.graph
            .nodes[static_cast<size_t>(q_.graph.FindSite(fmt::format("layers.{}.y_rot", layer_)))];
    Row y = x;
    HadamardRowsF64(*MakeHadamardShape(n.width, n.hadamard), y.data(), 1);
    return y;
  }
  std::string skip;  // a rounding to leave out

 private:
  const QuantizedModel& q_;
  int layer_;
};

Row RmsNorm(const Row& x, const Row& weight, size_t groups = 1) {
  Row y(x.size());
  const size_t width = x.size() / groups;
  for (size_t i = 0; i < x.size(); ++i) {
    double sum = 0;
    for (size_t j = i / width * width; j < (i / width + 1) * width; ++j) {
      sum += x[j] * x[j];
    }
    y[i] = x[i] / std::sqrt(sum / static_cast<double>(width) + 1e-5) * weight[i];
  }
  return y;
}

Row Part(const Row& x, size_t begin, size_t width) {
  const auto first = x.begin() + static_cast<std::ptrdiff_t>(begin);
  return {first, first + static_cast<std::ptrdiff_t>(width)};
}

// One step of the depthwise convolution and SiLU; `history` has the last rows, newest last.
Row ConvSilu(const Block& b, const std::vector<Row>& history) {
  const Row w = b.Tensor("mixer.conv1d.weight"), bias = b.Tensor("mixer.conv1d.bias");
  const size_t channels = bias.size(), taps = w.size() / channels;
  Row y = bias;
  for (size_t c = 0; c < channels; ++c) {
    for (size_t k = 0; k < taps && k < history.size(); ++k) {
      y[c] += w[c * taps + taps - 1 - k] * history[history.size() - 1 - k][c];
    }
    y[c] = Silu(y[c]);
  }
  return y;
}

struct Stream {
  std::vector<Row> history;
  Row h;
};

// Quamba, one token of a Mamba-1 block: what the block adds to the residual stream.
Row QuambaStep(const Block& b, const Mamba1Config& c, const Row& residual, Stream* s) {
  const auto I = static_cast<size_t>(c.d_inner), N = static_cast<size_t>(c.state_size);
  const auto R = static_cast<size_t>(c.dt_rank);
  const Row u = b.Round("u_norm", RmsNorm(residual, b.Tensor("norm.weight")));
  const Row xz = b.Round("xz", b.Linear("mixer.in_proj.weight", u));
  s->history.push_back(Part(xz, 0, I));
  const Row z = Part(xz, I, I);
  const Row x = b.Round("x", ConvSilu(b, s->history));
  const Row x_dbl = b.Round("x_dbl", b.Linear("mixer.x_proj.weight", x));
  const Row B = Part(x_dbl, R, N), C = Part(x_dbl, R + N, N);
  const Row dt_in = b.Round("dt_in", b.Linear("mixer.dt_proj.weight", Part(x_dbl, 0, R)));
  const Row bias = b.Tensor("mixer.dt_proj.bias"), A_log = b.Tensor("mixer.A_log");
  const Row D = b.Tensor("mixer.D");
  s->h.resize(I * N);
  Row y(I);
  for (size_t i = 0; i < I; ++i) {
    const double dt = Softplus(dt_in[i] + bias[i]);
    y[i] = D[i] * x[i];
    for (size_t n = 0; n < N; ++n) {
      double& h = s->h[i * N + n];
      h = std::exp(-std::exp(A_log[i * N + n]) * dt) * h + dt * B[n] * x[i];
      y[i] += C[n] * h;
    }
    y[i] *= Silu(z[i]);
  }
  s->h = b.RoundState(s->h, I);
  return b.Linear("mixer.out_proj.weight", b.Round("y_rot", b.Hadamard(y)));
}

// Quamba2, one token of a Mamba-2 block.
Row Quamba2Step(const Block& b, const Mamba2Config& c, const Row& residual, Stream* s) {
  const auto H = static_cast<size_t>(c.heads), P = static_cast<size_t>(c.head_dim);
  const auto N = static_cast<size_t>(c.state_size), G = static_cast<size_t>(c.groups);
  const size_t I = H * P;
  const Row u = b.Round("u_norm", RmsNorm(residual, b.Tensor("norm.weight")));
  const Row q = b.Linear("mixer.in_proj.weight", u);
  const Row z = b.Round("z", Part(q, 0, I));
  s->history.push_back(b.Round("xBC_in", Part(q, I, I + 2 * G * N)));
  const Row dt_in = b.Round("dt_in", Part(q, 2 * I + 2 * G * N, H));
  const Row xBC = ConvSilu(b, s->history);
  const Row x = b.Round("x", Part(xBC, 0, I)), B = b.Round("B", Part(xBC, I, G * N));
  const Row C = b.Round("C", Part(xBC, I + G * N, G * N));
  const Row bias = b.Tensor("mixer.dt_bias"), A_log = b.Tensor("mixer.A_log");
  const Row D = b.Tensor("mixer.D");
  s->h.resize(I * N);
  Row y(I);
  for (size_t i = 0; i < I; ++i) {
    const size_t head = i / P, g = head / (H / G);
    const double dt = Softplus(dt_in[head] + bias[head]);
    y[i] = D[head] * x[i];
    for (size_t n = 0; n < N; ++n) {
      double& h = s->h[i * N + n];
      h = std::exp(-std::exp(A_log[head]) * dt) * h + dt * x[i] * B[g * N + n];
      y[i] += C[g * N + n] * h;
    }
    y[i] *= Silu(z[i]);
  }
  s->h = b.RoundState(s->h, I);
  const Row y_norm = RmsNorm(y, b.Tensor("mixer.norm.weight"), G);
  return b.Linear("mixer.out_proj.weight", b.Round("y_rot", b.Hadamard(y_norm)));
}

using Step = std::function<Row(const Block&, const Row&, Stream*)>;

// Relative distance of the tables from the program, over decoded tokens of the first block.
double Distance(const QuantizedModel& q, const Step& step, const std::string& skip) {
  const auto program = *Program::LowerBlock(q.graph, q.weights, 0, {kReferenceOnly, false});
  const Interpreter interpreter(q.graph, q.weights, kReferenceOnly);
  ThreadPool pool(1);
  ProgramWorkspace workspace(&pool);
  State state(q.graph);
  Block block(q, 0);
  block.skip = skip;
  Stream stream;
  double error = 0, norm = 0;
  for (const TokenId id : RandomTokens(60, q.graph.vocab_rows, 4)) {
    std::vector<float> rows = *interpreter.Embed({&id, 1});
    const Row before(rows.begin(), rows.end());
    EXPECT_TRUE(program->RunLayer(0, &rows, &state, &workspace).ok());
    const Row want = step(block, before, &stream);
    for (size_t i = 0; i < want.size(); ++i) {
      const double got = static_cast<double>(rows[i]) - before[i];
      error += (got - want[i]) * (got - want[i]);
      norm += want[i] * want[i];
    }
  }
  return std::sqrt(error / norm);
}

QuantizedModel Make(const RandomModel& m, const char* recipe, const char* option) {
  TokenDataset data;
  for (uint64_t i = 0; i < 8; ++i) {
    data.documents.push_back(RandomTokens(90, m.graph.vocab_rows, 60 + i));
  }
  Json options = Json::MakeObject();
  const std::string text = option;
  if (!text.empty()) options.Set(text.substr(0, text.find('=')), text.substr(text.find('=') + 1));
  ThreadPool pool(1);
  const RecipeRun run = *PlanRecipeNamed(recipe, options, FamilyOf(m.graph));
  return *Quantize(run, m.graph, m.weights, data, Json(), &pool, {});
}

void ExpectTheTable(const QuantizedModel& q, const Step& step,
                    const std::vector<std::string>& roundings) {
  const double distance = Distance(q, step, "");
  EXPECT_LT(distance, 1e-3);
  for (const std::string& site : roundings) {
    EXPECT_GT(Distance(q, step, site), 2 * distance + 1e-4) << "the rounding of " << site;
  }
}

TEST(Quamba, IsThePapersTable) {
  const Mamba1Config c = SmallMamba1();
  const RandomModel m = MakeRandomModel(c, 7);
  for (const char* generation : {"generation=q1", "generation=head"}) {
    SCOPED_TRACE(generation);
    ExpectTheTable(Make(m, "quamba", generation),
                   [&](const Block& b, const Row& r, Stream* s) { return QuambaStep(b, c, r, s); },
                   {"u_norm", "xz", "x", "x_dbl", "dt_in", "y_rot", "state"});
  }
}

TEST(Quamba2, IsThePapersTable) {
  for (const int64_t groups : {1, 2}) {
    Mamba2Config c = SmallConfig(groups);
    c.heads = 8;
    const RandomModel m = MakeRandomModel(c, 7);
    ExpectTheTable(Make(m, "quamba2-w8a8", ""),
                   [&](const Block& b, const Row& r, Stream* s) { return Quamba2Step(b, c, r, s); },
                   {"u_norm", "z", "xBC_in", "dt_in", "x", "B", "C", "y_rot", "state"});
  }
}

}  // namespace
}  // namespace octet
