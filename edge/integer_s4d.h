// An S4D classifier in which every number is an integer, and what a step of it computes: normative
// for edge/run.h and for the C of edge/c/, which give the same codes.
//
// After Gu et al. 2022 (S4D) and arXiv:2506.12480; all constants are folded beforehand
// (edge/lower.h). `>>` is an arithmetic shift, clamp(v, a, b) limits v, and f(v) of a Requant f is
// in edge/requant.h. A code q with zero point z stands for (q - z) * scale; no scale is needed
// here.
//
// Reset: every state, sum and the number of frames t are 0. A step takes a frame of `inputs` codes
// and changes the residual stream r [heads], int32 at one scale in the whole model:
//   r[h] = encoder(frame)[h]
// and then, layer by layer, for each head h
//   u  = clamp(u_zero + from_stream(r[h]), u_low, u_high) - u_zero
//   for each mode n, with re and im of the state and X = most_state:
//     re' = clamp((Ar re - Ai im + Br u 2^b_shift + R_re) >> k, -X, X)
//     im' = clamp((Ai re + Ar im + Bi u 2^b_shift + R_im) >> k, -X, X)
//   Y  = sum_n Cr re' - Ci im';  where y_shift > 0:  Y = (Y + 2^(y_shift - 1)) >> y_shift
//   s  = clamp(y_ssm_zero + from_sum(Y), y_ssm_low, y_ssm_high) - y_ssm_zero
//   (or Y without y_ssm_coded)
//   y  = clamp(y_zero + ((from_s(s) + from_u(u) + 2^7) >> 8), y_low, y_high)
//   g[h] = gelu[h or 0][y + levels / 2]
// and, when all heads have theirs, the gated linear unit with its two halves of z apart:
//   r[h] += (value(g)[h] * Sigmoid(gate(g)[h]) + 2^14) >> 15
// and r = Normalize(norm, r) in a layer that ends in a LayerNorm (edge/integer_norm.h). At the end
// of the step sum[h] += r[h], t += 1. The logits after a step, at one scale for all:
//   q[h] = clamp(mean_zero + mean(round(sum[h] / t)), mean_low, mean_high),  halves up
//   logits = decoder(q)
//
// R rounds: 2^(k-1), half up, or, dithered, 15 random bits times 2^(k-15), those of the simulation
// (kernels/s4dcode.h): of the word of 32 bits that mode n has after RowNoise noise(noise_key, t,
// h), t counted from 0, which is noise.bits + n * 0x9e3779b9, the low 15 bits for re, the next 15
// for im.
//
// Widths. Lowering proves, with exact integers, that no int32 and no int64 can overflow whatever
// the frames and however many they are; nothing is checked while frames run. Of the recurrence
// there are two forms: sums in int32 and, wide, in int64. A head has k fraction bits, 15 to 30, in
// A, and k - b_shift in B. Of the sums, 32 bits leave k about 22 for 8-bit states and 15 for 16-bit
// ones. Y is int32 if y_shift = 0, else int64.
//
// Of what A and B hold there are two forms as well. Packed, a mode takes 8 bytes: A, of which the
// real part is less 1 in heads that are near_one, is within 20 bits, and B is within 10 bits times
// a power of two, up to 2^15, of the mode's own. Plain, it takes 16: everything is an int32. A head
// whose poles are all close to 1 and to the unit circle is near_one, as that leaves more bits to
// their distance. edge/lower_modes.h says which form a layer has.
#ifndef OCTET_EDGE_INTEGER_S4D_H_
#define OCTET_EDGE_INTEGER_S4D_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "edge/integer_norm.h"
#include "edge/requant.h"
#include "tensor/codecs/affine.h"

namespace octet {

// out[i] = requant_i(bias[i] + sum_j w[i, j] x[j] - zero_i sum_j x[j]) for int8 codes x. The bias
// holds the zero point of x too. Vectors said to be [1 or rows] have one element for all rows.
struct IntegerLinear {
  int64_t rows = 0, columns = 0;
  bool packed = false;         // codes of 4 bits, two to a byte, the even column in the low half
  std::vector<int8_t> w;       // [rows, row_bytes()], the code itself or two of them
  std::vector<int32_t> zero;   // [1 or rows]
  std::vector<int32_t> bias;   // [rows]
  std::vector<Requant> scale;  // [1 or rows]

  int64_t row_bytes() const { return packed ? (columns + 1) / 2 : columns; }
  int32_t Code(int64_t row, int64_t column) const {
    const auto at = static_cast<size_t>(row * row_bytes() + (packed ? column / 2 : column));
    const int8_t byte = w[at];
    if (!packed) return byte;
    return column % 2 != 0 ? byte >> 4 : static_cast<int8_t>(byte * 16) >> 4;
  }
  friend bool operator==(const IntegerLinear&, const IntegerLinear&) = default;
};

// The limits of packed A, and of packed B before its power of two.
inline constexpr int32_t kMostPackedA = (1 << 19) - 1, kMostPackedB = (1 << 9) - 1;
inline constexpr int kMostPackedShift = 15;

struct IntegerHead {
  Requant from_stream;  // the stream -> codes of u
  Requant from_sum;     // Y -> codes of y_ssm; unused without y_ssm_coded
  Requant from_s;       // codes of y_ssm, or Y -> 1/256 of the codes of y
  Requant from_u;       // D u -> 1/256 of the codes of y
  int32_t u_zero = 0, y_ssm_zero = 0, y_zero = 0;  // 16 bits
  int8_t u_low = 0, u_high = 0, y_ssm_low = 0, y_ssm_high = 0, y_low = 0, y_high = 0;
  int k = 0;        // fraction bits of A; 15 to 30
  int b_shift = 0;  // B has so many less
  bool near_one = false;
  friend bool operator==(const IntegerHead&, const IntegerHead&) = default;
};

struct IntegerLayer {
  std::vector<IntegerHead> heads;
  int64_t modes = 0;
  int32_t most_state = 0;     // X: 2^(bits-1) - 1; states are int8 up to 127, else int16
  bool wide = false;          // sums of the recurrence in int64
  bool packed = false;        // A and B in 8 bytes for a mode
  std::string plain_because;  // why not, else
  int y_shift = 0;
  bool dithered = false;
  uint64_t noise_key = 0;
  std::vector<int32_t> A, B;  // [heads, modes, 2]: re, im
  std::vector<int16_t> C;     // [heads, modes, 2]
  bool y_ssm_coded = true;
  int64_t levels = 0;         // 2^bits of y
  std::vector<int8_t> gelu;   // [1 or heads, levels]: from the code of y to that of the next linear
  IntegerLinear value, gate;  // the two halves of z; value at the stream's scale, gate at 2^-12
  std::optional<IntegerNorm> norm;
  friend bool operator==(const IntegerLayer&, const IntegerLayer&) = default;
};

// Plain values; what made them keeps the proof that nothing overflows.
struct IntegerS4d {
  int64_t inputs = 0, heads = 0, classes = 0;
  IntegerLinear encoder;
  std::vector<IntegerLayer> layers;
  Requant mean;
  int32_t mean_zero = 0;
  int8_t mean_low = 0, mean_high = 0;
  IntegerLinear decoder;
  // For those who feed frames and read logits; the run itself needs neither. Any int8 is safe as a
  // code of a frame, also outside of frame.low to frame.high.
  AffineCode frame;
  double logit_scale = 0;  // of one unit of a logit
};

// Of all models: the fraction bits of `gate`, and sigmoid(i / 16) * 2^15 for i in 0 .. 256, the
// last ones cut off at 2^15 - 1.
inline constexpr int kGateBits = 12;
const std::vector<int16_t>& SigmoidTable();
// sigmoid(v * 2^-12) * 2^15, linear between the entries of the table: with a = min(|v|, 65535),
// i = a >> 8 and T the table, T[i] + (((T[i+1] - T[i]) (a & 255) + 128) >> 8), and 2^15 minus that
// for negative v. Within 3 units of the sigmoid.
int32_t Sigmoid(int32_t v);

// A sequence may have so many frames.
inline constexpr uint32_t kMaxFrames = 0xffffffffu;

}  // namespace octet
#endif  // OCTET_EDGE_INTEGER_S4D_H_
