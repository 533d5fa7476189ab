#include "train/s4d_init.h"

#include <cmath>
#include <numbers>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/rng.h"

namespace octet {
namespace {

using Floats = std::vector<float>;

class Init {
 public:
  explicit Init(uint64_t seed) : rng_(seed) {}

  Floats Uniform(int64_t count, double lo, double hi) {
    Floats v(static_cast<size_t>(count));
    for (float& e : v) {
      e = static_cast<float>(lo + rng_.Uniform() * (hi - lo));
    }
    return v;
  }
  // Box and Muller's transform.
  Floats Normal(int64_t count, double deviation) {
    Floats v(static_cast<size_t>(count));
    for (float& e : v) {
      const double radius = std::sqrt(-2 * std::log(1 - rng_.Uniform()));
      const double angle = 2 * std::numbers::pi * rng_.Uniform();
      e = static_cast<float>(deviation * radius * std::cos(angle));
    }
    return v;
  }
  void Linear(const std::string& name, int64_t outputs, int64_t inputs) {
    const double limit = 1 / std::sqrt(static_cast<double>(inputs));
    weights.Set(name + ".weight",
                MakeWeight(Uniform(outputs * inputs, -limit, limit), {outputs, inputs}));
    weights.Set(name + ".bias", MakeWeight(Uniform(outputs, -limit, limit), {outputs}));
  }

  WeightMap weights;

 private:
  Rng rng_;
};

void InitLayer(const S4dShape& s, int64_t i, Init* init) {
  const int64_t H = s.d_model, N = s.modes;
  const std::string layer = fmt::format("s4_layers.{}.", i), kernel = layer + "kernel.";
  Floats A_imag, ones;
  for (int64_t j = 0; j < H * N; ++j) {
    A_imag.push_back(static_cast<float>(std::numbers::pi * static_cast<double>(j % N)));
    ones.insert(ones.end(), {1, 0});
  }
  WeightMap& w = init->weights;
  w.Set(kernel + "log_dt", MakeWeight(init->Uniform(H, std::log(0.001), std::log(0.1)), {H}));
  const auto log_real = static_cast<float>(std::log(0.5));
  w.Set(kernel + "log_A_real", MakeWeight(Floats(A_imag.size(), log_real), {H, N}));
  w.Set(kernel + "A_imag", MakeWeight(std::move(A_imag), {H, N}));
  w.Set(kernel + "B", MakeWeight(std::move(ones), {H, N, 2}));
  w.Set(kernel + "C", MakeWeight(init->Normal(2 * H * N, std::sqrt(0.5)), {H, N, 2}));
  w.Set(layer + "D", MakeWeight(init->Normal(H, 1), {H}));
  init->Linear(layer + "output_linear.0", 2 * H, H);
  if (!s.norms) return;
  const auto width = static_cast<size_t>(H);
  w.Set(fmt::format("norms.{}.weight", i), MakeWeight(Floats(width, 1.0f), {H}));
  w.Set(fmt::format("norms.{}.bias", i), MakeWeight(Floats(width, 0.0f), {H}));
}

}  // namespace

WeightMap InitS4d(const S4dShape& shape, uint64_t seed) {
  Init init(seed);
  init.Linear("encoder", shape.d_model, shape.d_input);
  for (int64_t i = 0; i < shape.layers; ++i) {
    InitLayer(shape, i, &init);
  }
  init.Linear("decoder", shape.classes, shape.d_model);
  return std::move(init.weights);
}

}  // namespace octet
