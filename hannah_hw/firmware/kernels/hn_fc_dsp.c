/* Fully connected layers on cores with the DSP extension: 4 channels at a time, from paired weights. Constants as those
   of a 1x1 convolution; scratch: the operand as 16-bit pairs. Every pixel is a vector of its own. */
#include "hn_dsp.h"
#if HN_DSP

/* Layout known to hn_fc_dsp.S. */
typedef struct {
  const int32_t *before, *last; /* the word before the pairs, and the last */
  int32_t skip;                 /* bytes of the unrolled steps that the first pass leaves out */
  int32_t zero;
  int8_t *out, *end;
} hn_vector;

/* Channels from out to end, four at a time; weights is the word before the stream. Returns where the stream goes on. */
const int32_t *hn_fc_groups(const int32_t *weights, const hn_vector *vector);
void hn_fc_unpack(const int8_t *x, int32_t *pairs, int32_t words);

/* Bytes of code of a step, which takes four elements. */
#define STEP_BYTES 72

static void unpack(const int8_t *x, int32_t *pairs, int32_t count) {
  int32_t words = count >> 2;
  hn_fc_unpack(x, pairs, words);
  int16_t *rest = (int16_t *)(pairs + 2 * words);
  for (int32_t i = 4 * words; i < count; i++) {
    *rest++ = x[i];
  }
}

void hn_fc(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y, void *scratch) {
  (void)x2;
  int32_t *pairs = scratch, steps = (l->in_c + 3) >> 2, rest = l->out_c & 3;
  hn_vector vector = {
      .before = pairs - 1,
      .last = pairs + 2 * steps - 1,
      .skip = (4 - steps % 4) % 4 * STEP_BYTES,
      .zero = l->zp_out,
  };
  int8_t *out = y;
  for (int32_t pixel = l->out_h * l->out_w; pixel > 0; pixel--, x += l->in_c) {
    const int32_t *weights = (const int32_t *)constants - 1;
    unpack(x, pairs, l->in_c);
    vector.out = out;
    vector.end = out += l->out_c - rest;
    if (vector.out != vector.end) {
      weights = hn_fc_groups(weights, &vector);
    }
    if (rest) {
      int8_t four[4];
      vector.out = four;
      vector.end = four + 4;
      hn_fc_groups(weights, &vector);
      for (int32_t i = 0; i < rest; i++) {
        *out++ = four[i];
      }
    }
  }
  hn_restrict(y, (int32_t)(out - y), l->low, l->high);
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
      *out++ = (int8_t)hn_requantise(hn_shifted(first, l->p1), weights[0], l->zp_out);
      if (channel + 1 < l->out_c) {
        *out++ = (int8_t)hn_requantise(hn_shifted(second, l->p1), weights[1], l->zp_out);
      }
      weights += 2;
    }
  }
  hn_restrict(y, (int32_t)(out - y), l->low, l->high);
}
#endif
