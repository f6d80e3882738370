/* Kernels that compute each result from the values at its place: it may lie on an operand of its size. */
#include "hn_dsp.h"

HN_INLINE int32_t elements(const hn_layer *l) { return l->out_h * l->out_w * l->out_c; }

/* y = clamp((a * p0 + b * p1 + p2) >> p3). The generator proves |p2| + 128 * (|p0| + |p1|) < 2^31. */
HN_INLINE int32_t sum(const hn_layer *l, int32_t a, int32_t b, int32_t bits) {
  return (a * l->p0 + b * l->p1 + l->p2) >> bits;
}

#if HN_DSP
/* The usual case: 20 fraction bits, so that one instruction shifts and saturates. SMLAWB and SMLAWT add bits 16 to 47
   of the product of a 32-bit number and a half of a word: with 2^8 * multiplier and 2^8 * byte that is the whole
   product, so that one AND unpacks two bytes. In assembly because compilers run out of registers. */
static void add_saturating(const hn_layer *l, const int8_t *a, const int8_t *b, int8_t *y) {
  const int32_t m1 = l->p0 * 256, m2 = l->p1 * 256, offset = l->p2, count = elements(l);
  for (int32_t left = count >> 2; left > 0; left--) {
    uint32_t u, v, u_even, v_even, result;
    __asm__("ldr %[u], [%[a]], #4\n\t"
            "ldr %[v], [%[b]], #4\n\t"
            "and %[u_even], %[mask], %[u], lsl #8\n\t"
            "and %[v_even], %[mask], %[v], lsl #8\n\t"
            "and %[u], %[u], %[mask]\n\t"
            "and %[v], %[v], %[mask]\n\t"
            "smlawb %[result], %[m1], %[u_even], %[offset]\n\t"
            "smlawb %[result], %[m2], %[v_even], %[result]\n\t"
            "smlawt %[u_even], %[m1], %[u_even], %[offset]\n\t"
            "smlawt %[u_even], %[m2], %[v_even], %[u_even]\n\t"
            "smlawb %[v_even], %[m1], %[u], %[offset]\n\t"
            "smlawb %[v_even], %[m2], %[v], %[v_even]\n\t"
            "smlawt %[u], %[m1], %[u], %[offset]\n\t"
            "smlawt %[u], %[m2], %[v], %[u]\n\t"
            "ssat %[result], #8, %[result], asr #20\n\t"
            "ssat %[v_even], #8, %[v_even], asr #20\n\t"
            "ssat %[u_even], #8, %[u_even], asr #20\n\t"
            "ssat %[u], #8, %[u], asr #20\n\t"
            "strb %[v_even], [%[y], #1]\n\t"
            "strb %[u_even], [%[y], #2]\n\t"
            "strb %[u], [%[y], #3]\n\t"
            "strb %[result], [%[y]], #4"
            : [a] "+r"(a), [b] "+r"(b), [y] "+r"(y), [u] "=&r"(u), [v] "=&r"(v), [u_even] "=&r"(u_even),
              [v_even] "=&r"(v_even), [result] "=&r"(result)
            : [m1] "r"(m1), [m2] "r"(m2), [offset] "r"(offset), [mask] "r"(0xff00ff00)
            : "memory");
  }
  for (int32_t left = count & 3; left > 0; left--) {
    int32_t total = *a++ * l->p0 + *b++ * l->p1 + offset;
    __asm__("ssat %0, #8, %0, asr #20" : "+r"(total));
    *y++ = (int8_t)total;
  }
}
#endif

void hn_add(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y, void *scratch) {
  (void)constants;
  (void)scratch;
  const int32_t bits = l->p3, base = -l->low, range = l->high - l->low, high = l->high;
#if HN_DSP
  if (bits == 20 && l->p0 < 1 << 23 && l->p1 < 1 << 23) {
    add_saturating(l, x, x2, y);
    hn_restrict(y, elements(l), l->low, high);
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
