/* Fully connected layers on cores with the DSP extension: 4 channels at a time, from paired weights. Constants as those
   of a 1x1 convolution; scratch: the operand as 16-bit pairs. Every pixel is a vector of its own. */
#include "hn_dsp.h"
#if HN_DSP

/* The operand, and where its results belong; the assembly reads the fields in this order. */
typedef struct {
  const int32_t *before, *last; /* the word before the pairs, and the last */
  int32_t skip;                 /* bytes of the unrolled steps that the first pass leaves out */
  int32_t zero;
  int8_t *out, *end; /* of the channels in whole groups */
  int32_t rest;      /* channels behind them */
} hn_vector;

/* All channels; weights is the word before the stream. */
void hn_fc_groups(const int32_t *weights, const hn_vector *vector);
void hn_fc_unpack(const int8_t *x, int32_t *pairs, int32_t words);

/* Bytes of code of a step, which takes four elements. */
#define STEP_BYTES 72

HN_NOINLINE void unpack(const int8_t *x, int32_t *pairs, int32_t count) {
  int32_t words = count >> 2;
  hn_fc_unpack(x, pairs, words);
  int16_t *rest = (int16_t *)(pairs + 2 * words);
  for (int32_t i = 4 * words; i < count; i++) {
    *rest++ = x[i];
  }
}

void hn_fc(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y, void *scratch) {
  (void)x2;
  int32_t *pairs = scratch, steps = (l->in_c + 3) >> 2, rest = l->out_c & 3, pixels = l->out_h * l->out_w;
  hn_vector vector = {pairs - 1, pairs + 2 * steps - 1, (-steps & 3) * STEP_BYTES, l->zp_out, y, y, rest};
  for (int32_t pixel = pixels; pixel > 0; pixel--, x += l->in_c) {
    unpack(x, pairs, l->in_c);
    vector.end = vector.out + l->out_c - rest;
    hn_fc_groups((const int32_t *)constants - 1, &vector);
    vector.out += l->out_c;
  }
  hn_restrict(y, pixels * l->out_c, l->low, l->high);
}

/* Two channels at a time, from plain weights; p1 is a shift of accumulators to the left. */
void hn_fc_plain(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                 void *scratch) {
  (void)x2;
  int32_t *pairs = scratch, steps = (l->in_c + 3) >> 2;
  int8_t *out = y;
  for (int32_t pixel = l->out_h * l->out_w; pixel > 0; pixel--, x += l->in_c) {
    const int32_t *weights = constants;
    unpack(x, pairs, l->in_c);
    for (int32_t channel = 0; channel < l->out_c; channel += 2) {
      int32_t first = weights[0], second = weights[1];
      weights += 2;
      for (const int32_t *pair = pairs; pair < pairs + 2 * steps; pair += 2, weights += 2) {
        uint32_t a = (uint32_t)weights[0], b = (uint32_t)weights[1];
        first = hn_dot(hn_odd_bytes(a), pair[1], hn_dot(hn_even_bytes(a), pair[0], first));
        second = hn_dot(hn_odd_bytes(b), pair[1], hn_dot(hn_even_bytes(b), pair[0], second));
      }
      *out++ = hn_result(first, l->p1, weights[0], l->zp_out);
      if (channel + 1 < l->out_c) {
        *out++ = hn_result(second, l->p1, weights[1], l->zp_out);
      }
      weights += 2;
    }
  }
  hn_restrict(y, (int32_t)(out - y), l->low, l->high);
}
#endif
