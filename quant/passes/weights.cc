#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "base/checked.h"
#include "quant/passes/passes.h"
#include "tensor/codecs/uniform.h"

namespace octet {
namespace {

float AbsMax(const float* v, int64_t n) {
  float peak = 0;
  for (int64_t i = 0; i < n; ++i) {
    peak = std::max(peak, std::fabs(v[i]));
  }
  return peak;
}

Weight Int8Weight(const Weight& w, bool per_row) {
  const std::vector<float> values = ToF32(w);
  const int64_t rows = per_row ? w.rows() : 1;
  const int64_t columns = w.count() / rows;
  std::vector<std::byte> codes(values.size());
  auto scales = std::make_shared<std::vector<float>>();
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = values.data() + r * columns;
    const float scale = ScaleForAbsMax(AbsMax(row, columns));
    scales->push_back(scale);
    for (int64_t c = 0; c < columns; ++c) {
      codes[static_cast<size_t>(r * columns + c)] =
          static_cast<std::byte>(QuantizeI8(row[c], 1.0f / scale));
    }
  }
  Weight q = MakeWeight(DType::kI8, std::move(codes), w.shape);
  q.row_scale = std::move(scales);
  return q;
}

float Int4Code(float value, float inverse_step) {
  return std::clamp(std::nearbyintf(value * inverse_step) + 8.0f, 0.0f, 15.0f);
}

double SquaredError(const float* values, int64_t n, float step) {
  const float inverse = 1.0f / step;
  double error = 0;
  for (int64_t i = 0; i < n; ++i) {
    const float e = (Int4Code(values[i], inverse) - 8.0f) * step - values[i];
    error += static_cast<double>(e * e);
  }
  return error;
}

// Bounds of the search for a group's step, relative to 2 max|w| / 15.
constexpr float kLeastStep = 0.7f, kLargestStep = 1.1f;

// The multiplier in the search range with the smallest squared error; ties go to the smaller one.
uint8_t BestMultiplier(const float* values, int64_t n, float base, float nearest) {
  const int first = static_cast<int>(std::max(1.0f, std::ceil(kLeastStep * nearest)));
  const int last = static_cast<int>(std::min(127.0f, std::ceil(kLargestStep * nearest)));
  int best = first;
  double least = SquaredError(values, n, base * static_cast<float>(first));
  for (int m = first + 1; m <= last; ++m) {
    const double error = SquaredError(values, n, base * static_cast<float>(m));
    if (error < least) {
      least = error;
      best = m;
    }
  }
  return static_cast<uint8_t>(best);
}

// Scales of one row: a base scale, and an integer multiplier for each group.
float RowGrid(const float* row, int64_t columns, Int4Step rule, int64_t group,
              uint8_t* multipliers) {
  const int64_t groups = CeilDiv(columns, group);
  const auto length = [&](int64_t g) { return std::min(group, columns - g * group); };
  std::vector<float> steps(static_cast<size_t>(groups));
  for (int64_t g = 0; g < groups; ++g) {
    steps[static_cast<size_t>(g)] = 2.0f * AbsMax(row + g * group, length(g)) / 15.0f;
  }
  const float headroom = rule == Int4Step::kLeastSquares ? kLargestStep : 1.0f;
  const float largest = *std::ranges::max_element(steps) * headroom;
  const float base = largest > 0 ? RoundScale(largest / 127.0f) : 1.0f;
  for (int64_t g = 0; g < groups; ++g) {
    const float nearest = std::nearbyintf(steps[static_cast<size_t>(g)] / base);
    multipliers[g] = rule == Int4Step::kLeastSquares
                         ? BestMultiplier(row + g * group, length(g), base, nearest)
                         : static_cast<uint8_t>(std::clamp(nearest, 1.0f, 127.0f));
  }
  return base;
}

Weight Int4Weight(const Weight& w, int64_t group, Int4Step rule, ThreadPool* pool) {
  const std::vector<float> values = ToF32(w);
  const int64_t rows = w.rows(), columns = w.columns();
  const int64_t groups = CeilDiv(columns, group), row_bytes = BytesOf(DType::kI4, columns);
  // Unused high nibbles of odd rows hold the zero code.
  std::vector<std::byte> codes(static_cast<size_t>(rows * row_bytes), std::byte{0x88});
  auto scales = std::make_shared<std::vector<float>>(static_cast<size_t>(rows));
  auto multipliers = std::make_shared<std::vector<uint8_t>>(static_cast<size_t>(rows * groups));
  pool->For(rows, [&](int64_t r, int) {
    const float* row = values.data() + r * columns;
    uint8_t* m = multipliers->data() + r * groups;
    const float base = RowGrid(row, columns, rule, group, m);
    (*scales)[static_cast<size_t>(r)] = base;
    for (int64_t c = 0; c < columns; ++c) {
      const int64_t g = c / group;
      const float step = base * static_cast<float>(m[g]);
      const auto nibble = static_cast<std::byte>(Int4Code(row[c], 1.0f / step));
      std::byte& byte = codes[static_cast<size_t>(r * row_bytes + c / 2)];
      byte =
          c % 2 == 0 ? (byte & std::byte{0xf0}) | nibble : (byte & std::byte{0x0f}) | (nibble << 4);
    }
  });
  Weight q = MakeWeight(DType::kI4, std::move(codes), w.shape);
  q.row_scale = std::move(scales);
  q.group_scale = std::move(multipliers);
  q.group = group;
  return q;
}

// Replaces the weight of every Linear of a block by quantize(weight).
template <class Quantize>
Status ForEachLinear(QuantContext& c, const Quantize& quantize) {
  for (const Node& n : c.graph.nodes) {
    if (n.op != Op::kLinear || n.layer < 0) continue;
    OCTET_ASSIGN(const Weight w, c.weights.Get(n.weights[0]));
    if (w.quantized()) return InvalidArgument("tensor " + n.weights[0] + " is quantized already");
    c.weights.Set(n.weights[0], quantize(w));
    if (c.progress) c.progress("quantizing weights", n.layer + 1, c.graph.layers);
  }
  return {};
}

}  // namespace

Pass QuantizeLinearsInt8(bool per_row) {
  return {"int8 weights", [per_row](QuantContext& c) {
            return ForEachLinear(c, [&](const Weight& w) { return Int8Weight(w, per_row); });
          }};
}

Pass QuantizeLinearsInt4Rtn(int64_t group, Int4Step rule) {
  return {"int4 weights", [group, rule](QuantContext& c) -> Status {
            if (group % 32 != 0) return InvalidArgument("option group must be a multiple of 32");
            return ForEachLinear(c, [&](const Weight& w) {
              // The integer dot product is exact for up to 64 groups; wider rows get wider groups.
              const int64_t width = group * CeilDiv(CeilDiv(w.columns(), group), 64);
              return Int4Weight(w, width, rule, &c.pool);
            });
          }};
}

Pass QuantizeVectorsInt8(const std::vector<std::string>& names) {
  return {"int8 vectors", [names](QuantContext& c) -> Status {
            for (int layer = 0; layer < c.graph.layers; ++layer) {
              for (const std::string& name : names) {
                const std::string full = fmt::format("backbone.layers.{}.{}", layer, name);
                if (const Weight* w = c.weights.Find(full); w != nullptr) {
                  c.weights.Set(full, Int8Weight(*w, false));
                }
              }
            }
            return {};
          }};
}

Pass StoreEmbeddingsF16() {
  return {"fp16 embeddings", [](QuantContext& c) -> Status {
            const Node& logits = c.graph.nodes[static_cast<size_t>(c.graph.logits)];
            for (const std::string& name : {c.graph.nodes[0].weights[0], logits.weights[0]}) {
              OCTET_ASSIGN(const Weight w, c.weights.Get(name));
              if (w.dtype != DType::kF32) continue;  // 16 bits already
              const std::vector<float> values = ToF32(w);
              if (AbsMax(values.data(), w.count()) > 65504.0f) continue;
              std::vector<std::byte> bytes(values.size() * 2);
              for (size_t i = 0; i < values.size(); ++i) {
                const uint16_t half = F32ToF16(values[i]);
                std::memcpy(bytes.data() + 2 * i, &half, 2);
              }
              c.weights.Set(name, MakeWeight(DType::kF16, std::move(bytes), w.shape));
            }
            return {};
          }};
}

}  // namespace octet
