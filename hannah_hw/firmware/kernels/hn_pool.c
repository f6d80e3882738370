/* Average and maximum pooling: any window, stride and padding; values outside the data do not count. Cores with the DSP
   extension have hn_pool_dsp.c instead. */
#include "hn_math.h"
#if !HN_DSP

/* The part of a window that lies inside the data. */
typedef struct {
  int32_t rows, cols;        /* how many */
  int32_t step, skip;        /* bytes from one column to the next, and from behind a row to the next row */
  const int8_t *first;
} window;

HN_INLINE window window_at(const hn_layer *l, const int8_t *x, int32_t oy, int32_t ox) {
  int32_t top = oy * l->stride_h - l->pad_top, left = ox * l->stride_w - l->pad_left;
  int32_t dy = l->dilation_h, dx = l->dilation_w;
  int32_t bottom = top + (l->kernel_h - 1) * dy, right = left + (l->kernel_w - 1) * dx;
  window w;
  if (dy == 1 && dx == 1) {
    top = top < 0 ? 0 : top;
    left = left < 0 ? 0 : left;
    w.rows = (bottom < l->in_h ? bottom + 1 : l->in_h) - top;
    w.cols = (right < l->in_w ? right + 1 : l->in_w) - left;
  } else {
    w.rows = w.cols = 0;
    while (top < 0) top += dy;
    while (left < 0) left += dx;
    for (int32_t row = top; row <= bottom && row < l->in_h; row += dy) w.rows++;
    for (int32_t col = left; col <= right && col < l->in_w; col += dx) w.cols++;
  }
  w.step = dx * l->in_c;
  w.skip = (dy * l->in_w - w.cols * dx) * l->in_c;
  w.first = x + (top * l->in_w + left) * l->in_c;
  return w;
}

/* Four neighbouring bytes are summed in two words of two 16-bit lanes, which hold 256 values. */
typedef struct {
  uint32_t even, odd;
} lanes;

HN_INLINE void lanes_add(lanes *s, uint32_t word) {
  word ^= 0x80808080; /* 128 more: no signs to extend */
  s->even += word & 0x00ff00ff;
  s->odd += word >> 8 & 0x00ff00ff;
}

HN_INLINE void lanes_flush(lanes *s, int32_t values, int32_t *sums) {
  values *= 128;
  sums[0] += (int32_t)(s->even & 0xffff) - values;
  sums[1] += (int32_t)(s->odd & 0xffff) - values;
  sums[2] += (int32_t)(s->even >> 16) - values;
  sums[3] += (int32_t)(s->odd >> 16) - values;
  s->even = s->odd = 0;
}

/* Sums of four neighbouring channels. */
HN_INLINE void sum_words(const window *w, const int8_t *x, int32_t *sums) {
  const int32_t step = w->step;
  lanes s = {0, 0};
  int32_t held = 0;
  for (int32_t row = w->rows; row > 0; row--, x += w->skip) {
    for (int32_t left = w->cols; left > 0;) {
      if (held == 256) {
        lanes_flush(&s, held, sums);
        held = 0;
      }
      int32_t n = left < 256 - held ? left : 256 - held;
      left -= n;
      held += n;
      for (; n >= 2; n -= 2, x += 2 * step) {
        uint32_t one = hn_load(x), two = hn_load(x + step);
        lanes_add(&s, one);
        lanes_add(&s, two);
      }
      if (n) {
        lanes_add(&s, hn_load(x));
        x += step;
      }
    }
  }
  lanes_flush(&s, held, sums);
}

typedef struct {
  int32_t shift, zero_in, base, range, high;
} average;

HN_INLINE int8_t mean(int32_t total, int32_t zeros, int32_t multiplier, const average *a) {
  int32_t acc = (int32_t)((uint32_t)(total - zeros) << a->shift);
  return (int8_t)hn_clamp(hn_scale(acc, multiplier), a->base, a->range, a->high);
}

/* One output pixel: floor((2^shift * (sum - n * zp_in) * multiplier + 2^31) / 2^32) + zp_out, clamped. */
HN_NOINLINE void average_pixel(const window *w, int32_t channels, int32_t multiplier, const average *a, int8_t *y) {
  const int32_t zeros = w->rows * w->cols * a->zero_in;
  const int8_t *x = w->first;
  int32_t c = 0;
  if (hn_words(x, channels)) {
    for (; c + 4 <= channels; c += 4, x += 4, y += 4) {
      int32_t sums[4] = {0, 0, 0, 0};
      sum_words(w, x, sums);
      y[0] = mean(sums[0], zeros, multiplier, a);
      y[1] = mean(sums[1], zeros, multiplier, a);
      y[2] = mean(sums[2], zeros, multiplier, a);
      y[3] = mean(sums[3], zeros, multiplier, a);
    }
  }
  for (; c < channels; c++, x++) {
    const int8_t *from = x;
    int32_t total = 0;
    for (int32_t row = w->rows; row > 0; row--, from += w->skip)
      for (int32_t n = w->cols; n > 0; n--, from += w->step) total += *from;
    *y++ = mean(total, zeros, multiplier, a);
  }
}

HN_INLINE average average_of(const hn_layer *l) {
  average a = {l->p1, l->zp_in, l->zp_out - l->low, l->high - l->low, l->high};
  return a;
}

/* p0: multiplier of whole windows; p1: shift. p2: 1 where windows reach into the padding: then constants holds the
   multipliers of windows of 1, 2, 3 ... values. The generator proves |255 * n * 2^p1| < 2^31. */
void hn_avg_pool(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                 void *scratch) {
  (void)x2;
  (void)scratch;
  const int32_t *multipliers = constants;
  const average a = average_of(l);
  for (int32_t oy = 0; oy < l->out_h; oy++) {
    for (int32_t ox = 0; ox < l->out_w; ox++, y += l->out_c) {
      const window w = window_at(l, x, oy, ox);
      average_pixel(&w, l->out_c, l->p2 ? multipliers[w.rows * w.cols - 1] : l->p0, &a, y);
    }
  }
}

/* The window is the whole image. */
void hn_global_avg_pool(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                        void *scratch) {
  (void)constants;
  (void)x2;
  (void)scratch;
  const average a = average_of(l);
  const window w = {1, l->in_h * l->in_w, l->in_c, 0, x};
  average_pixel(&w, l->out_c, l->p0, &a, y);
}

HN_INLINE int32_t larger(int32_t a, int32_t b) {
  int32_t more = b - a;
  return a + (more & ~(more >> 31));
}

void hn_max_pool(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                 void *scratch) {
  (void)constants;
  (void)x2;
  (void)scratch;
  const int32_t low = l->low, high = l->high, channels = l->out_c;
  for (int32_t oy = 0; oy < l->out_h; oy++) {
    for (int32_t ox = 0; ox < l->out_w; ox++) {
      const window w = window_at(l, x, oy, ox);
      const int8_t *column = w.first;
      int32_t c = 0;
      for (; c + 4 <= channels; c += 4, column += 4, y += 4) {
        const int8_t *from = column;
        int32_t m0 = low, m1 = low, m2 = low, m3 = low;
        for (int32_t row = w.rows; row > 0; row--, from += w.skip) {
          for (int32_t n = w.cols; n > 0; n--, from += w.step) {
            m0 = larger(m0, from[0]);
            m1 = larger(m1, from[1]);
            m2 = larger(m2, from[2]);
            m3 = larger(m3, from[3]);
          }
        }
        y[0] = (int8_t)(m0 < high ? m0 : high);
        y[1] = (int8_t)(m1 < high ? m1 : high);
        y[2] = (int8_t)(m2 < high ? m2 : high);
        y[3] = (int8_t)(m3 < high ? m3 : high);
      }
      for (; c < channels; c++, column++) {
        const int8_t *from = column;
        int32_t most = low;
        for (int32_t row = w.rows; row > 0; row--, from += w.skip)
          for (int32_t n = w.cols; n > 0; n--, from += w.step) most = larger(most, *from);
        *y++ = (int8_t)(most < high ? most : high);
      }
    }
  }
}
#endif
