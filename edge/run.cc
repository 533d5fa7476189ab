#include "edge/run.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "edge/sites.h"
#include "kernels/s4dcode.h"

namespace octet {
namespace {

template <class T>
const T& ElementOrOnly(const std::vector<T>& v, size_t i) {
  return v[v.size() == 1 ? 0 : i];
}

int32_t OutputOf(const IntegerLinear& m, size_t row, std::span<const int8_t> x, int32_t sum) {
  int32_t acc = m.bias[row] - ElementOrOnly(m.zero, row) * sum;
  for (size_t j = 0; j < x.size(); ++j) {
    acc += m.Code(static_cast<int64_t>(row), static_cast<int64_t>(j)) * x[j];
  }
  return static_cast<int32_t>(ElementOrOnly(m.scale, row)(acc));
}

int32_t SumOf(std::span<const int8_t> x) {
  int32_t sum = 0;
  for (const int8_t q : x) {
    sum += q;
  }
  return sum;
}

std::vector<int32_t> Multiply(const IntegerLinear& m, std::span<const int8_t> x) {
  std::vector<int32_t> out(static_cast<size_t>(m.rows));
  const int32_t sum = SumOf(x);
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = OutputOf(m, i, x, sum);
  }
  return out;
}

// 15 bits below a code for the real part and 15 above them for the imaginary one; `step` leads to
// the word of the next mode. Half a code where nothing is dithered.
struct Rounding {
  uint32_t word = 0x4000 | 0x4000 << 15, step = 0;
};

Rounding RoundingOf(const IntegerLayer& l, uint32_t t, size_t h) {
  if (!l.dithered) return {};
  const RowNoise noise(l.noise_key, t, static_cast<int64_t>(h));
  return {GoldenWord(noise, 0), GoldenWord(noise, 1) - GoldenWord(noise, 0)};
}

// clamp(v, low, high); counts in *cut where that changes v.
template <class T>
T Limit(T v, T low, T high, int64_t* cut) {
  const T limited = std::clamp(v, low, high);
  *cut += limited != v ? 1 : 0;
  return limited;
}

// Advances the modes of head `h`; Y, shifted. `Sum` is int32_t in narrow layers, so that a
// sanitizer sees a proof that was wrong.
template <class Sum>
int64_t StepState(const IntegerLayer& l, size_t h, int32_t u, Rounding r, int16_t* x,
                  int64_t* cut) {
  const auto N = static_cast<size_t>(l.modes);
  const int32_t *A = l.A.data() + h * 2 * N, *B = l.B.data() + h * 2 * N;
  const int16_t* C = l.C.data() + h * 2 * N;
  const int k = l.heads[h].k;
  const Sum input = static_cast<Sum>(u) * (Sum{1} << l.heads[h].b_shift);
  const Sum X = l.most_state;
  int64_t Y = 0;
  for (size_t i = 0; i < 2 * N; i += 2, r.word += r.step) {
    const Sum re = x[i], im = x[i + 1];
    const Sum R_re = static_cast<Sum>(r.word & 0x7fff) << (k - 15);
    const Sum R_im = static_cast<Sum>(r.word >> 15 & 0x7fff) << (k - 15);
    const Sum a_re = A[i] * re - A[i + 1] * im + B[i] * input + R_re;
    const Sum a_im = A[i + 1] * re + A[i] * im + B[i + 1] * input + R_im;
    x[i] = static_cast<int16_t>(Limit<Sum>(a_re >> k, -X, X, cut));
    x[i + 1] = static_cast<int16_t>(Limit<Sum>(a_im >> k, -X, X, cut));
    Y += int64_t{C[i]} * x[i] - int64_t{C[i + 1]} * x[i + 1];
  }
  return l.y_shift == 0 ? Y : (Y + (int64_t{1} << (l.y_shift - 1))) >> l.y_shift;
}

// Codes of y_ssm less their zero point, or Y.
int64_t OwnOutput(const IntegerLayer& l, const IntegerHead& head, int64_t Y, int64_t* cut) {
  if (!l.y_ssm_coded) return Y;
  return Limit<int64_t>(head.y_ssm_zero + head.from_sum(Y), head.y_ssm_low, head.y_ssm_high, cut) -
         head.y_ssm_zero;
}

int64_t CodeOfY(const IntegerHead& head, int64_t s, int32_t u, int64_t* cut) {
  const int64_t fine = head.from_s(s) + head.from_u(u);
  return Limit<int64_t>(head.y_zero + ((fine + 128) >> 8), head.y_low, head.y_high, cut);
}

}  // namespace

const std::vector<int16_t>& SigmoidTable() {
  static const std::vector<int16_t> table = [] {
    std::vector<int16_t> t;
    for (int i = 0; i <= 256; ++i) {
      const double sigmoid = 1 / (1 + std::exp(-i / 16.0));
      t.push_back(static_cast<int16_t>(std::min(std::nearbyint(sigmoid * 32768), 32767.0)));
    }
    return t;
  }();
  return table;
}

int32_t Sigmoid(int32_t v) {
  const std::vector<int16_t>& t = SigmoidTable();
  const int32_t a = static_cast<int32_t>(std::min<int64_t>(std::abs(int64_t{v}), 65535));
  const auto i = static_cast<size_t>(a >> 8);
  const int32_t s = t[i] + (((t[i + 1] - t[i]) * (a & 255) + 128) >> 8);
  return v < 0 ? 32768 - s : s;
}

IntegerRun::IntegerRun(const IntegerS4d& model) : model_(&model) {
  Reset();
}

void IntegerRun::Reset() {
  x_.clear();
  for (const IntegerLayer& l : model_->layers) {
    x_.emplace_back(l.A.size());
  }
  sum_.assign(static_cast<size_t>(model_->heads), 0);
  frames_ = 0;
}

void IntegerRun::RunLayer(size_t layer, std::vector<int32_t>* r, IntegerTrace::Layer* trace) {
  const IntegerLayer& l = model_->layers[layer];
  const size_t H = l.heads.size(), per_head = 2 * static_cast<size_t>(l.modes);
  const auto levels = static_cast<size_t>(l.levels);
  const bool own_tables = l.gelu.size() != levels;
  std::vector<int8_t> g(H);
  IntegerTrace::Layer unread;
  auto& cut = (trace != nullptr ? trace : &unread)->cut;
  for (size_t h = 0; h < H; ++h) {
    const IntegerHead& head = l.heads[h];
    const auto u = static_cast<int32_t>(
        Limit<int64_t>(head.u_zero + head.from_stream((*r)[h]), head.u_low, head.u_high, &cut.u) -
        head.u_zero);
    int16_t* x = x_[layer].data() + h * per_head;
    const Rounding rounding = RoundingOf(l, frames_, h);
    const int64_t Y = l.wide ? StepState<int64_t>(l, h, u, rounding, x, &cut.x)
                             : StepState<int32_t>(l, h, u, rounding, x, &cut.x);
    const int64_t s = OwnOutput(l, head, Y, &cut.y_ssm);
    const int64_t y = CodeOfY(head, s, u, &cut.y);
    g[h] = l.gelu[(own_tables ? h * levels : 0) + static_cast<size_t>(y + l.levels / 2)];
    if (trace == nullptr) continue;
    trace->u.push_back(u);
    trace->s.push_back(static_cast<int32_t>(s));
    trace->y.push_back(static_cast<int8_t>(y));
  }
  const int32_t sum = SumOf(g);
  for (size_t h = 0; h < H; ++h) {
    const int32_t value = OutputOf(l.value, h, g, sum), gate = OutputOf(l.gate, h, g, sum);
    (*r)[h] += static_cast<int32_t>((int64_t{value} * Sigmoid(gate) + (1 << 14)) >> 15);
    if (trace != nullptr) trace->gate.push_back(gate);
  }
  if (l.norm) Normalize(*l.norm, *r);
  if (trace == nullptr) return;
  trace->x = x_[layer];
  trace->g = g;
  trace->r = *r;
}

Status IntegerRun::Step(std::span<const int8_t> frame, IntegerTrace* trace) {
  if (std::ssize(frame) != model_->inputs) {
    return InvalidArgument(
        fmt::format("a frame of {} codes, the model takes {}", frame.size(), model_->inputs));
  }
  if (frames_ == kMaxFrames) return TooLarge("the sequence has too many frames; reset it");
  std::vector<int32_t> r = Multiply(model_->encoder, frame);
  if (trace != nullptr) *trace = {r, {}};
  for (size_t layer = 0; layer < model_->layers.size(); ++layer) {
    RunLayer(layer, &r, trace == nullptr ? nullptr : &trace->layers.emplace_back());
  }
  for (size_t h = 0; h < r.size(); ++h) {
    sum_[h] += r[h];
  }
  ++frames_;
  return {};
}

std::vector<int64_t> IntegerRun::Mean() const {
  std::vector<int64_t> means;
  for (const int64_t sum : sum_) {
    int64_t mean = 0;
    if (const int64_t t = frames_; t != 0) {
      mean = sum / t - (sum % t < 0 ? 1 : 0);
      mean += 2 * (sum - mean * t) >= t ? 1 : 0;
    }
    means.push_back(model_->mean_zero + model_->mean(mean));
  }
  return means;
}

std::vector<int32_t> IntegerRun::Read() const {
  std::vector<int8_t> q;
  for (const int64_t mean : Mean()) {
    q.push_back(
        static_cast<int8_t>(std::clamp<int64_t>(mean, model_->mean_low, model_->mean_high)));
  }
  return Multiply(model_->decoder, q);
}

std::vector<int8_t> FrameCodesOf(const IntegerS4d& model, std::span<const float> frames) {
  std::vector<int8_t> codes;
  for (const float v : frames) {
    codes.push_back(static_cast<int8_t>(CodeOf(model.frame, v)));
  }
  return codes;
}

Result<std::vector<float>> RunFrames(const IntegerS4d& model, std::span<const float> frames) {
  const auto width = static_cast<size_t>(model.inputs);
  if (frames.empty() || frames.size() % width != 0) {
    return InvalidArgument(
        fmt::format("{} values are no whole frames of {}", frames.size(), width));
  }
  const std::vector<int8_t> codes = FrameCodesOf(model, frames);
  IntegerRun run(model);
  for (size_t t = 0; t < codes.size(); t += width) {
    OCTET_TRY(run.Step(std::span(codes).subspan(t, width)));
  }
  std::vector<float> logits;
  for (const int32_t v : run.Read()) {
    logits.push_back(static_cast<float>(v * model.logit_scale));
  }
  return logits;
}

}  // namespace octet
