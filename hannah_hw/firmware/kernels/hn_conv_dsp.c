/* Convolutions on cores with the DSP extension: which windows are copied how, around the tiles of hn_tiles_dsp.S.

   Order of a window's elements: of each row the whole words, then the tails of all rows, which are what a row has
   beyond words. Constants of a group of input channels: see hn_tiles_dsp.S, with channels padded to four and elements
   to four.
   p0 is how many groups of input channels there are, p1 a shift of accumulators (unpaired weights only).
   Scratch: the patch, then a window of bytes for each lane where windows are copied before: those that reach into
   padding or have gaps, and with four lanes those that begin in different rows. */
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
  const int8_t *x;   /* the first channel of a group */
  int32_t channels;  /* of the group */
  int32_t lanes;     /* pixels of a tile */
  int8_t *copies;    /* scratch for a window of each lane */
  int32_t row_bytes; /* of a window */
  int contiguous;    /* whether a row of a window is one run of bytes */
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

HN_NOINLINE int8_t *set_bytes(int8_t *to, int32_t value, int32_t count) {
  uint32_t word = ((uint32_t)value & 0xff) * 0x01010101u;
  _Pragma("GCC unroll 1") for (; count >= 4; count -= 4, to += 4) {
    hn_store(to, word);
  }
  while (count-- > 0) {
    *to++ = (int8_t)value;
  }
  return to;
}

HN_NOINLINE int8_t *copy_bytes(int8_t *to, const int8_t *from, int32_t count) {
  for (; count >= 16; count -= 16, to += 16, from += 16) {
    uint32_t a = hn_load(from), b = hn_load(from + 4), c = hn_load(from + 8), d = hn_load(from + 12);
    hn_store(to, a);
    hn_store(to + 4, b);
    hn_store(to + 8, c);
    hn_store(to + 12, d);
  }
  for (; count >= 4; count -= 4, to += 4, from += 4) {
    hn_store(to, hn_load(from));
  }
  while (count-- > 0) {
    *to++ = *from++;
  }
  return to;
}

/* Copy columns of the rows of a window, with the zero point for what lies in the padding. */
static int8_t *copy_rows(const convolution *c, int8_t *to, corner at, int32_t columns) {
  const hn_layer *l = c->l;
  int32_t channels = c->channels, zero = l->zp_in, before = at.x < 0 ? -at.x : 0;
  int32_t last = l->in_w - at.x < columns ? l->in_w - at.x : columns;
  before = before < columns ? before : columns;
  last = last > before ? last : before;
  for (int32_t row = l->kernel_h, y = at.y; row > 0; row--, y += l->dilation_h) {
    const int8_t *from = c->x + (y * l->in_w + at.x) * l->in_c;
    if ((uint32_t)y >= (uint32_t)l->in_h) {
      to = set_bytes(to, zero, columns * channels);
    } else if (c->contiguous) {
      to = set_bytes(to, zero, before * channels);
      to = copy_bytes(to, from + before * channels, (last - before) * channels);
      to = set_bytes(to, zero, (columns - last) * channels);
    } else {
      for (int32_t tap = 0, x = at.x; tap < columns; tap++, x += l->dilation_w) {
        int inside = (uint32_t)x < (uint32_t)l->in_w;
        to = inside ? copy_bytes(to, from, channels) : set_bytes(to, zero, channels);
        from += l->dilation_w * l->in_c;
      }
    }
  }
  return to;
}

/* How many windows from this one on, in the same row of the result, lie side by side in the image. */
static int32_t windows_inside(const hn_layer *l, corner at, int32_t left) {
  int32_t room = l->in_w - at.x - (l->kernel_w - 1) * l->dilation_w - 1;
  if (at.y < 0 || at.x < 0 || at.y + (l->kernel_h - 1) * l->dilation_h >= l->in_h || room < 0) {
    return 0;
  }
  int32_t fit = room / l->stride_w + 1;
  return fit < left ? fit : left;
}

/* Where the windows of tiles are: bytes from a row to the next and from a lane to the next. */
HN_NOINLINE void place(convolution *c, const int8_t *source, int32_t pitch, int32_t lane_step) {
  hn_tiles *t = &c->t;
  t->source = source;
  t->lane_step = lane_step;
  t->source_step = c->lanes * lane_step;
  t->row_skip = pitch - 4 * t->row_words;
  t->tail_skip = pitch - t->tail;
  t->rewind = t->rows * pitch - 4 * t->row_words;
}

/* One tile of up to `lanes` pixels whose windows lie anywhere. */
HN_NOINLINE HN_SMALL void place_tile(convolution *c, int32_t pixel, int32_t left, int32_t valid, int32_t pitch) {
  const hn_layer *l = c->l;
  corner at = corner_of(l, pixel), next = corner_of(l, pixel + valid - 1);
  int32_t channels = c->channels;
  if (c->contiguous && c->lanes == 2 && windows_inside(l, at, 1) && windows_inside(l, next, 1)) {
    const int8_t *source = c->x + (at.y * l->in_w + at.x) * l->in_c;
    place(c, source, pitch, ((next.y - at.y) * l->in_w + next.x - at.x) * l->in_c);
  } else if (c->contiguous && c->channels == l->in_c && valid <= left && l->stride_w <= l->kernel_w) {
    /* Windows in one row overlap. */
    int32_t columns = l->kernel_w + (valid - 1) * l->stride_w;
    copy_rows(c, c->copies, at, columns);
    place(c, c->copies, columns * channels, l->stride_w * channels);
  } else {
    int8_t *to = c->copies;
    for (int32_t lane = 0; lane < valid; lane++) {
      to = copy_rows(c, to, corner_of(l, pixel + lane), l->kernel_w);
    }
    place(c, c->copies, c->row_bytes, l->kernel_h * c->row_bytes);
  }
}

/* All pixels of the output channels of one group. */
static HN_SMALL void convolve_group(convolution *c, int8_t *y, void (*run)(hn_tiles *)) {
  const hn_layer *l = c->l;
  hn_tiles *t = &c->t;
  int32_t lanes = c->lanes, pixels = l->out_h * l->out_w, pitch = l->in_w * l->in_c * l->dilation_h;
  /* A 1x1 window of stride 1 sees all pixels as one row. */
  int flat = l->kernel_h * l->kernel_w == 1 && l->stride_h == 1 && l->stride_w == 1 && l->out_w == l->in_w &&
             l->out_h == l->in_h;
  int32_t width = flat ? pixels : l->out_w, column = 0;
  corner at = {-l->pad_top, -l->pad_left};
  for (int32_t pixel = 0; pixel < pixels;) {
    int32_t left = width - column, valid = pixels - pixel < lanes ? pixels - pixel : lanes;
    int32_t inside = !c->contiguous ? 0 : flat ? left : windows_inside(l, at, left);
    int32_t tiles = inside >= lanes ? inside / lanes : 1;
    t->count = tiles;
    t->out = y + pixel * l->out_c;
    if (inside >= lanes) {
      place(c, c->x + (at.y * l->in_w + at.x) * l->in_c, pitch, l->stride_w * l->in_c);
    } else {
      /* Beyond the last pixel a lane computes whatever there is; the lane before it writes to the same place later. */
      place_tile(c, pixel, left, valid, pitch);
      t->lane_out = valid > 1 ? l->out_c : 0;
      t->lane_out_2 = valid > 2 ? l->out_c : 0;
      t->lane_out_3 = valid > 3 ? l->out_c : 0;
    }
    run(t);
    pixel += tiles * lanes;
    column += tiles * lanes;
    at.x += tiles * lanes * l->stride_w;
    while (column >= width) {
      column -= width;
      at.x -= width * l->stride_w;
      at.y += l->stride_h;
    }
  }
  t->lane_out = t->lane_out_2 = t->lane_out_3 = l->out_c;
}

/* Which tiles compute a convolution. */
typedef struct {
  void (*run)(hn_tiles *);
  int32_t lanes; /* pixels of a tile */
  int32_t more;  /* channels of a tile less one */
} way;

/* The kernels below pass what they are in the place of the second operand, which there is none. */
HN_NOINLINE HN_SMALL void convolve(const hn_layer *l, const void *constants, const int8_t *x, const way *w, int8_t *y,
                                   void *scratch) {
  int32_t lanes = w->lanes, more = w->more;
  int32_t groups = l->p0, channels = l->in_c / groups, outputs = l->out_c / groups;
  int32_t row_bytes = l->kernel_w * channels, pairs = (l->kernel_h * row_bytes + 3) / 4 * 2;
  int32_t *patch = scratch;
  convolution c;
  c.l = l;
  c.x = x;
  c.channels = channels;
  c.lanes = lanes;
  c.copies = (int8_t *)(patch + lanes * pairs);
  c.row_bytes = row_bytes;
  c.contiguous = l->kernel_w == 1 || (l->dilation_w == 1 && groups == 1);
  c.t.before = patch - 1;
  c.t.last = patch + lanes * pairs - 1;
  /* The first step is not one of the unrolled ones. */
  c.t.skip = ((1 - pairs) & 7) * STEP_BYTES;
  c.t.zero = l->zp_out;
  c.t.lane_out = c.t.lane_out_2 = c.t.lane_out_3 = l->out_c;
  c.t.whole = outputs & ~more;
  c.t.rest = outputs & more;
  c.t.weights = (const int32_t *)constants - 1;
  c.t.rows = l->kernel_h;
  c.t.row_words = row_bytes >> 2;
  c.t.tail = row_bytes & 3;
  c.t.out_step = lanes * l->out_c;
  c.t.shift = l->p1;
  for (int32_t group = 0; group < groups; group++) {
    convolve_group(&c, y + group * outputs, w->run);
    c.x += channels;
    c.t.weights += (outputs + 3) / 4 * (8 + 2 * pairs);
  }
  hn_restrict(y, l->out_h * l->out_w * l->out_c, l->low, l->high);
}

void hn_conv_4x2(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                 void *scratch) {
  static const way tiles = {hn_tiles_4x2, 2, 3};
  (void)x2;
  convolve(l, constants, x, &tiles, y, scratch);
}

/* Tiles of 2 channels by 2 pixels with plain weights: for four elements of the window a word for each channel, whose
   bytes 0 and 2, and 1 and 3, are pairs. */
static void tiles_plain(hn_tiles *t) {
  for (; t->count > 0; t->count--, t->source += t->source_step, t->out += t->out_step) {
    const int32_t *weights = t->weights + 1;
    hn_fill_2(t, t->before + 1);
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
      /* The lane beyond the last pixel first: it has the same place. */
      int8_t *a = t->out + channel, *b = a + t->lane_out;
      *b = hn_result(first_b, t->shift, weights[0], t->zero);
      *a = hn_result(first_a, t->shift, weights[0], t->zero);
      if (channel + 1 < t->whole + t->rest) {
        b[1] = hn_result(second_b, t->shift, weights[1], t->zero);
        a[1] = hn_result(second_a, t->shift, weights[1], t->zero);
      }
      weights += 2;
    }
  }
}

void hn_conv_plain(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                   void *scratch) {
  static const way tiles = {tiles_plain, 2, 3};
  (void)x2;
  convolve(l, constants, x, &tiles, y, scratch);
}

void hn_conv_2x4(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                 void *scratch) {
  static const way tiles = {hn_tiles_2x4, 4, 1};
  (void)x2;
  convolve(l, constants, x, &tiles, y, scratch);
}
#endif
