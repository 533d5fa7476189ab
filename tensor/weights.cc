#include "tensor/weights.h"

#include <cassert>
#include <cstring>

#include "tensor/codecs/rows.h"

namespace octet {

int64_t Weight::count() const {
  int64_t n = 1;
  for (const int64_t d : shape) {
    n *= d;
  }
  return n;
}

int64_t Weight::data_bytes() const {
  return dtype == DType::kI4 ? rows() * BytesOf(dtype, columns()) : BytesOf(dtype, count());
}

int64_t Weight::bytes() const {
  int64_t total = data_bytes();
  if (row_scale != nullptr) total += static_cast<int64_t>(row_scale->size()) * 4;
  if (group_scale != nullptr) total += static_cast<int64_t>(group_scale->size());
  return total;
}

Weight MakeWeight(std::vector<float> values, std::vector<int64_t> shape) {
  Weight w;
  w.shape = std::move(shape);
  assert(static_cast<int64_t>(values.size()) == w.count());
  auto owner = std::make_shared<std::vector<float>>(std::move(values));
  w.data = reinterpret_cast<const std::byte*>(owner->data());
  w.owner = owner;
  return w;
}

Weight MakeWeight(DType dtype, std::vector<std::byte> bytes, std::vector<int64_t> shape) {
  Weight w;
  w.dtype = dtype;
  w.shape = std::move(shape);
  auto owner = std::make_shared<std::vector<std::byte>>(std::move(bytes));
  w.data = owner->data();
  w.owner = owner;
  return w;
}

void RowToF32(const Weight& w, int64_t r, float* out) {
  const int64_t columns = w.columns();
  auto row = [&](auto* type) {
    using T = std::remove_pointer_t<decltype(type)>;
    return reinterpret_cast<const T*>(w.data) + r * columns;
  };
  const float scale = w.row_scale == nullptr
                          ? 1.0f
                          : (*w.row_scale)[w.row_scale->size() == 1 ? 0 : static_cast<size_t>(r)];
  switch (w.dtype) {
    case DType::kF32:
      std::memcpy(out, row(static_cast<float*>(nullptr)), static_cast<size_t>(columns) * 4);
      return;
    case DType::kF16:
      for (int64_t c = 0; c < columns; ++c) {
        out[c] = F16ToF32(row(static_cast<uint16_t*>(nullptr))[c]);
      }
      return;
    case DType::kBF16:
      for (int64_t c = 0; c < columns; ++c) {
        out[c] = BF16ToF32(row(static_cast<uint16_t*>(nullptr))[c]);
      }
      return;
    case DType::kI8:
      DecodeRowI8(row(static_cast<int8_t*>(nullptr)), scale, columns, out);
      return;
    case DType::kI4: {
      const auto* codes =
          reinterpret_cast<const uint8_t*>(w.data) + r * BytesOf(DType::kI4, columns);
      const int64_t groups = (columns + w.group - 1) / w.group;
      DecodeRowI4(codes, w.group_scale->data() + r * groups, w.group, scale, columns, out);
      return;
    }
    case DType::kU8:
    case DType::kI32:
    case DType::kI64:
      assert(false);  // not a weight type; io refuses them
  }
}

std::vector<float> ToF32(const Weight& w) {
  std::vector<float> values(static_cast<size_t>(w.count()));
  const int64_t columns = w.columns();
  for (int64_t r = 0; r < w.rows() && columns > 0; ++r) {
    RowToF32(w, r, values.data() + r * columns);
  }
  return values;
}

const Weight* WeightMap::Find(std::string_view name) const {
  const auto it = weights_.find(name);
  return it == weights_.end() ? nullptr : &it->second;
}

Result<Weight> WeightMap::Get(std::string_view name) const {
  const Weight* w = Find(name);
  if (w == nullptr) return NotFound("tensor " + std::string(name) + " is missing");
  return *w;
}

void WeightMap::Erase(std::string_view name) {
  if (const auto it = weights_.find(name); it != weights_.end()) weights_.erase(it);
}

}  // namespace octet
