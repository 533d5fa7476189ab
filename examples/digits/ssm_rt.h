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
enum { SSM_ABI = 1 };

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
} ssm_head;

typedef struct ssm_layer ssm_layer;
/* Advances the modes of a head by the input u and returns Y; x: their states, re and im in turn.
   The low 15 bits of `word` round re, the next 15 im; the next mode's word is `golden` further. */
typedef int32_t ssm_advance(const ssm_layer* layer, size_t head, int32_t u, uint32_t word,
                            uint32_t golden, void* x);
struct ssm_layer {
  ssm_advance* advance;
  const ssm_head* heads;
  const int32_t* A; /* [heads][modes][2], re and im; B and C alike */
  const int32_t* B;
  const int16_t* C;
  const int8_t* gelu; /* [levels], or [heads][levels] with own_gelu */
  ssm_linear value, gate;
  uint64_t noise_key;
  uint32_t state; /* the layer's first element in ssm_state.x16 or .x8 */
  uint16_t modes, levels;
  int16_t most_state;
  uint8_t k, b_shift, y_shift;
  uint8_t dithered, y_ssm_coded, own_gelu, bytes; /* bytes: of one part of a state, 1 or 2 */
};
/* By the type of a state, of the sums of the recurrence and of Y. A linker that drops unused
 * functions keeps those that the model names. */
ssm_advance ssm_advance_8_32_32, ssm_advance_8_32_64, ssm_advance_8_64_64, ssm_advance_16_32_32,
    ssm_advance_16_32_64, ssm_advance_16_64_64;

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
