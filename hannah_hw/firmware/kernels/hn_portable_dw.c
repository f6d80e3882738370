/* Depthwise convolution by channel plane.

   One channel is copied, padding included, to words that hold two values (hn_portable.h): those under the upper and the
   lower half of the result; in one dimension, under its left and its right half. Only then the results of the channel
   are written, so that they may lie on the input. */
#include "hn_portable.h"

typedef struct {
  int32_t rows, cols;      /* results in one half */
  int32_t missing_rows;    /* 1 where the other half has a row less */
  int32_t missing_cols;    /* or a column less */
  int32_t other;           /* bytes from a result to that of the other half */
  int32_t words, pitch;    /* rows of the plane, and words of each */
  int32_t below, beside;   /* rows and columns of the input from one half to the other */
} plane;

HN_INLINE plane plane_of(const hn_layer *l) {
  plane p = {l->out_h, l->out_w, 0, 0, 0, 0, 0, 0, 0};
  if (l->in_h == 1 && l->kernel_h == 1 && l->out_h == 1) {
    p.cols = (l->out_w + 1) >> 1;
    p.missing_cols = l->out_w & 1;
    p.beside = p.cols * l->stride_w;
    p.other = p.cols * l->out_c;
  } else {
    p.rows = (l->out_h + 1) >> 1;
    p.missing_rows = l->out_h & 1;
    p.below = p.rows * l->stride_h;
    p.other = p.rows * l->out_w * l->out_c;
  }
  p.words = (p.rows - 1) * l->stride_h + (l->kernel_h - 1) * l->dilation_h + 1;
  p.pitch = (((p.cols + 1) & ~1) - 1) * l->stride_w + (l->kernel_w - 1) * l->dilation_w + 1;
  return p;
}

/* One row of one half into the low (other = 0) or high halves of words; NULL: a row outside of the data. */
HN_INLINE void fill_row(const hn_layer *l, const int8_t *x, int32_t *to, int32_t columns, int32_t first, int high) {
  const int32_t step = l->in_c, zero = high ? (int32_t)((uint32_t)l->zp_in << 16) : l->zp_in;
  int32_t before = x ? (first < 0 ? -first : 0) : columns, inside = 0;
  if (before > columns) before = columns;
  if (x) {
    x += (first + before) * step;
    inside = l->in_w - first - before;
    if (inside > columns - before) inside = columns - before;
    if (inside < 0) inside = 0;
  }
  for (int32_t n = before; n > 0; n--, to++) *to = high ? *to + zero : zero;
  for (int32_t n = inside; n > 0; n--, to++, x += step) *to = high ? hn_pair(*to, *x) : *x;
  for (int32_t n = columns - before - inside; n > 0; n--, to++) *to = high ? *to + zero : zero;
}

HN_NOINLINE void fill_plane(const hn_layer *l, const plane *p, const int8_t *x, int32_t *to) {
  const int32_t row_step = l->in_w * l->in_c;
  for (int32_t row = -l->pad_top; row < p->words - l->pad_top; row++, to += p->pitch) {
    const int32_t other = row + p->below;
    const int8_t *a = (uint32_t)row < (uint32_t)l->in_h ? x + row * row_step : 0;
    const int8_t *b = (uint32_t)other < (uint32_t)l->in_h ? x + other * row_step : 0;
    if (a && b && !p->beside) {
      const int32_t zeros = hn_pair(l->zp_in, l->zp_in), step = l->in_c;
      const int32_t rest = p->pitch - l->pad_left, inside = rest < l->in_w ? rest : l->in_w;
      int32_t *word = to;
      for (int32_t n = l->pad_left; n > 0; n--) *word++ = zeros;
      for (int32_t n = inside; n > 0; n--, a += step, b += step) *word++ = hn_pair(*a, *b);
      for (int32_t n = rest - inside; n > 0; n--) *word++ = zeros;
    } else {
      fill_row(l, a, to, p->pitch, -l->pad_left, 0);
      fill_row(l, b, to, p->pitch, p->beside - l->pad_left, 1);
    }
  }
}

/* Two neighbouring columns of results in both halves: four sums of products. */
typedef struct {
  hn_sums left, right;
} four;

/* One row of a window: `size` taps, `dilation` words apart; the right column lies `stride` words further. */
HN_INLINE void add_row(four *s, const int32_t *x, const int8_t *w, int32_t size, int32_t dilation, int32_t stride) {
  int32_t k = 0;
#pragma GCC unroll 4
  for (; k + 2 <= size; k += 2, x += 2 * dilation) {
    const int32_t w0 = w[k], w1 = w[k + 1];
    hn_add_products(&s->left, w0 * x[0] + w1 * x[dilation]);
    hn_add_products(&s->right, w0 * x[stride] + w1 * x[dilation + stride]);
  }
  if (k < size) {
    hn_add_products(&s->left, w[k] * x[0]);
    hn_add_products(&s->right, w[k] * x[stride]);
  }
}

/* A window of 3x3: all nine taps in a row, so that only one is without a partner. */
HN_INLINE void add_3x3(four *s, const int32_t *x, const int8_t *w, int32_t pitch, int32_t stride) {
  const int32_t *y = x + pitch, *z = y + pitch;
  hn_add_products(&s->left, w[0] * x[0] + w[1] * x[1]);
  hn_add_products(&s->right, w[0] * x[stride] + w[1] * x[stride + 1]);
  hn_add_products(&s->left, w[2] * x[2] + w[3] * y[0]);
  hn_add_products(&s->right, w[2] * x[stride + 2] + w[3] * y[stride]);
  hn_add_products(&s->left, w[4] * y[1] + w[5] * y[2]);
  hn_add_products(&s->right, w[4] * y[stride + 1] + w[5] * y[stride + 2]);
  hn_add_products(&s->left, w[6] * z[0] + w[7] * z[1]);
  hn_add_products(&s->right, w[6] * z[stride] + w[7] * z[stride + 1]);
  hn_add_products(&s->left, w[8] * z[2]);
  hn_add_products(&s->right, w[8] * z[stride + 2]);
}

/* Columns whose sums are kept on the stack, where assembly computes them. */
#define COLUMNS 8

/* Channels one after the other; `size` and `stride_w` are constants where they are not 0. */
HN_INLINE void depthwise(const hn_layer *l, const void *constants, const int8_t *x, int8_t *y, int32_t *words,
                         int32_t size, int32_t stride_w) {
  const plane p = plane_of(l);
  const hn_result result = hn_result_of(l);
  const int32_t height = size ? size : l->kernel_h, width = size ? size : l->kernel_w;
  const int32_t dilation = size ? 1 : l->dilation_w, stride = stride_w ? stride_w : l->stride_w;
  const int32_t row_step = l->dilation_h * p.pitch, taps = (height * width + 3) & ~3, next = l->out_c;
  const int8_t *stream = constants;
  for (int32_t channel = l->in_c; channel > 0; channel--, x++, y++, stream += 8 + taps) {
    const int32_t bias = ((const int32_t *)stream)[0], multiplier = ((const int32_t *)stream)[1];
    /* With the bias in both halves from the begin on. */
    const int32_t both = hn_pair(bias, bias);
    fill_plane(l, &p, x, words);
    int8_t *out = y;
#if defined(__ARM_ARCH_6M__)
    hn_taps_3x3 window = {{both, bias}, {0}, 4 * (p.pitch - 3), 4 * (stride - 2 * p.pitch - 3)};
    if (size == 3)
      for (int32_t k = 0; k < 9; k++) window.weights[k] = stream[8 + k];
#endif
    for (int32_t oy = 0; oy < p.rows; oy++) {
      const int32_t *from = words + oy * l->stride_h * p.pitch;
      const int32_t missing = oy + 1 == p.rows && p.missing_rows ? p.cols : p.missing_cols;
#if defined(__ARM_ARCH_6M__)
      if (size == 3) {
        for (int32_t left = p.cols; left > 0;) {
          hn_sums sums[COLUMNS];
          const int32_t columns = left < COLUMNS ? left : COLUMNS;
          hn_portable_row_3x3(from, &window, columns, sums);
          from += columns * stride;
          for (const hn_sums *s = sums; s < sums + columns; s++, left--, out += next) {
            if (left > missing) out[p.other] = hn_requantise(s->high, multiplier, &result);
            *out = hn_requantise(hn_low_sum(s), multiplier, &result);
          }
        }
        continue;
      }
#endif
      for (int32_t left = p.cols; left > 0; left -= 2, from += 2 * stride) {
        four s = {{both, bias}, {both, bias}};
        const int8_t *w = stream + 8;
        if (size == 3) {
          add_3x3(&s, from, w, p.pitch, stride);
        } else {
          const int32_t *row = from;
          for (int32_t n = height; n > 0; n--, row += row_step, w += width)
            add_row(&s, row, w, width, dilation, stride);
        }
        if (left > missing) out[p.other] = hn_requantise(s.left.high, multiplier, &result);
        *out = hn_requantise(hn_low_sum(&s.left), multiplier, &result);
        out += next;
        if (left > 1) {
          if (left - 1 > missing) out[p.other] = hn_requantise(s.right.high, multiplier, &result);
          *out = hn_requantise(hn_low_sum(&s.right), multiplier, &result);
          out += next;
        }
      }
    }
  }
}

#define DEPTHWISE(name, size, stride)                                                                                \
  void name(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y, void *scratch) { \
    (void)x2;                                                                                                        \
    depthwise(l, constants, x, y, scratch, size, stride);                                                            \
  }

/* constants: for each channel bias, multiplier and weights, these rounded up to four bytes. */
DEPTHWISE(hn_portable_dw_3x3, 3, 1)
DEPTHWISE(hn_portable_dw_3x3_s2, 3, 2)
DEPTHWISE(hn_portable_dw_5x5, 5, 0)
DEPTHWISE(hn_portable_dw_7x7, 7, 0)
DEPTHWISE(hn_portable_dw, 0, 0)
