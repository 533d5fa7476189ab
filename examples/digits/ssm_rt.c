#include "ssm_rt.h"

#include <string.h>

static int32_t requant(int32_t v, int32_t m, int32_t shift) {
  const int64_t product = SSM_SHIFT((int64_t)v * m, 30 - shift);
  return (int32_t)SSM_SHIFT(product + 1, 1);
}

static int32_t clamp(int32_t v, int32_t low, int32_t high) {
  return v < low ? low : v > high ? high : v;
}

static int32_t sum_of(const int8_t* x, size_t count) {
  int32_t sum = 0;
  size_t i;
  for (i = 0; i < count; ++i) {
    sum += x[i];
  }
  return sum;
}

/* The low half of a byte as a signed code; the high half is SSM_SHIFT(byte, 4). */
static int32_t low_half(int8_t byte) {
  return (int32_t)(((uint32_t)byte & 15u) ^ 8u) - 8;
}

/* `sum`: of x. */
static int32_t row_of(const ssm_linear* l, size_t row, const int8_t* x, int32_t sum) {
  const size_t columns = l->columns, at = l->by_row ? row : 0;
  int32_t acc = l->bias[row] - l->zero[at] * sum;
  size_t j;
  if (l->packed) {
    const int8_t* w = l->w + row * ((columns + 1) / 2);
    for (j = 0; j + 1 < columns; j += 2) {
      const int8_t byte = w[j / 2];
      acc += low_half(byte) * x[j] + SSM_SHIFT(byte, 4) * x[j + 1];
    }
    if (j < columns) acc += low_half(w[j / 2]) * x[j];
  } else {
    const int8_t* w = l->w + row * columns;
    for (j = 0; j < columns; ++j) {
      acc += w[j] * x[j];
    }
  }
  return requant(acc, l->m[at], l->shift[at]);
}

static void multiply(const ssm_linear* l, const int8_t* x, int32_t* out) {
  const int32_t sum = sum_of(x, l->columns);
  size_t i;
  for (i = 0; i < l->rows; ++i) {
    out[i] = row_of(l, i, x, sum);
  }
}

/* The finalizer of SplitMix64 (Steele et al. 2014). */
static uint64_t mix(uint64_t z) {
  z += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return z ^ (z >> 31);
}

/* sigmoid(i / 16) * 2^15 */
static const int16_t sigmoid_table[257] = {
    16384, 16896, 17407, 17916, 18421, 18923, 19420, 19912, 20397, 20874, 21344, 21804, 22255,
    22696, 23127, 23547, 23955, 24352, 24737, 25110, 25471, 25819, 26155, 26479, 26790, 27090,
    27377, 27653, 27917, 28169, 28411, 28642, 28862, 29072, 29272, 29462, 29644, 29816, 29979,
    30135, 30282, 30422, 30555, 30680, 30799, 30912, 31018, 31119, 31214, 31304, 31389, 31469,
    31545, 31616, 31684, 31747, 31807, 31864, 31917, 31968, 32015, 32060, 32102, 32141, 32179,
    32214, 32247, 32278, 32307, 32335, 32361, 32385, 32408, 32430, 32450, 32469, 32487, 32504,
    32520, 32535, 32549, 32562, 32574, 32586, 32597, 32607, 32617, 32626, 32635, 32643, 32650,
    32657, 32664, 32670, 32676, 32682, 32687, 32692, 32696, 32701, 32705, 32709, 32712, 32716,
    32719, 32722, 32725, 32727, 32730, 32732, 32734, 32736, 32738, 32740, 32742, 32743, 32745,
    32746, 32747, 32749, 32750, 32751, 32752, 32753, 32754, 32755, 32756, 32756, 32757, 32758,
    32758, 32759, 32759, 32760, 32760, 32761, 32761, 32762, 32762, 32762, 32763, 32763, 32763,
    32764, 32764, 32764, 32764, 32765, 32765, 32765, 32765, 32765, 32766, 32766, 32766, 32766,
    32766, 32766, 32766, 32766, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
    32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
    32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
    32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
    32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
    32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
    32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767,
    32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767, 32767};

/* sigmoid(v / 2^12) * 2^15 */
static int32_t sigmoid(int32_t v) {
  const int32_t a = v < 0 ? (v < -65535 ? 65535 : -v) : (v > 65535 ? 65535 : v);
  const int32_t low = sigmoid_table[a >> 8], high = sigmoid_table[(a >> 8) + 1];
  const int32_t s = low + SSM_SHIFT((high - low) * (a & 255) + 128, 8);
  return v < 0 ? 32768 - s : s;
}

/* The code of y. */
static int32_t output_of(const ssm_layer* l, const ssm_head* p, int32_t Y, int32_t u) {
  int32_t s = Y, fine;
  if (l->y_ssm_coded) {
    s = p->y_ssm_zero + requant(Y, p->m[SSM_FROM_SUM], p->shift[SSM_FROM_SUM]);
    s = clamp(s, p->y_ssm_low, p->y_ssm_high) - p->y_ssm_zero;
  }
  fine = requant(s, p->m[SSM_FROM_S], p->shift[SSM_FROM_S]) +
         requant(u, p->m[SSM_FROM_U], p->shift[SSM_FROM_U]);
  return clamp(p->y_zero + SSM_SHIFT(fine + 128, 8), p->y_low, p->y_high);
}

/* 2^46 / sqrt(q) for 2^30 <= q < 2^32, by Newton's method. */
static uint32_t reciprocal_root(uint32_t q) {
  uint32_t y = 2348810240u - 5u * (q >> 4);
  int i;
  for (i = 0; i < 4; ++i) {
    const uint32_t square = (uint32_t)((uint64_t)y * y >> 31);
    const uint32_t product = (uint32_t)((uint64_t)square * q >> 31);
    y = (uint32_t)((uint64_t)y * (3221225472u - product) >> 31);
  }
  return y;
}

void ssm_normalize(const ssm_norm* norm, size_t heads, int32_t* r) {
  int64_t sum = 0;
  uint64_t squares;
  uint32_t magnitudes = 0, y;
  int32_t mean;
  int cut = 0, shift = 32;
  size_t h;
  for (h = 0; h < heads; ++h) {
    sum += r[h];
  }
  mean = requant((int32_t)SSM_SHIFT(sum, norm->sum_shift), norm->mean_m, norm->mean_shift);
  for (h = 0; h < heads; ++h) {
    r[h] -= mean;
    magnitudes |= (uint32_t)(r[h] < 0 ? -1 - r[h] : r[h]);
  }
  while (magnitudes >> cut > 0x7fffffu) {
    ++cut;
  }
  squares = (uint64_t)norm->eps >> 2 * cut;
  for (h = 0; h < heads; ++h) {
    const int32_t v = SSM_SHIFT(r[h], cut);
    squares += (uint64_t)((int64_t)v * v);
  }
  /* Never 0: eps where nothing is cut off, else one of the squares. */
  while (squares < UINT64_C(1) << 62) {
    squares <<= 2;
    --shift;
  }
  y = reciprocal_root((uint32_t)(squares >> 32));
  for (h = 0; h < heads; ++h) {
    const int64_t product = SSM_SHIFT(r[h], cut) * (int64_t)y;
    const int32_t v = (int32_t)SSM_SHIFT(product + (INT64_C(1) << (shift - 1)), shift);
    r[h] = norm->bias[h] + requant(v, norm->m[h], norm->shift[h]);
  }
}

static void* states_of(const ssm_layer* l, const ssm_state* state, size_t head) {
  const size_t at = l->state + head * 2u * l->modes;
  return l->bytes == 1 ? (void*)(state->x8 + at) : (void*)(state->x16 + at);
}

static void run_layer(const ssm_layer* l, size_t heads, const ssm_state* state, int32_t* r,
                      int8_t* g) {
  const uint64_t step_key = l->dithered ? mix(l->noise_key + *state->frames) : 0;
  int32_t sum;
  size_t h;
  for (h = 0; h < heads; ++h) {
    const ssm_head* p = &l->heads[h];
    const int8_t* table = l->gelu + (l->own_gelu ? h * l->levels : 0);
    int32_t u = p->u_zero + requant(r[h], p->m[SSM_FROM_STREAM], p->shift[SSM_FROM_STREAM]);
    const uint32_t word = l->dithered ? (uint32_t)mix(step_key + h) : 0;
    int32_t y;
    u = clamp(u, p->u_low, p->u_high) - p->u_zero;
    y = output_of(l, p, l->advance(l, h, u, word, states_of(l, state, h)), u);
    g[h] = table[y + l->levels / 2];
  }
  sum = sum_of(g, heads);
  for (h = 0; h < heads; ++h) {
    const int64_t value = row_of(&l->value, h, g, sum);
    r[h] += (int32_t)SSM_SHIFT(value * sigmoid(row_of(&l->gate, h, g, sum)) + 16384, 15);
  }
  if (l->normalize != NULL) l->normalize(l->norm, heads, r);
}

/* FNV-1a over whole numbers. */
static uint32_t check(uint32_t hash, int32_t v) {
  return (hash ^ (uint32_t)v) * 16777619u;
}

static uint32_t check_of(const ssm_model* m, const ssm_layer* l, const ssm_state* state,
                         const int32_t* r, const int8_t* g) {
  uint32_t hash = 2166136261u;
  size_t i;
  if (l != NULL) {
    const size_t count = (size_t)m->heads * 2u * l->modes;
    for (i = 0; i < count; ++i) {
      hash = check(hash, l->bytes == 1 ? state->x8[l->state + i] : state->x16[l->state + i]);
    }
    for (i = 0; i < m->heads; ++i) {
      hash = check(hash, g[i]);
    }
  }
  for (i = 0; i < m->heads; ++i) {
    hash = check(hash, r[i]);
  }
  return hash;
}

int ssm_step(const ssm_model* m, const ssm_state* state, const int8_t* frame, int32_t* r, int8_t* g,
             uint32_t* checks) {
  size_t i;
  if (*state->frames == UINT32_MAX) return 1;
  multiply(&m->encoder, frame, r);
  if (checks != NULL) checks[0] = check_of(m, NULL, state, r, g);
  for (i = 0; i < m->layer_count; ++i) {
    run_layer(&m->layers[i], m->heads, state, r, g);
    if (checks != NULL) checks[i + 1] = check_of(m, &m->layers[i], state, r, g);
  }
  for (i = 0; i < m->heads; ++i) {
    state->sum[i] += r[i];
  }
  ++*state->frames;
  return 0;
}

/* sum / frames, halves up; 0 before the first frame. */
static int32_t mean_of(int64_t sum, int64_t frames) {
  int64_t mean, rest;
  if (frames == 0) return 0;
  mean = sum / frames;
  rest = sum % frames;
  if (rest < 0) {
    rest += frames;
    --mean;
  }
  return (int32_t)(2 * rest >= frames ? mean + 1 : mean);
}

void ssm_read(const ssm_model* m, const ssm_state* state, int8_t* g, int32_t* logits) {
  size_t h;
  for (h = 0; h < m->heads; ++h) {
    const int32_t mean = mean_of(state->sum[h], *state->frames);
    g[h] = (int8_t)clamp(m->mean_zero + requant(mean, m->mean_m, m->mean_shift), m->mean_low,
                         m->mean_high);
  }
  multiply(&m->decoder, g, logits);
}

/* The codes of frame `t` of a sequence. `random`: state of the generator. */
static void make_frame(const ssm_sequence* s, uint32_t t, size_t inputs, uint32_t* random,
                       int8_t* frame) {
  size_t i;
  for (i = 0; i < inputs; ++i) {
    switch (s->kind) {
      case SSM_SWING:
        frame[i] = t / 16 % 2 == 0 ? s->a : s->b;
        break;
      case SSM_IMPULSE:
        frame[i] = t == 0 ? s->a : s->b;
        break;
      case SSM_RANDOM:
        *random = *random * 1664525u + 1013904223u;
        frame[i] = (int8_t)(s->a + (int32_t)((*random >> 16) % (uint32_t)(s->b - s->a + 1)));
        break;
      case SSM_GIVEN:
        frame[i] = s->given[t * inputs + i];
        break;
      default:
        frame[i] = s->a;
        break;
    }
  }
}

static int differs(uint32_t place, uint32_t expected, uint32_t found, ssm_mismatch* first) {
  if (expected == found) return 0;
  first->place = place;
  first->expected = expected;
  first->found = found;
  return 1;
}

int ssm_selftest(const ssm_model* m, const ssm_golden* golden, const ssm_state* state,
                 const ssm_test_memory* memory, ssm_mismatch* first) {
  const uint32_t places = m->layer_count + 1u;
  uint32_t point = 0, i;
  first->frame = 0;
  for (first->sequence = 0; first->sequence < golden->sequence_count; ++first->sequence) {
    const ssm_sequence* s = &golden->sequences[first->sequence];
    uint32_t random = s->seed, t;
    memset(memory->context, 0, memory->context_bytes);
    for (t = 0; t < s->frames; ++t) {
      make_frame(s, t, m->inputs, &random, memory->frame);
      if (ssm_step(m, state, memory->frame, memory->r, memory->g, memory->checks) != 0) return 1;
      if (point == golden->point_count || golden->points[point].sequence != first->sequence ||
          golden->points[point].frame != t + 1) {
        continue;
      }
      first->frame = t + 1;
      ssm_read(m, state, memory->g, memory->logits);
      for (i = 0; i < places; ++i) {
        if (differs(i, golden->checks[point * places + i], memory->checks[i], first)) return 1;
      }
      for (i = 0; i < m->classes; ++i) {
        const uint32_t want = (uint32_t)golden->logits[point * m->classes + i];
        if (differs(places + i, want, (uint32_t)memory->logits[i], first)) return 1;
      }
      ++point;
    }
  }
  return point == golden->point_count ? 0 : 1;
}
