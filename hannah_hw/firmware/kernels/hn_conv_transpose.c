/* Transposed convolution of any window, stride, padding, dilation and number of groups, in plain loops. */
#include "hn_math.h"

/* A tap of the window that meets an input value at some pixel: where both are. */
typedef struct {
  int32_t input, weights;
} tap;

/* The input that a tap meets in one dimension, or -1: there is one only every `stride` results. */
HN_INLINE int32_t met(int32_t place, int32_t stride, int32_t inputs) {
  if (place < 0) return -1;
  const int32_t input = stride == 1 ? place : place / stride;
  return input * stride == place && input < inputs ? input : -1;
}

/* constants: for each channel of the result bias, multiplier and weights, these rounded up to four bytes; biases do not
   contain the zero point of the input, since pixels differ in how many inputs they meet. p0 and p1: channels of a group
   of the input and of the result; p2: bytes of a channel's constants. scratch: a tap for every element of the window. */
void hn_conv_transpose(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                       void *scratch) {
  (void)x2;
  tap *taps = scratch;
  const int32_t depth = l->p0, zero = l->zp_in;
  const int32_t base = l->zp_out - l->low, range = l->high - l->low, high = l->high;
  for (int32_t oy = 0; oy < l->out_h; oy++) {
    for (int32_t ox = 0; ox < l->out_w; ox++) {
      tap *end = taps;
      for (int32_t ky = 0; ky < l->kernel_h; ky++) {
        const int32_t row = met(oy + l->pad_top - ky * l->dilation_h, l->stride_h, l->in_h);
        for (int32_t kx = 0; kx < l->kernel_w && row >= 0; kx++) {
          const int32_t column = met(ox + l->pad_left - kx * l->dilation_w, l->stride_w, l->in_w);
          if (column < 0) continue;
          end->input = (row * l->in_w + column) * l->in_c;
          end->weights = 8 + (ky * l->kernel_w + kx) * depth;
          end++;
        }
      }
      const int8_t *channel = constants;
      for (int32_t first = 0; first < l->in_c; first += depth) {
        for (int32_t n = l->p1; n > 0; n--, channel += l->p2) {
          int32_t acc = ((const int32_t *)channel)[0];
          for (const tap *t = taps; t < end; t++) {
            const int8_t *from = x + first + t->input, *w = channel + t->weights;
            for (int32_t k = depth; k > 0; k--) acc += *w++ * (*from++ - zero);
          }
          *y++ = (int8_t)hn_clamp(hn_scale(acc, ((const int32_t *)channel)[1]), base, range, high);
        }
      }
    }
  }
}
