/* Runs S4D classifiers of sequences in integers: C99, no heap, no state of its own, no floats.
 *
 * Shared by all exported models; edge/integer_s4d.h of Octet states what a step computes. A model
 * file holds a const ssm_model and a context of fixed size, and wraps the functions below; call
 * those of the model file. Functions may run on different contexts at the same time. Nothing is
 * checked while frames run: the exporter has proved that no integer overflows, whatever the frames.
 *
 * Needs: two's complement and arithmetic right shifts of negative integers (asserted at compile
 * time), int64_t. The order of bytes does not matter. */
#ifndef SSM_RT_H
#define SSM_RT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes with the structures or the arithmetic below. */
enum { SSM_ABI = 3 };

/* out[i] = requant(bias[i] + sum_j w[i][j] x[j] - zero[i] sum_j x[j], m[i], shift[i]). Packed codes
 * have 4 bits, the even column in the low half of a byte; rows begin at whole bytes. */
typedef struct {
  const int8_t* w;
  const int32_t* bias; /* [rows] */
  const int16_t* zero; /* [rows], or [1] for all of them; m and shift alike */
  const int32_t* m;
  const int8_t* shift;
  uint16_t rows, columns;
  uint8_t packed;
  uint8_t by_row; /* zero, m and shift have an element for each row */
} ssm_linear;

/* What a head multiplies by; requant(v, m, shift) is v m 2^(shift - 31), rounded once. */
enum { SSM_FROM_STREAM, SSM_FROM_SUM, SSM_FROM_S, SSM_FROM_U, SSM_FACTORS };
typedef struct {
  int32_t m[SSM_FACTORS];
  int8_t shift[SSM_FACTORS];
  int16_t u_zero, y_ssm_zero, y_zero;
  int8_t u_low, u_high, y_ssm_low, y_ssm_high, y_low, y_high;
  uint8_t k, b_shift; /* fraction bits of A, and how many fewer those of B are */
  uint16_t near_one;  /* 1: the real parts of packed A are less 1 */
} ssm_head;

/* A real or an imaginary part of A and of B. B is times 2^(4 s + t) with the shift s of the real
 * part of a mode and t of the imaginary one. */
typedef struct {
  signed int A : 20;
  signed int B : 10;
  unsigned int shift : 2;
} ssm_packed;
typedef char ssm_packed_size[sizeof(ssm_packed) == 4 ? 1 : -1];

/* A LayerNorm over the heads: requant(v, m[h], shift[h]) and bias[h]; the mean is requant(sum >>
 * sum_shift, mean_m, mean_shift). */
typedef struct {
  const int32_t* bias; /* [heads]; m and shift alike */
  const int32_t* m;
  const int8_t* shift;
  int64_t eps;
  int32_t mean_m;
  int8_t mean_shift;
  uint8_t sum_shift;
} ssm_norm;
/* r [heads] normalized in place. */
typedef void ssm_normalizer(const ssm_norm* norm, size_t heads, int32_t* r);

typedef struct ssm_layer ssm_layer;
/* Advances the modes of a head by the input u and returns Y; states: re and im in turn. The low 15
   bits of `word` round re, the next 15 im; the next mode's word is 0x9e3779b9 further. Not dithered
   layers do not read it. */
typedef int32_t ssm_advance(const ssm_layer* layer, size_t head, int32_t u, uint32_t word,
                            void* states);
struct ssm_layer {
  ssm_advance* advance;
  const ssm_head* heads;
  const ssm_packed* packed; /* [heads][modes][2], re and im; A, B and C alike */
  const int32_t* A;         /* A and B: NULL where packed has them */
  const int32_t* B;
  const int16_t* C;
  const int8_t* gelu; /* [levels], or [heads][levels] with own_gelu */
  ssm_linear value, gate;
  ssm_normalizer* normalize; /* NULL: no norm */
  const ssm_norm* norm;
  uint64_t noise_key;
  uint32_t state; /* the layer's first element in ssm_state.x16 or .x8 */
  uint16_t modes, levels;
  int16_t most_state;
  uint8_t y_shift, dithered, y_ssm_coded, own_gelu;
  uint8_t bytes; /* of one part of a state, 1 or 2 */
};
/* A linker that drops unused functions keeps it where a model has norms. */
ssm_normalizer ssm_normalize;

/* C99 leaves right shifts of negative integers to the compiler: the only place that relies on them.
 * Left shifts are of non-negative integers alone. */
#define SSM_SHIFT(v, n) ((v) >> (n))
typedef char ssm_shift_is_arithmetic[SSM_SHIFT(-5, 1) == -3 ? 1 : -1];
typedef char ssm_long_shift_is_arithmetic[SSM_SHIFT(INT64_C(-5), 1) == -3 ? 1 : -1];

/* Where the A and B of a head lie, and of the mode at `i`: A, and B times the input. */
#define SSM_PACKED_OF_HEAD(Sum)                   \
  const ssm_packed* P = l->packed + head * count; \
  const int32_t one = (int32_t)p->near_one << p->k;
#define SSM_PACKED_OF_MODE(Sum)                                          \
  const Sum Ar = P[i].A + one, Ai = P[i + 1].A;                          \
  const Sum in = input * ((Sum)1 << (4u * P[i].shift + P[i + 1].shift)); \
  const Sum Bur = P[i].B * in, Bui = P[i + 1].B * in;
#define SSM_PLAIN_OF_HEAD(Sum)            \
  const int32_t* A = l->A + head * count; \
  const int32_t* B = l->B + head * count;
#define SSM_PLAIN_OF_MODE(Sum)        \
  const Sum Ar = A[i], Ai = A[i + 1]; \
  const Sum Bur = B[i] * input, Bui = B[i + 1] * input;

/* Defines an ssm_advance; Cell: of a state, Sum: of the recurrence, Out: of Y; form: SSM_PACKED or
 * SSM_PLAIN; dithered: 0 or 1. A model file defines those of its own layers, so that nothing is
 * left to a linker to drop. */
#define SSM_DEFINE_ADVANCE(name, Cell, Sum, Out, form, dithered)                                 \
  static int32_t name(const ssm_layer* l, size_t head, int32_t u, uint32_t word, void* states) { \
    const ssm_head* p = &l->heads[head];                                                         \
    const size_t count = 2u * (size_t)l->modes;                                                  \
    form##_OF_HEAD(Sum) const int16_t* C = l->C + head * count;                                  \
    Cell* x = (Cell*)states;                                                                     \
    const Sum input = (Sum)u * ((Sum)1 << p->b_shift);                                           \
    const Sum most = l->most_state;                                                              \
    const int k = p->k, up = k - 15;                                                             \
    int32_t round_re = 0x4000 << up, round_im = 0x4000 << up;                                    \
    Out Y = 0;                                                                                   \
    size_t i;                                                                                    \
    (void)word;                                                                                  \
    for (i = 0; i < count; i += 2) {                                                             \
      form##_OF_MODE(Sum) const Sum re = x[i], im = x[i + 1];                                    \
      Sum a, b;                                                                                  \
      if (dithered) {                                                                            \
        round_re = (int32_t)(word & 0x7fffu) << up;                                              \
        round_im = (int32_t)(word >> 15 & 0x7fffu) << up;                                        \
        word += 0x9e3779b9u;                                                                     \
      }                                                                                          \
      a = SSM_SHIFT(Ar * re - Ai * im + Bur + round_re, k);                                      \
      b = SSM_SHIFT(Ai * re + Ar * im + Bui + round_im, k);                                      \
      a = a < -most ? -most : a > most ? most : a;                                               \
      b = b < -most ? -most : b > most ? most : b;                                               \
      x[i] = (Cell)a;                                                                            \
      x[i + 1] = (Cell)b;                                                                        \
      Y += (Out)C[i] * x[i] - (Out)C[i + 1] * x[i + 1];                                          \
    }                                                                                            \
    if (l->y_shift != 0) Y = SSM_SHIFT(Y + (Out)((Out)1 << (l->y_shift - 1)), l->y_shift);       \
    return (int32_t)Y;                                                                           \
  }

typedef struct {
  ssm_linear encoder, decoder;
  const ssm_layer* layers;
  uint16_t layer_count, inputs, heads, classes;
  int32_t mean_m;
  int16_t mean_zero;
  int8_t mean_shift, mean_low, mean_high;
} ssm_model;

/* Where a context lies. All zero: no frame yet. */
typedef struct {
  int64_t* sum; /* [heads] */
  uint32_t* frames;
  int16_t* x16;
  int8_t* x8;
} ssm_state;

/* Takes in a frame of model->inputs codes. Scratch: r [heads], g [heads]. `checks`, unless NULL,
 * gets layer_count + 1 check sums: of r after the encoder, and of states, g and r after each layer.
 * 0; or 1, having done nothing, after 2^32 - 1 frames. */
int ssm_step(const ssm_model* model, const ssm_state* state, const int8_t* frame, int32_t* r,
             int8_t* g, uint32_t* checks);
/* logits [classes] after the frames so far. Scratch: g [heads]. */
void ssm_read(const ssm_model* model, const ssm_state* state, int8_t* g, int32_t* logits);

/* Test vectors: sequences, and what was computed at chosen frames of them. */
enum { SSM_CONSTANT, SSM_SWING, SSM_IMPULSE, SSM_RANDOM, SSM_GIVEN };
typedef struct {
  const int8_t* given; /* SSM_GIVEN: [frames][inputs] */
  uint32_t frames, seed;
  uint8_t kind;
  int8_t a, b; /* constant a; a and b, 16 frames each; a once and then b; from a to b */
} ssm_sequence;
typedef struct {
  uint32_t sequence, frame; /* compared after that many frames */
} ssm_point;
typedef struct {
  const ssm_sequence* sequences;
  const ssm_point* points; /* sorted */
  const uint32_t* checks;  /* [points][layer_count + 1] */
  const int32_t* logits;   /* [points][classes] */
  uint32_t sequence_count, point_count;
} ssm_golden;
typedef struct {
  uint32_t sequence, frame;
  uint32_t place; /* 0: the encoder, i: layer i - 1, layer_count + 1 + i: logit i */
  uint32_t expected, found;
} ssm_mismatch;
/* Runs the sequences on `state`, which it resets before each. Scratch: frame [inputs], r and g
 * [heads], checks [layer_count + 1], logits [classes]. 0, or 1 and the first mismatch. */
typedef struct {
  int8_t* frame;
  int32_t* r;
  int8_t* g;
  uint32_t* checks;
  int32_t* logits;
  void* context; /* what `state` points into */
  size_t context_bytes;
} ssm_test_memory;
int ssm_selftest(const ssm_model* model, const ssm_golden* golden, const ssm_state* state,
                 const ssm_test_memory* memory, ssm_mismatch* first);

#ifdef __cplusplus
}
#endif
#endif /* SSM_RT_H */
