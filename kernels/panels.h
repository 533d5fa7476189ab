// Weight codes in the order in which dot products over four columns read them.
//
// A panel holds 16 rows (outputs); columns are padded to a multiple of 64 with codes of zero
// weight, rows to whole panels likewise. In a panel:
//   kI8: for each 4 columns, 16 rows after another, the 4 codes of a row side by side, plus 128:
//        byte (k / 4 * 16 + row) * 4 + k % 4.
//   kI4: for each 8 columns, 16 rows after another, 4 bytes of a row: the low nibbles hold its
//   first
//        4 columns, the high nibbles the others (codes 0 .. 15, 8 is zero, as in rows).
// Codes are unsigned, since the dot products of x86 take one unsigned and one signed operand: a sum
// over x is too large by 128 (or 8) times the sum of x. Group multipliers follow the codes of all
// panels: for each panel, for each group, those of 16 rows (1 for padding).
#ifndef OCTET_KERNELS_PANELS_H_
#define OCTET_KERNELS_PANELS_H_

#include <cstdint>

#include "kernels/linear.h"

namespace octet {

inline constexpr int64_t kPanelRows = 16;
inline constexpr int64_t kPanelColumns = 64;  // columns come in multiples of this

// Sizes of an [N, K] matrix of kI8 or kI4 codes in panels.
struct PanelShape {
  DType dtype;
  int64_t N, K, group;                           // group: kI4
  int64_t panels, columns, panel_bytes, groups;  // of all: panels; of one: padded columns, bytes
  int64_t bytes;                                 // with the multipliers

  static PanelShape Of(DType dtype, int64_t N, int64_t K, int64_t group);
  int64_t multipliers_offset() const { return panels * panel_bytes; }
};

// Writes panels [begin, end) of `panels` [shape.bytes], and their multipliers, from a matrix in
// rows, kI8 or kI4: of rows [begin * kPanelRows, end * kPanelRows) where it has them.
void PackPanels(const PanelShape& shape, const WeightView& rows, int64_t begin, int64_t end,
                uint8_t* panels);

// Code k of row n, less its offset: in [-127, 127] (kI8) or [-8, 7] (kI4). For the reference
// kernels and tests.
int CodeInPanels(const PanelShape& shape, const uint8_t* panels, int64_t n, int64_t k);

}  // namespace octet
#endif  // OCTET_KERNELS_PANELS_H_
