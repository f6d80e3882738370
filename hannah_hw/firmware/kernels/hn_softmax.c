/* Softmax over the channels of each pixel, by a table of exponentials and exact whole numbers. */
#include "hn_math.h"

/* floor(dividend / divisor), quotients up to 2^15; the divisor is at least 2^12, so that cores without a division
   take a few steps. */
HN_INLINE uint32_t quotient(uint32_t dividend, uint32_t divisor) {
#if defined(HN_NO_LONG_MULTIPLY)
  uint32_t result = 0, bit = 1;
  while (divisor <= dividend >> 1) {
    divisor <<= 1;
    bit <<= 1;
  }
  for (; bit; bit >>= 1, divisor >>= 1) {
    if (dividend >= divisor) {
      dividend -= divisor;
      result += bit;
    }
  }
  return result;
#else
  return dividend / divisor;
#endif
}

/* constants: 256 exponentials of 0, -1, -2 ... steps; p0: steps of the result in 1/16. With d = max(x) - x and
   total = sum of table[d], y = clamp(zp_out + floor((table[d] * p0 + 8 * total) / (16 * total))).
   The generator proves table[d] * p0 <= 2^31 and total < 2^28. */
void hn_softmax(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                void *scratch) {
  (void)x2;
  (void)scratch;
  const uint32_t *table = constants;
  const int32_t classes = l->out_c, base = l->zp_out - l->low, range = l->high - l->low, high = l->high;
  for (int32_t rows = l->out_h * l->out_w; rows > 0; rows--, x += classes, y += classes) {
    int32_t largest = x[0];
    for (int32_t i = 1; i < classes; i++) largest = x[i] > largest ? x[i] : largest;
    uint32_t total = 0;
    for (int32_t i = 0; i < classes; i++) total += table[largest - x[i]];
    for (int32_t i = 0; i < classes; i++) {
      int32_t steps = (int32_t)quotient(table[largest - x[i]] * (uint32_t)l->p0 + 8 * total, 16 * total);
      y[i] = (int8_t)hn_clamp(steps, base, range, high);
    }
  }
}
