/* Average and maximum pooling on cores with the DSP extension: any window, stride and padding; values outside the data
   do not count. Four channels are computed at a time; the last four of a pixel may overlap those before. Windows of
   two and of three columns have loops of their own. Results are saturated to int8; `hn_restrict` clamps further. */
#include "hn_dsp.h"
#if HN_DSP

/* Neighbouring pixels of a row of the result, whose windows have the same size inside the data. */
typedef struct {
  const int8_t *first;     /* the first window */
  int32_t pixels, stride;  /* how many, and bytes from a window to the next */
  int32_t rows, cols;      /* of a window */
  int32_t step, pitch;     /* bytes from a column to the next and from a row to the next */
  int32_t channels;
  int32_t start, multiplier, factor, zero_out; /* averages: see mean() */
} run;

typedef void run_kernel(const run *r, int8_t *y);

/* Taps of a window along one axis that lie inside the data; *begin becomes the place of the first. */
HN_INLINE int32_t inside(int32_t *begin, int32_t taps, int32_t dilation, int32_t size) {
  for (; *begin < 0; taps--) *begin += dilation;
  for (int32_t last = *begin + (taps - 1) * dilation; last >= size; taps--) last -= dilation;
  return taps;
}

/* Call a kernel for all pixels. multipliers: of averages, by how many values a window has; 0 where all are whole. */
HN_NOINLINE void each_run(const hn_layer *l, const int8_t *x, int8_t *y, const int32_t *multipliers,
                          run_kernel *kernel) {
  const int32_t channels = l->in_c, reach = (l->kernel_w - 1) * l->dilation_w + 1;
  run r = {.step = l->dilation_w * channels,
           .pitch = l->dilation_h * l->in_w * channels,
           .stride = l->stride_w * channels,
           .channels = channels,
           .factor = 1 << l->p1,
           .multiplier = l->p0,
           .zero_out = l->zp_out};
  for (int32_t oy = 0; oy < l->out_h; oy++) {
    int32_t top = oy * l->stride_h - l->pad_top;
    r.rows = inside(&top, l->kernel_h, l->dilation_h, l->in_h);
    for (int32_t ox = 0; ox < l->out_w; ox += r.pixels) {
      int32_t left = ox * l->stride_w - l->pad_left, room = l->in_w - reach - left;
      r.pixels = 1;
      if (left >= 0 && room >= 0) {
        int32_t whole = room / l->stride_w + 1, rest = l->out_w - ox;
        r.pixels = whole < rest ? whole : rest;
      }
      r.cols = inside(&left, l->kernel_w, l->dilation_w, l->in_w);
      int32_t values = r.rows * r.cols;
      if (multipliers) r.multiplier = multipliers[values - 1];
      r.start = -(values * l->zp_in) * r.factor;
      r.first = x + (top * l->in_w + left) * channels;
      kernel(&r, y);
      y += r.pixels * channels;
    }
  }
  const int32_t count = l->out_h * l->out_w * channels;
  hn_restrict(y - count, count, l->low, l->high);
}

/* Four neighbouring bytes are summed in two words of two 16-bit lanes, which hold 256 values. */
typedef struct {
  int32_t even, odd;
} lanes;

HN_INLINE void add_word(lanes *s, uint32_t word) {
  __asm__("sxtab16 %0, %0, %1" : "+r"(s->even) : "r"(word));
  __asm__("sxtab16 %0, %0, %1, ror #8" : "+r"(s->odd) : "r"(word));
}

/* Add four words a round, in assembly because compilers spill what is used around the loop; the place behind them. */
HN_INLINE const int8_t *add_words(lanes *s, const int8_t *tap, int32_t step, int32_t rounds) {
  uint32_t one, two, three, four;
  __asm__("1: ldr %[one], [%[tap]]\n\t"
          "ldr %[two], [%[tap], %[step]]\n\t"
          "ldr %[three], [%[tap], %[step], lsl #1]\n\t"
          "ldr %[four], [%[tap], %[triple]]\n\t"
          "add %[tap], %[tap], %[step], lsl #2\n\t"
          "sxtab16 %[even], %[even], %[one]\n\t"
          "sxtab16 %[odd], %[odd], %[one], ror #8\n\t"
          "sxtab16 %[even], %[even], %[two]\n\t"
          "sxtab16 %[odd], %[odd], %[two], ror #8\n\t"
          "sxtab16 %[even], %[even], %[three]\n\t"
          "sxtab16 %[odd], %[odd], %[three], ror #8\n\t"
          "sxtab16 %[even], %[even], %[four]\n\t"
          "sxtab16 %[odd], %[odd], %[four], ror #8\n\t"
          "subs %[rounds], %[rounds], #1\n\t"
          "bne 1b"
          : [even] "+r"(s->even), [odd] "+r"(s->odd), [tap] "+r"(tap), [rounds] "+r"(rounds), [one] "=&r"(one),
            [two] "=&r"(two), [three] "=&r"(three), [four] "=&r"(four)
          : [step] "r"(step), [triple] "r"(3 * step)
          : "cc", "memory");
  return tap;
}

/* acc += factor * sum */
HN_INLINE void flush(const lanes *s, int32_t factor, int32_t *acc) {
  __asm__("smlabb %0, %1, %2, %0" : "+r"(acc[0]) : "r"(s->even), "r"(factor));
  __asm__("smlabb %0, %1, %2, %0" : "+r"(acc[1]) : "r"(s->odd), "r"(factor));
  __asm__("smlatb %0, %1, %2, %0" : "+r"(acc[2]) : "r"(s->even), "r"(factor));
  __asm__("smlatb %0, %1, %2, %0" : "+r"(acc[3]) : "r"(s->odd), "r"(factor));
}

/* Four averages; acc = start + factor * sum, where start = -factor * values * zp_in. cols: 0 for any. */
HN_INLINE void mean(const run *r, const int8_t *x, int32_t cols, int8_t *y) {
  const int32_t step = r->step, pitch = r->pitch, factor = r->factor;
  int32_t acc[4] = {r->start, r->start, r->start, r->start};
  lanes s = {0, 0};
  if (cols) {
    int32_t row = r->rows;
    do {
      uint32_t one = hn_load(x), two = hn_load(x + step), three = cols == 3 ? hn_load(x + 2 * step) : 0;
      x += pitch;
      add_word(&s, one);
      add_word(&s, two);
      if (cols == 3) add_word(&s, three);
    } while (--row);
  } else {
    int32_t held = 0;
    for (int32_t row = r->rows; row > 0; row--, x += pitch) {
      const int8_t *tap = x;
      for (int32_t left = r->cols; left > 0;) {
        int32_t n = left < 256 ? left : 256;
        left -= n;
        held += n;
        if (held > 256) {
          flush(&s, factor, acc);
          s.even = s.odd = 0;
          held = n;
        }
        if (n >= 4) {
          tap = add_words(&s, tap, step, n >> 2);
          n &= 3;
        }
        for (; n > 0; n--, tap += step) add_word(&s, hn_load(tap));
      }
    }
  }
  flush(&s, factor, acc);
  const int32_t multiplier = r->multiplier, zero_out = r->zero_out;
  y[0] = (int8_t)hn_requantise(acc[0], multiplier, zero_out);
  y[1] = (int8_t)hn_requantise(acc[1], multiplier, zero_out);
  y[2] = (int8_t)hn_requantise(acc[2], multiplier, zero_out);
  y[3] = (int8_t)hn_requantise(acc[3], multiplier, zero_out);
}

HN_INLINE void means(const run *of, int8_t *y, int32_t cols) {
  const run own = *of, *r = &own; /* y cannot point into it */
  const int8_t *x = r->first;
  const int32_t channels = r->channels, last = channels - 4;
  for (int32_t pixel = r->pixels; pixel > 0; pixel--, x += r->stride, y += channels) {
    for (int32_t c = 0; c < channels; c = c < channels ? last : c)
      for (; c <= last; c += 4) mean(r, x + c, cols, y + c);
  }
}

/* Fewer than four channels. */
static void mean_bytes(const run *of, int8_t *y) {
  const run own = *of, *r = &own;
  const int8_t *x = r->first;
  for (int32_t pixel = r->pixels; pixel > 0; pixel--, x += r->stride) {
    for (int32_t c = 0; c < r->channels; c++) {
      int32_t total = 0;
      const int8_t *from = x + c;
      for (int32_t row = r->rows; row > 0; row--, from += r->pitch) {
        const int8_t *tap = from;
        for (int32_t n = r->cols; n > 0; n--, tap += r->step) total += *tap;
      }
      *y++ = (int8_t)hn_requantise(r->start + r->factor * total, r->multiplier, r->zero_out);
    }
  }
}

static void average(const run *r, int8_t *y) {
  const int32_t short_columns = r->rows <= 85;
  if (r->channels < 4) {
    mean_bytes(r, y);
  } else if (r->cols == 2 && short_columns) {
    means(r, y, 2);
  } else if (r->cols == 3 && short_columns) {
    means(r, y, 3);
  } else {
    means(r, y, 0);
  }
}

/* p0: multiplier of whole windows; p1: shift of sums to the left, at most 14. p2: 1 where windows reach into the
   padding: then constants holds the multipliers of windows of 1, 2, 3 ... values.
   y = zp_out + floor((2^p1 * (sum - n * zp_in) * multiplier + 2^31) / 2^32); the generator proves
   |255 * n * 2^p1| < 2^31. */
void hn_avg_pool(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                 void *scratch) {
  (void)x2;
  (void)scratch;
  each_run(l, x, y, l->p2 ? constants : 0, average);
}

/* The window is the whole image: one row. */
void hn_global_avg_pool(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                        void *scratch) {
  (void)constants;
  (void)x2;
  (void)scratch;
  const int32_t values = l->in_h * l->in_w, channels = l->in_c, factor = 1 << l->p1;
  const run r = {.first = x,
                 .pixels = 1,
                 .rows = 1,
                 .cols = values,
                 .step = channels,
                 .channels = channels,
                 .start = -(values * l->zp_in) * factor,
                 .multiplier = l->p0,
                 .factor = factor,
                 .zero_out = l->zp_out};
  average(&r, y);
  hn_restrict(y, channels, l->low, l->high);
}

/* Bytewise: SSUB8 leaves in the GE flags where a >= b, and SEL takes a there. */
HN_INLINE uint32_t larger(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(result) : "r"(a), "r"(b) : "cc");
  return result;
}

/* Maxima of four channels; cols 0: any window, 2: two rows and columns, 3: three columns. */
HN_INLINE uint32_t largest(const run *r, const int8_t *x, int32_t cols) {
  const int32_t step = r->step, pitch = r->pitch;
  if (cols == 2) {
    uint32_t one = hn_load(x), two = hn_load(x + step);
    uint32_t three = hn_load(x + pitch), four = hn_load(x + pitch + step);
    return larger(larger(one, two), larger(three, four));
  }
  uint32_t most = 0x80808080;
  int32_t row = r->rows;
  do {
    if (cols == 3) {
      uint32_t one = hn_load(x), two = hn_load(x + step), three = hn_load(x + 2 * step);
      most = larger(larger(most, one), larger(two, three));
    } else {
      const int8_t *tap = x;
      int32_t n = r->cols;
      for (; n >= 2; n -= 2, tap += 2 * step) {
        uint32_t one = hn_load(tap), two = hn_load(tap + step);
        most = larger(larger(most, one), two);
      }
      if (n) most = larger(most, hn_load(tap));
    }
    x += pitch;
  } while (--row);
  return most;
}

HN_INLINE void maxima(const run *of, int8_t *y, int32_t cols) {
  const run own = *of, *r = &own; /* y cannot point into it */
  const int8_t *x = r->first;
  const int32_t channels = r->channels, last = channels - 4;
  for (int32_t pixel = r->pixels; pixel > 0; pixel--, x += r->stride, y += channels) {
    for (int32_t c = 0; c < channels; c = c < channels ? last : c)
      for (; c <= last; c += 4) hn_store(y + c, largest(r, x + c, cols));
  }
}

/* Fewer than four channels. */
static void maximum_bytes(const run *of, int8_t *y) {
  const run own = *of, *r = &own;
  const int8_t *x = r->first;
  for (int32_t pixel = r->pixels; pixel > 0; pixel--, x += r->stride) {
    for (int32_t c = 0; c < r->channels; c++) {
      uint32_t most = 0x80;
      const int8_t *from = x + c;
      for (int32_t row = r->rows; row > 0; row--, from += r->pitch) {
        const int8_t *tap = from;
        for (int32_t n = r->cols; n > 0; n--, tap += r->step) most = larger(most, (uint8_t)*tap);
      }
      *y++ = (int8_t)most;
    }
  }
}

static void maximum(const run *r, int8_t *y) {
  if (r->channels < 4) {
    maximum_bytes(r, y);
  } else if (r->cols == 2 && r->rows == 2) {
    maxima(r, y, 2);
  } else if (r->cols == 3) {
    maxima(r, y, 3);
  } else {
    maxima(r, y, 0);
  }
}

void hn_max_pool(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                 void *scratch) {
  (void)constants;
  (void)x2;
  (void)scratch;
  each_run(l, x, y, 0, maximum);
}
#endif
