/* Convolutions on cores with the DSP extension: which windows are copied how, around the tiles of hn_tiles_dsp.S.

   Order of a window's elements: of each row the whole words, then the tails of all rows, which are what a row has beyond
   words. Constants of a group of input channels: see hn_tiles_dsp.S, with channels padded to four and elements to four.
   p0 is how many groups of input channels there are, p1 a shift of accumulators (unpaired weights only).
   Scratch: the patch, then a row of a window for each of two lanes where windows reach into padding or have gaps. */
#include "hn_dsp.h"
#if HN_DSP
#include <stddef.h>

_Static_assert(offsetof(hn_tiles, out) == HN_TILES_OUT, "assembly");
_Static_assert(offsetof(hn_tiles, weights) == HN_TILES_WEIGHTS, "assembly");
_Static_assert(offsetof(hn_tiles, source) == HN_TILES_SOURCE, "assembly");
_Static_assert(offsetof(hn_tiles, lane_out_3) == HN_TILES_LANE_OUT_3, "assembly");

/* Bytes of code of a step of a tile. */
#define STEP_BYTES 56

/* A convolution that is being computed. */
typedef struct {
  const hn_layer *l;
  const int8_t *x; /* the group's first channel */
  int32_t channels, pitch;
  int8_t *rows; /* scratch for a row of two windows */
  int32_t lanes;
  hn_tiles t;
} convolution;

/* Top left corner of a window; may lie in the padding. */
typedef struct {
  int32_t y, x;
} corner;

HN_NOINLINE corner corner_of(const hn_layer *l, int32_t pixel) {
  int32_t row = pixel / l->out_w;
  corner c = {row * l->stride_h - l->pad_top, (pixel - row * l->out_w) * l->stride_w - l->pad_left};
  return c;
}

static void set_bytes(int8_t *to, int32_t value, int32_t count) {
  while (count-- > 0) {
    *to++ = (int8_t)value;
  }
}

static void copy_bytes(int8_t *to, const int8_t *from, int32_t count) {
  for (; count >= 4; count -= 4, to += 4, from += 4) {
    hn_store(to, hn_load(from));
  }
  for (; count > 0; count--) {
    *to++ = *from++;
  }
}

/* One row of a window, padding included. */
static void copy_row(const convolution *c, int8_t *to, int32_t y, int32_t x) {
  const hn_layer *l = c->l;
  int32_t channels = c->channels, gap = l->dilation_w;
  if ((uint32_t)y >= (uint32_t)l->in_h) {
    set_bytes(to, l->zp_in, l->kernel_w * channels);
  } else if (gap == 1 && channels == l->in_c) {
    int32_t first = x < 0 ? -x : 0, last = x + l->kernel_w > l->in_w ? l->in_w - x : l->kernel_w;
    first = first < l->kernel_w ? first : l->kernel_w;
    last = last > first ? last : first;
    set_bytes(to, l->zp_in, first * channels);
    copy_bytes(to + first * channels, c->x + (y * l->in_w + x + first) * channels, (last - first) * channels);
    set_bytes(to + last * channels, l->zp_in, (l->kernel_w - last) * channels);
  } else {
    for (int32_t tap = 0; tap < l->kernel_w; tap++, x += gap, to += channels) {
      if ((uint32_t)x < (uint32_t)l->in_w) {
        copy_bytes(to, c->x + (y * l->in_w + x) * l->in_c, channels);
      } else {
        set_bytes(to, l->zp_in, channels);
      }
    }
  }
}

HN_INLINE void fill(const convolution *c, const hn_tiles *t, int32_t *patch) {
  if (c->lanes == 2) {
    hn_fill_2(t, patch);
  } else {
    hn_fill_4(t, patch);
  }
}

/* Two lanes of a patch from windows anywhere. */
static void fill_anywhere(convolution *c, corner a, corner b, int32_t *patch) {
  const hn_layer *l = c->l;
  hn_tiles t = c->t;
  int32_t height = l->in_h, reach_x = l->in_w - (l->kernel_w - 1) * l->dilation_w;
  int32_t row_pairs = 2 * c->lanes * t.row_words;
  int contiguous = (l->dilation_w == 1 || l->kernel_w == 1) && (c->channels == l->in_c || l->kernel_w == 1);
  int inside_x = contiguous && (uint32_t)a.x < (uint32_t)reach_x && (uint32_t)b.x < (uint32_t)reach_x &&
                 reach_x > 0;
  int32_t top = a.y, gap = l->dilation_h;
  int32_t begin = 0, end = l->kernel_h;
  while (begin < end && top + begin * gap < 0) {
    begin++;
  }
  while (end > begin && top + (end - 1) * gap >= height) {
    end--;
  }
  int whole = end - begin == l->kernel_h;
  if (inside_x && ((whole && b.y >= 0 && b.y + (l->kernel_h - 1) * gap < height) || (a.y == b.y && !t.tail))) {
    /* Rows beyond the image are constant, the others are where they are. */
    uint32_t zero = ((uint32_t)l->zp_in & 0xffff) * 0x10001;
    for (int32_t row = 0; row < l->kernel_h; row++) {
      int32_t *to = patch + row * row_pairs;
      if (row < begin || row >= end) {
        for (int32_t i = 2 * t.row_words; i > 0; i--, to += c->lanes) {
          to[0] = to[1] = (int32_t)zero;
        }
      }
    }
    if (end > begin) {
      t.rows = end - begin;
      t.source = c->x + ((a.y + begin * gap) * l->in_w + a.x) * l->in_c;
      t.lane_step = ((b.y - a.y) * l->in_w + b.x - a.x) * l->in_c;
      fill(c, &t, patch + begin * row_pairs);
    }
    return;
  }
  int32_t row_bytes = l->kernel_w * c->channels, words = row_bytes & ~3, tail = t.tail, tails = 0;
  int8_t *second = c->rows + ((row_bytes + 3) & ~3);
  int16_t *rest = (int16_t *)(patch + l->kernel_h * row_pairs);
  t.rows = 1;
  t.tail = 0;
  t.source = c->rows;
  t.lane_step = second - c->rows;
  for (int32_t row = 0; row < l->kernel_h; row++) {
    copy_row(c, c->rows, a.y + row * gap, a.x);
    copy_row(c, second, b.y + row * gap, b.x);
    fill(c, &t, patch + row * row_pairs);
    for (int32_t i = 0; i < tail; i++, tails++) {
      int16_t *to = rest + 2 * c->lanes * (tails >> 1) + (tails & 1);
      to[0] = c->rows[words + i];
      to[2] = second[words + i];
    }
  }
}

/* How many windows from this one on, in the same row of the result, lie side by side in the image. */
static int32_t windows_inside(const hn_layer *l, corner at, int32_t pixel) {
  if (at.y < 0 || at.x < 0 || at.y + (l->kernel_h - 1) * l->dilation_h >= l->in_h) {
    return 0;
  }
  int32_t room = l->in_w - at.x - (l->kernel_w - 1) * l->dilation_w - 1;
  if (room < 0) {
    return 0;
  }
  int32_t fit = room / l->stride_w + 1, left = l->out_w - pixel % l->out_w;
  return fit < left ? fit : left;
}

/* All pixels of the output channels of one group. */
static void convolve_group(convolution *c, int8_t *y, void (*run)(hn_tiles *)) {
  const hn_layer *l = c->l;
  hn_tiles *t = &c->t;
  int32_t lanes = c->lanes, pixels = l->out_h * l->out_w, rows = l->kernel_h;
  /* A 1x1 window of stride 1 sees all pixels as one row. */
  int flat = rows * l->kernel_w == 1 && l->stride_h == 1 && l->stride_w == 1 && l->out_w == l->in_w &&
             l->out_h == l->in_h && !(l->pad_top | l->pad_left);
  int contiguous = (l->dilation_w == 1 || l->kernel_w == 1) && (c->channels == l->in_c || l->kernel_w == 1);
  for (int32_t pixel = 0; pixel < pixels;) {
    corner at = corner_of(l, pixel);
    int32_t count = !contiguous ? 0 : flat ? pixels - pixel : windows_inside(l, at, pixel);
    t->out = y + pixel * l->out_c;
    if (count >= lanes) {
      t->count = count / lanes;
      t->source = c->x + (at.y * l->in_w + at.x) * l->in_c;
      t->rows = rows;
      pixel += t->count * lanes;
      run(t);
      continue;
    }
    /* One tile whose windows lie anywhere; beyond the last pixel its lanes are copies. */
    corner corners[4];
    for (int32_t lane = 0; lane < lanes; lane++) {
      int32_t which = pixel + lane < pixels ? pixel + lane : pixels - 1;
      corners[lane] = corner_of(l, which);
    }
    hn_tiles saved = *t;
    fill_anywhere(c, corners[0], corners[1], t->before + 1);
    if (lanes == 4) {
      fill_anywhere(c, corners[2], corners[3], t->before + 3);
    }
    t->count = 1;
    t->rows = 0;
    t->lane_out = pixel + 1 < pixels ? l->out_c : 0;
    t->lane_out_2 = pixel + 2 < pixels ? l->out_c : 0;
    t->lane_out_3 = pixel + 3 < pixels ? l->out_c : 0;
    run(t);
    *t = saved;
    pixel += lanes;
  }
}

/* lanes: pixels of a tile; whole: channels of a tile less one. */
HN_NOINLINE void convolve(const hn_layer *l, const void *constants, const int8_t *x, int8_t *y, void *scratch,
                        int32_t lanes, int32_t whole, void (*run)(hn_tiles *)) {
  int32_t groups = l->p0, channels = l->in_c / groups, outputs = l->out_c / groups;
  int32_t row_bytes = l->kernel_w * channels, pitch = l->in_w * l->in_c * l->dilation_h;
  int32_t pairs = (l->kernel_h * row_bytes + 3) / 4 * 2;
  int32_t *patch = scratch;
  convolution c = {.l = l, .x = x, .channels = channels, .lanes = lanes};
  c.rows = (int8_t *)(patch + lanes * pairs);
  c.t.before = patch - 1;
  c.t.last = patch + lanes * pairs - 1;
  /* The first step is not one of the unrolled ones. */
  c.t.skip = (8 - (pairs - 1) % 8) % 8 * STEP_BYTES;
  c.t.zero = l->zp_out;
  c.t.whole = outputs & ~whole;
  c.t.rest = outputs & whole;
  c.t.lane_out = c.t.lane_out_2 = c.t.lane_out_3 = l->out_c;
  c.t.out_step = lanes * l->out_c;
  c.t.lane_step = l->stride_w * l->in_c;
  c.t.source_step = lanes * c.t.lane_step;
  c.t.row_words = row_bytes >> 2;
  c.t.tail = row_bytes & 3;
  c.t.row_skip = pitch - (row_bytes & ~3);
  c.t.tail_skip = pitch - c.t.tail;
  c.t.rewind = l->kernel_h * pitch - (row_bytes & ~3);
  c.t.shift = l->p1;
  c.t.weights = (const int32_t *)constants - 1;
  for (int32_t group = 0; group < groups; group++) {
    convolve_group(&c, y + group * outputs, run);
    c.x += channels;
    c.t.weights += (outputs + 3) / 4 * (8 + 2 * pairs);
  }
  hn_restrict(y, l->out_h * l->out_w * l->out_c, l->low, l->high);
}

void hn_conv_4x2(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                 void *scratch) {
  (void)x2;
  convolve(l, constants, x, y, scratch, 2, 3, hn_tiles_4x2);
}

/* Tiles of 2 channels by 2 pixels with plain weights: for four elements of the window a word for each channel, whose
   bytes 0 and 2, and 1 and 3, are pairs. */
static void tiles_plain(hn_tiles *t) {
  for (; t->count > 0; t->count--, t->source += t->source_step, t->out += t->out_step) {
    const int32_t *weights = t->weights + 1;
    if (t->rows) {
      hn_fill_2(t, t->before + 1);
    }
    for (int32_t channel = 0; channel < t->whole + t->rest; channel += 2) {
      int32_t first_a = weights[0], second_a = weights[1], first_b = first_a, second_b = second_a;
      weights += 2;
      for (const int32_t *pair = t->before + 1; pair <= t->last; pair += 4, weights += 2) {
        uint32_t first = (uint32_t)weights[0], second = (uint32_t)weights[1];
        int32_t even = hn_even_bytes(first), odd = hn_odd_bytes(first);
        first_a = hn_dot(odd, pair[2], hn_dot(even, pair[0], first_a));
        first_b = hn_dot(odd, pair[3], hn_dot(even, pair[1], first_b));
        even = hn_even_bytes(second);
        odd = hn_odd_bytes(second);
        second_a = hn_dot(odd, pair[2], hn_dot(even, pair[0], second_a));
        second_b = hn_dot(odd, pair[3], hn_dot(even, pair[1], second_b));
      }
      int8_t *a = t->out + channel, *b = a + t->lane_out;
      *b = (int8_t)hn_requantise(hn_shifted(first_b, t->shift), weights[0], t->zero);
      *a = (int8_t)hn_requantise(hn_shifted(first_a, t->shift), weights[0], t->zero);
      if (channel + 1 < t->whole + t->rest) {
        b[1] = (int8_t)hn_requantise(hn_shifted(second_b, t->shift), weights[1], t->zero);
        a[1] = (int8_t)hn_requantise(hn_shifted(second_a, t->shift), weights[1], t->zero);
      }
      weights += 2;
    }
  }
}

void hn_conv_plain(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                   void *scratch) {
  (void)x2;
  convolve(l, constants, x, y, scratch, 2, 3, tiles_plain);
}

void hn_conv_2x4(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                 void *scratch) {
  (void)x2;
  convolve(l, constants, x, y, scratch, 4, 1, hn_tiles_2x4);
}
#endif
