/* A factor and an offset a channel: batch normalisations that no convolution takes up. */
#include "hn_math.h"

/* y = clamp((x * constants[2c] + constants[2c + 1]) >> p0) in channel c; the zero points and one half are part of the
   offset. The generator proves that the sum fits into int32. The result may lie on the operand. */
void hn_affine(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y, void *scratch) {
  (void)x2;
  (void)scratch;
  const int32_t bits = l->p0, base = -l->low, range = l->high - l->low, high = l->high;
  for (int32_t pixel = l->out_h * l->out_w; pixel > 0; pixel--) {
    const int32_t *pair = (const int32_t *)constants;
    for (int32_t channel = l->out_c; channel > 0; channel--, pair += 2) {
      int32_t sum = *x++ * pair[0] + pair[1];
      *y++ = (int8_t)hn_clamp(sum >> bits, base, range, high);
    }
  }
}
