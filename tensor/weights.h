// The weights of a model by name, mapped from a file or owned.
#ifndef OCTET_TENSOR_WEIGHTS_H_
#define OCTET_TENSOR_WEIGHTS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "tensor/dtype.h"

namespace octet {

// One tensor, row-major, immutable. Copies share the bytes.
struct Weight {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  const std::byte* data = nullptr;    // data_bytes() bytes; kI4 pads each row to whole bytes
  std::shared_ptr<const void> owner;  // keeps `data` alive: a file mapping or a buffer
  // `data` lies in a mapped file, which can be read again: see ForgetPages (base/file.h).
  bool mapped = false;
  // Set for kI8 and kI4, see kernels/linear.h: [1] or [rows]; 12 significant bits each.
  std::shared_ptr<const std::vector<float>> row_scale;
  // Set for kI4: [rows, ceil(columns / group)], 1..127.
  std::shared_ptr<const std::vector<uint8_t>> group_scale;
  int64_t group = 0;

  int64_t count() const;
  int64_t rows() const { return shape.empty() ? 1 : shape[0]; }
  int64_t columns() const { return rows() == 0 ? 0 : count() / rows(); }
  bool quantized() const { return dtype == DType::kI8 || dtype == DType::kI4; }
  // Bytes of data without scales.
  int64_t data_bytes() const;
  // Bytes of data and scales together, as stored.
  int64_t bytes() const;
};

// An owned fp32 tensor; values.size() must equal the product of `shape`.
Weight MakeWeight(std::vector<float> values, std::vector<int64_t> shape);
// An owned tensor of any dtype from raw bytes.
Weight MakeWeight(DType dtype, std::vector<std::byte> bytes, std::vector<int64_t> shape);

// All values as fp32: widened, or decoded when quantized. Exact.
std::vector<float> ToF32(const Weight& w);
// Row `r` of a matrix as fp32 into out[columns()].
void RowToF32(const Weight& w, int64_t r, float* out);

// Tensors by canonical name (transformers' names; `backbone.embeddings.weight`, ...).
class WeightMap {
 public:
  const Weight* Find(std::string_view name) const;
  // The tensor, or kNotFound naming it.
  Result<Weight> Get(std::string_view name) const;
  void Set(std::string name, Weight w) { weights_.insert_or_assign(std::move(name), std::move(w)); }
  void Erase(std::string_view name);
  const std::map<std::string, Weight, std::less<>>& all() const { return weights_; }

 private:
  std::map<std::string, Weight, std::less<>> weights_;
};

}  // namespace octet
#endif  // OCTET_TENSOR_WEIGHTS_H_
