/* Convolution of any window, stride, padding, dilation and number of groups, and fully connected layers.

   The windows of two pixels are copied to a patch, one word for an element of both (hn_portable.h); then all channels
   of the two pixels are computed from it. */
#include "hn_portable.h"

/* Elements of a window that follow each other in memory: whole rows, or the channels of one tap. */
typedef struct {
  int32_t taps; /* runs of a row of the window */
  int32_t size; /* elements of a run */
} runs;

/* Elements of two windows, both inside the data. */
HN_INLINE int32_t *pair_run(int32_t *patch, const int8_t *a, const int8_t *b, int32_t n) {
  for (; n >= 4; n -= 4, patch += 4, a += 4, b += 4) {
    patch[0] = hn_pair(a[0], b[0]);
    patch[1] = hn_pair(a[1], b[1]);
    patch[2] = hn_pair(a[2], b[2]);
    patch[3] = hn_pair(a[3], b[3]);
  }
  for (; n > 0; n--) *patch++ = hn_pair(*a++, *b++);
  return patch;
}

/* A run of one window into the low or the high half of the patch; x is NULL where it lies outside of the data. */
HN_NOINLINE int32_t *half_run(int32_t *patch, const int8_t *x, int32_t n, int32_t zero, int high) {
  if (!x) {
    for (; n > 0; n--, patch++) *patch = high ? hn_pair(*patch, zero) : zero;
  } else if (high) {
    for (; n >= 4; n -= 4, patch += 4, x += 4) {
      patch[0] = hn_pair(patch[0], x[0]);
      patch[1] = hn_pair(patch[1], x[1]);
      patch[2] = hn_pair(patch[2], x[2]);
      patch[3] = hn_pair(patch[3], x[3]);
    }
    for (; n > 0; n--, patch++) *patch = hn_pair(*patch, *x++);
  } else {
    for (; n >= 4; n -= 4, patch += 4, x += 4) {
      patch[0] = x[0];
      patch[1] = x[1];
      patch[2] = x[2];
      patch[3] = x[3];
    }
    for (; n > 0; n--) *patch++ = *x++;
  }
  return patch;
}

/* One window at (top, left), where it may reach into the padding. */
HN_NOINLINE void fill_half(const hn_layer *l, const runs *r, int32_t *patch, const int8_t *x, int32_t top,
                           int32_t left, int high) {
  const int32_t zero = l->zp_in, depth = l->p3;
  for (int32_t ky = l->kernel_h; ky > 0; ky--, top += l->dilation_h) {
    const int8_t *row = (uint32_t)top < (uint32_t)l->in_h ? x + (top * l->in_w + left) * l->in_c : 0;
    if (r->taps == 1) {
      int32_t before = left < 0 ? -left * depth : 0, behind = (left + l->kernel_w - l->in_w) * depth;
      if (!row || before > r->size) before = r->size;
      if (behind < 0) behind = 0;
      if (behind > r->size - before) behind = r->size - before;
      const int32_t inside = r->size - before - behind;
      if (before) patch = half_run(patch, 0, before, zero, high);
      if (inside) patch = half_run(patch, row + before, inside, zero, high);
      if (behind) patch = half_run(patch, 0, behind, zero, high);
    } else {
      int32_t column = left;
      for (int32_t kx = l->kernel_w; kx > 0; kx--, column += l->dilation_w) {
        int inside = row && (uint32_t)column < (uint32_t)l->in_w;
        patch = half_run(patch, inside ? row + (column - left) * l->in_c : 0, depth, zero, high);
      }
    }
  }
}

typedef struct {
  int32_t top, left; /* of its window */
  int32_t inside;    /* whether the whole window lies inside the data */
} pixel;

HN_INLINE pixel next_pixel(const hn_layer *l, const pixel *p, int32_t *left_in_row) {
  pixel next = {p->top, p->left + l->stride_w, 0};
  if (--*left_in_row == 0) {
    *left_in_row = l->out_w;
    next.left = -l->pad_left;
    next.top += l->stride_h;
  }
  int32_t bottom = next.top + (l->kernel_h - 1) * l->dilation_h;
  int32_t right = next.left + (l->kernel_w - 1) * l->dilation_w;
  next.inside = next.top >= 0 && next.left >= 0 && bottom < l->in_h && right < l->in_w;
  return next;
}

HN_NOINLINE void fill_patch(const hn_layer *l, const runs *r, int32_t *patch, const int8_t *x, const pixel *a,
                            const pixel *b) {
  if (!(a->inside && b->inside)) {
    fill_half(l, r, patch, x, a->top, a->left, 0);
    fill_half(l, r, patch, x, b->top, b->left, 1);
    return;
  }
  const int8_t *first = x + (a->top * l->in_w + a->left) * l->in_c;
  const int32_t other = ((b->top - a->top) * l->in_w + b->left - a->left) * l->in_c;
  const int32_t row = l->dilation_h * l->in_w * l->in_c, tap = l->dilation_w * l->in_c;
  for (int32_t ky = l->kernel_h; ky > 0; ky--, first += row) {
    const int8_t *from = first;
    for (int32_t kx = r->taps; kx > 0; kx--, from += tap) patch = pair_run(patch, from, from + other, r->size);
  }
}

/* All channels of two pixels. The stream holds for two channels each: biases; for every two elements of a window the
   weights of the first channel, then those of the second; multipliers. The result of the second pixel is written
   first: where y1 is y0, it is dropped. */
HN_NOINLINE void tiles(const int8_t *w, const int32_t *patch, int32_t quads, int32_t channels, int8_t *y0, int8_t *y1,
                       const hn_result *result) {
  hn_sums sums[4];
  const hn_sums *s = sums;
  int32_t ready = 0; /* channels whose sums are there */
  for (; channels > 0; channels -= 2, y0 += 2, y1 += 2, ready -= 2, s += 2) {
    const int32_t *biases = (const int32_t *)w, *multipliers = (const int32_t *)(w + 8 + 8 * quads);
    if (!ready) {
      s = sums;
#if HN_FOUR_CHANNELS
      ready = channels > 2 ? 4 : 2;
      (ready == 4 ? hn_portable_dots_4 : hn_portable_dots)(patch, w + 8, quads, sums);
#else
      ready = 2;
      hn_portable_dots(patch, w + 8, quads, sums);
#endif
    }
    w += 16 + 8 * quads;
    y1[0] = hn_requantise(biases[0] + s[0].high, multipliers[0], result);
    if (channels > 1) y1[1] = hn_requantise(biases[1] + s[1].high, multipliers[1], result);
    y0[0] = hn_requantise(biases[0] + hn_low_sum(&s[0]), multipliers[0], result);
    if (channels > 1) y0[1] = hn_requantise(biases[1] + hn_low_sum(&s[1]), multipliers[1], result);
  }
}

/* p0: groups; p1: elements of a window, rounded up to four; p2: bytes of the constants of a group; p3 and p4: channels
   of a group of the input and of the result. */
void hn_portable_conv(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                      void *scratch) {
  (void)x2;
  int32_t *patch = scratch;
  const int32_t groups = l->p0, depth = l->p1, in_c = l->p3, out_c = l->p4;
  const hn_result result = hn_result_of(l);
  runs r = {l->kernel_w, in_c};
  if (l->dilation_w == 1 && groups == 1) {
    r.taps = 1;
    r.size = l->kernel_w * in_c;
  }
  for (int32_t k = l->kernel_h * l->kernel_w * in_c; k < depth; k++) patch[k] = 0;
  for (int32_t group = 0; group < groups; group++, x += in_c, y += out_c) {
    const int8_t *stream = (const int8_t *)constants + group * l->p2;
    int8_t *out = y;
    int32_t left_in_row = 1;
    pixel b = {-l->pad_top - l->stride_h, 0, 0};
    for (int32_t left = l->out_h * l->out_w; left > 0; left -= 2, out += 2 * l->out_c) {
      const pixel a = next_pixel(l, &b, &left_in_row);
      b = left > 1 ? next_pixel(l, &a, &left_in_row) : a;
      fill_patch(l, &r, patch, x, &a, &b);
      tiles(stream, patch, depth >> 2, out_c, out, left > 1 ? out + l->out_c : out, &result);
    }
  }
}

/* The constants of a convolution with a 1x1 window; p1: features, rounded up to four. */
void hn_portable_fc(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                    void *scratch) {
  (void)x2;
  (void)scratch;
  const int32_t features = l->in_c, whole = features & ~3, stream = 16 + 2 * l->p1;
  const hn_result result = hn_result_of(l);
  for (int32_t rows = l->out_h * l->out_w; rows > 0; rows--, x += features) {
    const int8_t *w = constants;
    for (int32_t channels = l->out_c; channels > 0; channels -= 4, w += 2 * stream) {
      /* The last two channels may be alone; then they are computed twice. */
      const int32_t pairs = channels > 2 ? 2 : 1;
      int32_t sums[4] = {pairs > 1 ? stream : 0, 0, 0, 0};
      if (whole)
        hn_portable_fc_dots(x, w + 8, whole >> 2, sums);
      else
        sums[0] = 0;
      for (int32_t pair = 0; pair < pairs; pair++) {
        const int8_t *part = w + pair * stream;
        const int32_t *biases = (const int32_t *)part, *multipliers = (const int32_t *)(part + 8 + 2 * l->p1);
        const int8_t *rest = part + 8 + 2 * whole;
        int32_t a = biases[0] + sums[2 * pair], b = biases[1] + sums[2 * pair + 1];
        for (int32_t k = whole; k < features; k += 2, rest += 4) {
          a += rest[0] * x[k];
          b += rest[2] * x[k];
          if (k + 1 < features) {
            a += rest[1] * x[k + 1];
            b += rest[3] * x[k + 1];
          }
        }
        *y++ = hn_requantise(a, multipliers[0], &result);
        if (channels - 2 * pair > 1) *y++ = hn_requantise(b, multipliers[1], &result);
      }
    }
  }
}
