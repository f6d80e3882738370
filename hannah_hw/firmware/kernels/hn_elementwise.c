/* Kernels that compute each result from the values at its place: it may lie on an operand of its size. */
#include "hn_math.h"

HN_INLINE int32_t elements(const hn_layer *l) { return l->out_h * l->out_w * l->out_c; }

/* y = clamp((a * p0 + b * p1 + p2) >> p3). The generator proves |p2| + 128 * (|p0| + |p1|) < 2^31. */
HN_INLINE int32_t sum(const hn_layer *l, int32_t a, int32_t b, int32_t bits) {
  return (a * l->p0 + b * l->p1 + l->p2) >> bits;
}

#if HN_DSP
/* The usual case: 20 fraction bits and no clamp but saturation, so that one instruction shifts and saturates. */
static void add_saturating(const hn_layer *l, const int8_t *a, const int8_t *b, int8_t *y) {
  const int32_t m1 = l->p0, m2 = l->p1, offset = l->p2;
  int32_t left = elements(l);
  for (; left >= 4; left -= 4, a += 4, b += 4, y += 4) {
    int32_t u = (int32_t)hn_load(a), v = (int32_t)hn_load(b);
    int32_t s0 = (int8_t)u * m1 + offset, s1 = (int8_t)(u >> 8) * m1 + offset;
    int32_t s2 = (int8_t)(u >> 16) * m1 + offset, s3 = (u >> 24) * m1 + offset;
    s0 += (int8_t)v * m2;
    s1 += (int8_t)(v >> 8) * m2;
    s2 += (int8_t)(v >> 16) * m2;
    s3 += (v >> 24) * m2;
    __asm__("ssat %0, #8, %0, asr #20" : "+r"(s0));
    __asm__("ssat %0, #8, %0, asr #20" : "+r"(s1));
    __asm__("ssat %0, #8, %0, asr #20" : "+r"(s2));
    __asm__("ssat %0, #8, %0, asr #20" : "+r"(s3));
    y[0] = (int8_t)s0;
    y[1] = (int8_t)s1;
    y[2] = (int8_t)s2;
    y[3] = (int8_t)s3;
  }
  for (; left > 0; left--) {
    int32_t s = *a++ * m1 + *b++ * m2 + offset;
    __asm__("ssat %0, #8, %0, asr #20" : "+r"(s));
    *y++ = (int8_t)s;
  }
}
#endif

void hn_add(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y, void *scratch) {
  (void)constants;
  (void)scratch;
  const int32_t bits = l->p3, base = -l->low, range = l->high - l->low, high = l->high;
#if HN_DSP
  if (bits == 20 && range == 255) {
    add_saturating(l, x, x2, y);
    return;
  }
#endif
  int32_t left = elements(l);
  for (; left >= 2; left -= 2, x += 2, x2 += 2, y += 2) {
    int32_t s0 = sum(l, x[0], x2[0], bits), s1 = sum(l, x[1], x2[1], bits);
    y[0] = (int8_t)hn_clamp(s0, base, range, high);
    y[1] = (int8_t)hn_clamp(s1, base, range, high);
  }
  if (left) *y = (int8_t)hn_clamp(sum(l, *x, *x2, bits), base, range, high);
}

/* acc = (a - zp_in) * (b - zp_in2), 17 bits; y = clamp(zp_out + floor((2^p1 * acc * p0 + 2^31) / 2^32)).
   p2: 1 where the second operand has one value a channel. The generator proves p1 <= 14. */
void hn_mul(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y, void *scratch) {
  (void)constants;
  (void)scratch;
  const int32_t multiplier = l->p0, shift = l->p1, zero = l->zp_in, zero2 = l->zp_in2;
  const int32_t base = l->zp_out - l->low, range = l->high - l->low, high = l->high;
  const int32_t row = l->p2 ? l->out_c : elements(l);
  for (int32_t left = elements(l); left > 0; left -= row) {
    const int8_t *second = x2;
    for (int32_t n = row; n > 0; n--) {
      int32_t acc = (*x++ - zero) * (*second++ - zero2);
      *y++ = (int8_t)hn_clamp(hn_scale((int32_t)((uint32_t)acc << shift), multiplier), base, range, high);
    }
  }
}

/* y = constants[x + 128] */
void hn_lut(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y, void *scratch) {
  (void)x2;
  (void)scratch;
  const int8_t *table = (const int8_t *)constants + 128;
  int32_t left = elements(l);
  for (; left >= 4; left -= 4, x += 4, y += 4) {
    int32_t a = x[0], b = x[1], c = x[2], d = x[3];
    y[0] = table[a];
    y[1] = table[b];
    y[2] = table[c];
    y[3] = table[d];
  }
  for (; left > 0; left--) *y++ = table[*x++];
}
