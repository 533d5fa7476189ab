// Second moments of a Linear's inputs, which say how much an error in each weight costs.
#ifndef OCTET_QUANT_HESSIAN_H_
#define OCTET_QUANT_HESSIAN_H_

#include <cstdint>
#include <vector>

#include "base/parallel.h"
#include "base/status.h"

namespace octet {

// The Hessian H = (2 / n) sum x x^T [K, K] of the squared output error of a Linear, over n inputs x
// [K] (methods_mamba 2.6; Frantar et al. 2022, GPTQ).
//
// Memory: 4 K^2 bytes (105 MB for K = 5120, 1 GiB for K = 16384) and 1 KiB * K for pending rows;
// Matrix() makes another 4 K^2. Work: K^2 multiply-adds per row.
// Sums are fp32, in an order that depends on the rows alone: how they are cut into calls of Add,
// and the number of threads, change no bit.
class Hessian {
 public:
  static constexpr int64_t kMaxColumns = 16384;

  // kInvalidArgument unless 1 <= columns <= kMaxColumns.
  static Result<Hessian> Create(int64_t columns);

  // Adds `rows` inputs x [rows, columns]. Callers with several documents add them in document
  // order.
  void Add(const float* x, int64_t rows, ThreadPool* pool);

  int64_t columns() const { return columns_; }
  int64_t rows() const { return rows_; }

  // H [columns, columns], symmetric to the bit. kInvalidArgument when no row was added, kCorrupt
  // when some input was NaN or infinite, or too large for its square.
  Result<std::vector<float>> Matrix(ThreadPool* pool) const;

 private:
  explicit Hessian(int64_t columns);
  // sums += the pending rows' products; only tiles on and below the diagonal.
  void AddPending(std::vector<float>* sums, ThreadPool* pool) const;

  int64_t columns_ = 0, rows_ = 0;
  std::vector<float> sums_;     // [columns, columns], defined on and below the diagonal tiles
  std::vector<float> pending_;  // rows not in sums_ yet, fewer than 256
};

}  // namespace octet
#endif  // OCTET_QUANT_HESSIAN_H_
