#include "train/backprop.h"

#include <algorithm>
#include <cmath>
#include <complex>

#include <fmt/format.h>

#include "exec/s4d_discretize.h"
#include "train/s4d_chain.h"

namespace octet {
namespace {

using Complex = std::complex<double>;

Status CheckNode(const Node& n) {
  switch (n.op) {
    case Op::kFrames:
    case Op::kLinear:
    case Op::kGelu:
    case Op::kGlu:
    case Op::kAdd:
    case Op::kLayerNorm:
    case Op::kMean:
    case Op::kS4d:
      return {};
    default:
      return Unsupported(fmt::format("{}: {} cannot be trained", n.site, OpName(n.op)));
  }
}

// Gradient of the loss with respect to logits, and the loss.
template <class Real>
double LossGradient(std::span<const Real> logits, const Target& target, std::vector<Real>* out) {
  const auto softmax = [](auto values, double temperature, std::vector<double>* p) {
    const double top = static_cast<double>(*std::ranges::max_element(values)) / temperature;
    double total = 0;
    for (const auto v : values) {
      p->push_back(std::exp(static_cast<double>(v) / temperature - top));
      total += p->back();
    }
    for (double& e : *p) {
      e /= total;
    }
    return std::log(total) + top;  // of the sum of exponentials
  };
  std::vector<double> p;
  const double hard = target.teacher.empty() ? 1 : 1 - target.share;
  double loss = hard * (softmax(logits, 1, &p) - static_cast<double>(logits[target.label]));
  for (size_t c = 0; c < out->size(); ++c) {
    (*out)[c] = static_cast<Real>(hard * (p[c] - (c == target.label ? 1 : 0)));
  }
  if (target.teacher.empty()) return loss;
  std::vector<double> student, teacher;
  const double T = target.temperature;
  const double student_sum = softmax(logits, T, &student),
               teacher_sum = softmax(target.teacher, T, &teacher);
  for (size_t c = 0; c < out->size(); ++c) {
    const double difference = (static_cast<double>(target.teacher[c]) / T - teacher_sum) -
                              (static_cast<double>(logits[c]) / T - student_sum);
    loss += target.share * T * T * teacher[c] * difference;
    (*out)[c] += static_cast<Real>(target.share * T * (student[c] - teacher[c]));
  }
  return loss;
}

// Pole, input weight and step of mode i of an S4d, from its parameters in Real.
struct Mode {
  Complex a, b;
  double dt;
};
template <class Real>
Mode ModeOf(const Node& n, const Real* log_dt, const Real* A_re, const Real* A_im, const Real* B,
            int64_t i) {
  return {{RealPartOf(n.s4d.real_part, static_cast<double>(A_re[i])), static_cast<double>(A_im[i])},
          B == nullptr ? Complex(1)
                       : Complex(static_cast<double>(B[2 * i]), static_cast<double>(B[2 * i + 1])),
          std::exp(static_cast<double>(log_dt[i / n.s4d.modes]))};
}

}  // namespace

template <class Real>
Result<Backprop<Real>> Backprop<Real>::Create(const Graph& graph, const ParameterLayout& layout,
                                              const S4dQuantization* quantization) {
  Backprop b(graph);
  if (quantization != nullptr) {
    OCTET_ASSIGN(b.quant_, FakeQuant<Real>::Create(graph, *quantization));
  }
  b.sum_size_ = layout.size();
  int means = 0;
  for (const Node& n : graph.nodes) {
    OCTET_TRY(CheckNode(n));
    Step s;
    for (const std::string& name : n.weights) {
      s.weights.push_back(layout.Begin(name));
    }
    means += n.op == Op::kMean;
    s.pooled = means > 0;
    if (n.op == Op::kS4d) {
      s.discrete = b.sum_size_;
      const int64_t values = 2 * n.width * n.s4d.modes;
      b.sum_size_ += 3 * values;
      for (std::vector<Real>* v : {&s.planes.A, &s.planes.B, &s.planes.C}) {
        v->resize(static_cast<size_t>(values));
      }
    }
    b.steps_.push_back(std::move(s));
  }
  if (means != 1 || graph.nodes[0].op != Op::kFrames) {
    return Unsupported("only classifiers of the mean over a sequence of frames can be trained");
  }
  return b;
}

template <class Real>
Status Backprop<Real>::SetParameters(std::span<const Real> parameters) {
  parameters_.assign(parameters.begin(), parameters.end());
  for (size_t id = 0; id < steps_.size(); ++id) {
    const Node& n = graph_.nodes[id];
    if (n.op == Op::kS4d) OCTET_TRY(DiscretizeNode(n, &steps_[id]));
    if (quant_) RoundWeights(n, &steps_[id]);
  }
  return {};
}

template <class Real>
void Backprop<Real>::RoundWeights(const Node& n, Step* s) const {
  if (n.op == Op::kS4d) quant_->RoundCoefficients(n, &s->planes);
  if (n.op != Op::kLinear) return;
  const int64_t columns = graph_.nodes[static_cast<size_t>(n.in[0])].width;
  s->matrix.assign(Weight(*s, 0), Weight(*s, 0) + n.width * columns);
  quant_->RoundMatrix(n, columns, &s->matrix);
}

template <class Real>
Status Backprop<Real>::DiscretizeNode(const Node& n, Step* s) const {
  const int64_t N = n.s4d.modes;
  const auto complex = [&](size_t role, int64_t i) {
    const Real* w = Weight(*s, role);
    return Complex(static_cast<double>(w[2 * i]), static_cast<double>(w[2 * i + 1]));
  };
  s->planes.D.assign(Weight(*s, 5), Weight(*s, 5) + n.width);
  for (int64_t i = 0; i < n.width * N; ++i) {
    DiscreteMode d;
    if (n.s4d.discretization == Discretization::kNone) {
      d = {complex(1, i), complex(3, i)};
    } else {
      const Mode m = ModeOf(n, Weight(*s, 0), Weight(*s, 1), Weight(*s, 2), Weight(*s, 3), i);
      d = DiscretizeMode(n.s4d.discretization, m.a, m.b, m.dt);
    }
    const auto re = static_cast<size_t>(i / N * 2 * N + i % N), im = re + static_cast<size_t>(N);
    bool finite = true;
    const auto put = [&](std::vector<Real>* v, Complex value) {
      (*v)[re] = static_cast<Real>(value.real());
      (*v)[im] = static_cast<Real>(value.imag());
      finite = finite && std::isfinite((*v)[re]) && std::isfinite((*v)[im]);
    };
    put(&s->planes.A, d.A);
    put(&s->planes.B, d.B);
    put(&s->planes.C, 2.0 * complex(4, i));
    if (!finite) {
      return InvalidArgument(
          fmt::format("{}: head {}, mode {} has no finite discrete form", n.site, i / N, i % N));
    }
  }
  return {};
}

template <class Real>
void Backprop<Real>::Forward(std::span<const Real> frames, Workspace* ws) const {
  const int64_t T = std::ssize(frames) / graph_.nodes[0].width;
  ws->values.resize(steps_.size());
  ws->held.resize(steps_.size());
  ws->layers.resize(steps_.size());
  for (size_t id = 0; id < steps_.size(); ++id) {
    const int64_t rows = steps_[id].pooled ? 1 : T;
    ws->values[id].resize(static_cast<size_t>(rows * graph_.nodes[id].width));
    if (id == 0) {
      std::ranges::copy(frames, ws->values[0].begin());
    } else {
      ForwardNode(id, T, ws);
    }
    if (quant_) quant_->RoundResult(graph_.nodes[id], &ws->values[id], &ws->held[id]);
  }
  ws->logits = ws->values[static_cast<size_t>(graph_.logits)];
}

template <class Real>
void Backprop<Real>::ForwardNode(size_t id, int64_t T, Workspace* ws) const {
  using Ops = TrainOps<Real>;
  const Node& n = graph_.nodes[id];
  const Step& s = steps_[id];
  const int64_t rows = s.pooled ? 1 : T, C = n.width;
  const Real* x = ws->values[Input(id, 0)].data();
  Real* y = ws->values[id].data();
  switch (n.op) {
    case Op::kLinear: {
      const int64_t K = graph_.nodes[Input(id, 0)].width;
      return Ops::Linear(rows, C, K, x, Matrix(s), Weight(s, 1), y, &ws->scratch);
    }
    case Op::kS4d:
      if (quant_) {
        return quant_->S4d(n, s.planes, ws->values[Input(id, 0)], &ws->values[id], &ws->held[id],
                           &ws->layers[id], &ws->scratch);
      }
      return Ops::S4d(T, C, n.s4d.modes, x, s.planes.A.data(), s.planes.B.data(), s.planes.C.data(),
                      s.planes.D.data(), y, &ws->scratch);
    case Op::kGelu:
      return Ops::Gelu(rows * C, GeluOf(n), x, y);
    case Op::kGlu:
      return Ops::Glu(rows, C, x, y);
    case Op::kAdd: {
      const Real* b = ws->values[Input(id, 1)].data();
      std::transform(x, x + rows * C, b, y, std::plus<Real>());
      return;
    }
    case Op::kLayerNorm:
      return Ops::LayerNorm(rows, C, x, Weight(s, 0), Weight(s, 1), n.eps, y);
    case Op::kMean:
      std::fill_n(y, C, Real{0});
      for (int64_t t = 0; t < T; ++t) {
        for (int64_t c = 0; c < C; ++c) {
          y[c] += x[t * C + c];
        }
      }
      for (int64_t c = 0; c < C; ++c) {
        y[c] /= static_cast<Real>(T);
      }
      return;
    default:
      return;
  }
}

template <class Real>
double Backprop<Real>::Backward(const Target& target, Workspace* ws, std::span<Real> sum) const {
  ws->gradients.resize(steps_.size());
  for (size_t id = 0; id < steps_.size(); ++id) {
    ws->gradients[id].assign(ws->values[id].size(), Real{0});
  }
  const double loss =
      LossGradient<Real>(ws->logits, target, &ws->gradients[static_cast<size_t>(graph_.logits)]);
  const int64_t T = std::ssize(ws->values[0]) / graph_.nodes[0].width;
  for (size_t id = steps_.size() - 1; id > 0; --id) {
    Mask(ws->held[id], &ws->gradients[id]);
    BackwardNode(id, T, ws, sum.data());
  }
  return loss;
}

template <class Real>
void Backprop<Real>::BackwardNode(size_t id, int64_t T, Workspace* ws, Real* sum) const {
  using Ops = TrainOps<Real>;
  const Node& n = graph_.nodes[id];
  const Step& s = steps_[id];
  const int64_t rows = s.pooled ? 1 : T, C = n.width;
  const Real* x = ws->values[Input(id, 0)].data();
  const Real* dy = ws->gradients[id].data();
  Real* dx = ws->gradients[Input(id, 0)].data();
  const auto weight_sum = [&](size_t i) { return s.weights[i] < 0 ? nullptr : sum + s.weights[i]; };
  switch (n.op) {
    case Op::kLinear: {
      const int64_t K = graph_.nodes[Input(id, 0)].width;
      const bool of_data = Input(id, 0) == 0;
      return Ops::LinearGradient(
          {rows, C, K, x, Matrix(s), dy, of_data ? nullptr : dx, weight_sum(0), weight_sum(1)});
    }
    case Op::kS4d: {
      const S4dPlanes<Real>& p = s.planes;
      Real *dA = sum + s.discrete, *dB = dA + p.A.size(), *dC = dB + p.B.size();
      if (quant_) {
        return quant_->S4dGradient(n, p, ws->gradients[id], ws->layers[id],
                                   &ws->gradients[Input(id, 0)], dA, dB, dC, weight_sum(5),
                                   &ws->scratch);
      }
      return Ops::S4dGradient({T, C, n.s4d.modes, x, dy, p.A.data(), p.B.data(), p.C.data(),
                               p.D.data(), dx, dA, dB, dC, weight_sum(5)},
                              &ws->scratch);
    }
    case Op::kGelu:
      return Ops::GeluGradient({rows * C, GeluOf(n), x, dy, dx});
    case Op::kGlu:
      return Ops::GluGradient({rows, C, x, dy, dx});
    case Op::kAdd:
      for (const size_t i : {size_t{0}, size_t{1}}) {
        Real* to = ws->gradients[Input(id, i)].data();
        std::transform(dy, dy + rows * C, to, to, std::plus<Real>());
      }
      return;
    case Op::kLayerNorm:
      return LayerNormGradient(rows, C, x, Weight(s, 0), n.eps, dy, dx, weight_sum(0),
                               weight_sum(1));
    case Op::kMean:
      for (int64_t t = 0; t < T; ++t) {
        for (int64_t c = 0; c < C; ++c) {
          dx[t * C + c] += dy[c] / static_cast<Real>(T);
        }
      }
      return;
    default:
      return;
  }
}

template <class Real>
std::vector<double> Backprop<Real>::Chain(std::span<const Real> sum) const {
  std::vector<double> gradient(sum.begin(), sum.begin() + std::ssize(parameters_));
  for (size_t id = 0; id < steps_.size(); ++id) {
    if (graph_.nodes[id].op == Op::kS4d) ChainNode(graph_.nodes[id], steps_[id], sum, &gradient);
  }
  return gradient;
}

template <class Real>
void Backprop<Real>::ChainNode(const Node& n, const Step& s, std::span<const Real> sum,
                               std::vector<double>* gradient) const {
  const int64_t N = n.s4d.modes, values = 2 * n.width * N;
  const auto at = [&](size_t weight, int64_t i) -> double& {
    return (*gradient)[static_cast<size_t>(s.weights[weight] + i)];
  };
  for (int64_t i = 0; i < n.width * N; ++i) {
    const auto discrete = [&](int64_t which) {
      const auto re = static_cast<size_t>(s.discrete + which * values + i / N * 2 * N + i % N);
      return Complex(static_cast<double>(sum[re]),
                     static_cast<double>(sum[re + static_cast<size_t>(N)]));
    };
    const auto add = [&](size_t weight, Complex d) {
      at(weight, 2 * i) += d.real();
      at(weight, 2 * i + 1) += d.imag();
    };
    add(4, 2.0 * discrete(2));
    if (n.s4d.discretization == Discretization::kNone) {
      add(1, discrete(0));
      add(3, discrete(1));
      continue;
    }
    const Mode m = ModeOf(n, Weight(s, 0), Weight(s, 1), Weight(s, 2), Weight(s, 3), i);
    const ModeGradient g =
        ChainMode(n.s4d.discretization, m.a, m.b, m.dt, discrete(0), discrete(1));
    at(0, i / N) += m.dt * g.dt;
    at(1, i) -= RealPartSlope(n.s4d.real_part, static_cast<double>(Weight(s, 1)[i])) * g.a.real();
    at(2, i) += g.a.imag();
    if (s.weights[3] >= 0) add(3, g.b);
  }
}

template class Backprop<float>;
template class Backprop<double>;

}  // namespace octet
