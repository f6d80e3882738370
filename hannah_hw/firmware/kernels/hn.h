/* Int8 kernels for microcontrollers. Values are NHWC int8; the arithmetic contract is q32:
     acc = bias + sum(weight * (x - zp_in))                       exact in int32
     y   = clamp(zp_out + floor((acc * M + 2^31) / 2^32))         M = floor(scale * 2^32 + 1/2)
   Weights, biases (the input's zero point folded in) and multipliers are laid out by the generator. */
#ifndef HN_H
#define HN_H
#include <stdint.h>

/* One layer. All fields are 32 bits wide, so that a host can fill it in memory. */
typedef struct {
  int32_t in_h, in_w, in_c;
  int32_t out_h, out_w, out_c;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  int32_t pad_top, pad_left;
  int32_t zp_in, zp_in2, zp_out, low, high;   /* clamp to [low, high] */
  int32_t p0, p1, p2, p3, p4, p5, p6, p7;     /* what the kernel says of them */
} hn_layer;

/* x2 is the second operand where there is one, else 0; constants and scratch are 4-byte aligned. */
typedef void hn_kernel(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                       void *scratch);
#endif
