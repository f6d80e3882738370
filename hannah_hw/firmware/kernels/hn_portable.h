/* What the portable kernels with weights share.

   Two values in one word: X = 2^16 * x1 + x0 with signed x1, x0. A product w * X holds w * x1 and w * x0, and the sum
   of two such products is R = 2^16 * B + A with |A| <= 2 * 127 * 128 < 2^15 for weights in [-127, 127]: one
   multiplication does two. A and B are told apart by rounding: B = (R + 2^15) >> 16. Over all pairs of products, low =
   sum of R and high = sum of B; then the sum of A is low - 2^16 * high, exact modulo 2^32. */
#ifndef HN_PORTABLE_H
#define HN_PORTABLE_H
#include "hn_math.h"

/* Two sums of products: of the values in the high halves, and of all. */
typedef struct {
  int32_t low, high;
} hn_sums;

/* Compilers that know that addition is associative collect many products before they add them, in more registers than
   there are. */
HN_INLINE void hn_add_products(hn_sums *s, int32_t products) {
  s->low = (int32_t)((uint32_t)s->low + (uint32_t)products);
  s->high += (products + 0x8000) >> 16;
  __asm__ volatile("" : "+r"(s->low), "+r"(s->high));
}

/* The sum over the low halves. */
HN_INLINE int32_t hn_low_sum(const hn_sums *s) {
  return (int32_t)((uint32_t)s->low - ((uint32_t)s->high << 16));
}

HN_INLINE int32_t hn_pair(int32_t low, int32_t high) { return low + (int32_t)((uint32_t)high << 16); }

/* How results are written: see hn_clamp. */
typedef struct {
  int32_t base, range, high;
} hn_result;

HN_INLINE hn_result hn_result_of(const hn_layer *l) {
  hn_result r = {l->zp_out - l->low, l->high - l->low, l->high};
  return r;
}

HN_INLINE int8_t hn_requantise(int32_t acc, int32_t multiplier, const hn_result *r) {
  return (int8_t)hn_clamp(hn_scale(acc, multiplier), r->base, r->range, r->high);
}

/* Sums of products of two channels: of `quads` times four words of the patch, and of weights as hn_portable_conv has
   them. */
void hn_portable_dots(const int32_t *patch, const int8_t *weights, int32_t quads, hn_sums *sums);

#if defined(__riscv) && __riscv_xlen == 32
/* The same of four channels: a core with many registers reads the patch half as often. */
#define HN_FOUR_CHANNELS 1
void hn_portable_dots_4(const int32_t *patch, const int8_t *weights, int32_t quads, hn_sums *sums);
#else
#define HN_FOUR_CHANNELS 0
#endif

/* Sums of products of four channels: of `quads` times four inputs, at least four, and of the weights of two channels
   and, sums[0] bytes behind them, of two more. */
void hn_portable_fc_dots(const int8_t *x, const int8_t *weights, int32_t quads, int32_t *sums);

#if defined(__ARM_ARCH_6M__)
/* A depthwise convolution of 3x3: what its sums begin with, its weights, and in bytes how far it is from behind a row
   of the window to the next row, and from behind the window to that of the next column. */
typedef struct {
  hn_sums first;
  int32_t weights[9], to_row, to_column;
} hn_taps_3x3;

/* Sums of neighbouring columns, at least one. */
void hn_portable_row_3x3(const int32_t *words, const hn_taps_3x3 *taps, int32_t columns, hn_sums *sums);
#endif
#endif
