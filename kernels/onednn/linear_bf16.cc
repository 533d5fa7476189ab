#include <cstdint>
#include <map>
#include <tuple>
#include <utility>

#include <omp.h>
#include <dnnl.hpp>

#include "kernels/kernel.h"
#include "kernels/linear.h"
#include "tensor/dtype.h"

namespace octet {
namespace {

constexpr int64_t kFewTokens = 4;
constexpr size_t kMaxCached = 64;

// M, rows, K, y_stride.
using Key = std::tuple<int64_t, int64_t, int64_t, int64_t>;

struct Matmul {
  dnnl::memory::desc x, w, y;
  dnnl::matmul primitive;
};

dnnl::engine& Engine() {
  static dnnl::engine* engine = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

Matmul Create(const Key& key) {
  using Type = dnnl::memory::data_type;
  const auto [M, N, K, y_stride] = key;
  Matmul m;
  m.x = dnnl::memory::desc({M, K}, Type::bf16, {K, 1});
  m.w = dnnl::memory::desc({K, N}, Type::bf16, {1, K});
  m.y = dnnl::memory::desc({M, N}, Type::f32, {y_stride, 1});
  const dnnl::matmul::desc desc(m.x, m.w, m.y);
  m.primitive = dnnl::matmul(dnnl::matmul::primitive_desc(desc, Engine()));
  return m;
}

// Creating a primitive costs more than running a small one, so each thread keeps the shapes it has
// met. The OpenMP setting is per thread too: oneDNN would start a team inside each of our workers.
Matmul& Cached(const Key& key) {
  static thread_local std::map<Key, Matmul> cache;
  if (cache.empty()) omp_set_num_threads(1);
  auto found = cache.find(key);
  if (found == cache.end()) {
    if (cache.size() >= kMaxCached) cache.clear();
    found = cache.emplace(key, Create(key)).first;
  }
  return found->second;
}

void Run(const LinearArgs& a, const Workspace& w) {
  auto* x = static_cast<uint16_t*>(w.scratch);
  const auto* from = static_cast<const float*>(a.x);
  for (int64_t i = 0; i < a.M * a.K; ++i) {
    x[i] = F32ToBF16(from[i]);
  }
  const int64_t rows = a.n_end - a.n_begin;
  Matmul& m = Cached({a.M, rows, a.K, a.y_stride});
  // oneDNN takes void*, but only reads the weights.
  auto* weights = const_cast<uint16_t*>(static_cast<const uint16_t*>(a.w.data)) + a.n_begin * a.K;
  dnnl::stream stream(Engine());
  m.primitive.execute(stream, {{DNNL_ARG_SRC, dnnl::memory(m.x, Engine(), x)},
                               {DNNL_ARG_WEIGHTS, dnnl::memory(m.w, Engine(), weights)},
                               {DNNL_ARG_DST, dnnl::memory(m.y, Engine(), a.y + a.n_begin)}});
  stream.wait();
  for (int64_t t = 0; a.bias != nullptr && t < a.M; ++t) {
    float* y = a.y + t * a.y_stride;
    for (int64_t n = a.n_begin; n < a.n_end; ++n) {
      y[n] += a.bias[n];
    }
  }
}

bool HasBF16() {
  static const bool has = [] {
    const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
    return isa == dnnl::cpu_isa::avx512_core_bf16 || isa == dnnl::cpu_isa::avx512_core_amx;
  }();
  return has;
}

const char* WhyNot(const LinearArgs& a) {
  if (a.x_dtype != DType::kF32 || a.w.dtype != DType::kBF16) return "weights other than bf16";
  if (!a.bf16_compute) return "rounding x to bf16 is not allowed";
  if (a.M <= kFewTokens) return "at most 4 tokens: reading the weights once is the limit";
  if (!HasBF16()) return "the processor has no bf16 dot products that oneDNN uses";
  return nullptr;
}

int64_t ScratchBytes(const LinearArgs& a) {
  return a.M * a.K * static_cast<int64_t>(sizeof(uint16_t));
}

}  // namespace

extern const Kernel<LinearArgs> kLinearBf16Onednn = {
    "linear/onednn-bf16", Isa::kOneDnn, 30, Run, WhyNot, ScratchBytes};

}  // namespace octet
