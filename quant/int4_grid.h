// The 4-bit weight format, filled row by row: rounding to nearest and GPTQ share it.
#ifndef OCTET_QUANT_INT4_GRID_H_
#define OCTET_QUANT_INT4_GRID_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/parallel.h"
#include "tensor/weights.h"

namespace octet {

// The step of a 4-bit group.
enum class Int4Step : uint8_t {
  kAbsMax,        // 2 max|w| / 15 (methods_mamba 2.6)
  kLeastSquares,  // the multiple of the row scale within 0.7 to 1.1 of that with the smallest error
};

// Columns per multiplier for rows of `columns`: `group`, or a multiple of it where the row would
// have more than the 64 groups for which the integer dot product is exact.
int64_t Int4GroupWidth(int64_t columns, int64_t group);

// Builds the codes of a matrix: value = (code - 8) * multiplier * base, with a base of 12 bits for
// each row and a multiplier 1..127 for each group of columns (tensor/weights.h, docs/numerics.md).
// A row's calls come in the order BeginRow, then for each group BeginGroup and its columns. Rows
// are independent: threads may fill different ones.
class Int4Builder {
 public:
  // `group`: a multiple of 32 (not checked here). `headroom` >= 1: how many times its first largest
  // step a row's grid can express, for callers whose groups change after BeginRow.
  Int4Builder(const std::vector<int64_t>& shape, int64_t group, Int4Step rule, float headroom);

  int64_t group() const { return group_; }
  // Chooses the base of row `r` from its values [columns].
  void BeginRow(int64_t r, const float* row);
  // Chooses the multiplier of the group that starts at column `c` from its values now.
  void BeginGroup(int64_t r, int64_t c, const float* values);
  // Stores the code of column `c` of the group begun last and returns what it decodes to.
  float Encode(int64_t r, int64_t c, float value);

  Weight Finish() &&;

 private:
  std::vector<int64_t> shape_;
  int64_t columns_, group_, groups_, row_bytes_;
  Int4Step rule_;
  float headroom_;
  std::vector<std::byte> codes_;
  std::vector<float> steps_, inverse_steps_;  // [rows], of the group begun last
  std::shared_ptr<std::vector<float>> bases_;
  std::shared_ptr<std::vector<uint8_t>> multipliers_;
};

// `w` by rounding to nearest, with groups of Int4GroupWidth(columns, group) columns.
Weight QuantizeInt4Rtn(const Weight& w, int64_t group, Int4Step rule, ThreadPool* pool);

}  // namespace octet
#endif  // OCTET_QUANT_INT4_GRID_H_
