/* An S4D classifier in integers. Made by octet; do not edit. One unit of a logit is 2.00681895e-07; a
 * frame's value v has the code round(v / 0.0515190437) + -24, cut off at -32 and 31. */
#ifndef MODEL_DIGITS_H
#define MODEL_DIGITS_H

#include "ssm_rt.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  DIGITS_ABI = 3,
  DIGITS_IN = 1, /* codes of a frame */
  DIGITS_OUT = 10, /* classes */
  DIGITS_HEADS = 16,
  DIGITS_STATE_BYTES = 1160, /* of a context */
  DIGITS_SCRATCH_BYTES = 80, /* arrays on the stack of a step */
  DIGITS_FLASH_BYTES = 8990 /* tables, without code */
};

/* A stream: copy it to save it, copy it back to restore it. Align it as int64_t. */
typedef struct {
  int64_t sum[DIGITS_HEADS];
  uint32_t frames;
  int8_t x8[1024];
  uint8_t padding[4];
} digits_context;
typedef char digits_context_size[sizeof(digits_context) == DIGITS_STATE_BYTES ? 1 : -1];
typedef char digits_abi[(int)DIGITS_ABI == (int)SSM_ABI ? 1 : -1];

/* A stream before its first frame. The two are the same. */
void digits_init(digits_context* context);
void digits_reset(digits_context* context);

/* Takes in a frame of DIGITS_IN codes; any int8_t is allowed. Its time does not depend on how many came
 * before. 0; or 1, having done nothing, after 2^32 - 1 frames. */
int digits_step(digits_context* context, const int8_t* frame);
/* The same for `count` frames, one after the other. */
int digits_run(digits_context* context, const int8_t* frames, size_t count);
/* DIGITS_OUT logits after the frames so far; the class is that of the largest. The stream may go on. */
void digits_read(digits_context* context, int32_t* logits);

/* Runs the test vectors of model_digits_golden.c on `context`. 0; or 1, and the first mismatch. */
int digits_selftest(digits_context* context, ssm_mismatch* first);

extern const ssm_model digits_model;
ssm_state digits_view(digits_context* context);

/* The code of each byte of an image. */
extern const int8_t digits_pixel[256];

#ifdef __cplusplus
}
#endif
#endif
