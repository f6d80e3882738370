/* Convolutions and fully connected layers with Helium: where windows lie, around the tiles of hn_tiles_mve.S.

   Order of a window's elements: its columns one after the other, of each column the rows, of each row the channels of
   the group; padded to chunks of 16 elements, whose weights are 0. Streams of constants: see hn_tiles_mve.S, with
   channels padded to four; one stream for each group of input channels, of which there are p0.
   Scratch: the columns that the windows of up to SEGMENT neighbouring pixels reach, rounded up to the bytes that their
   last chunk reads. Pointwise and fully connected layers read the image itself; only a window whose last chunk would
   be read beyond the image's end is copied, to scratch of two windows. */
#include "hn_mve.h"
#if HN_MVE
#include <arm_mve.h>
#include <stddef.h>

/* As hannah_hw.firmware.packing_mve has it. Even. */
#define SEGMENT 16

_Static_assert(offsetof(hn_mve_tiles, lane) == HN_MVE_LANE, "assembly");
_Static_assert(offsetof(hn_mve_tiles, chunks) == HN_MVE_CHUNKS, "assembly");
_Static_assert(offsetof(hn_mve_tiles, out) == HN_MVE_OUT, "assembly");
_Static_assert(offsetof(hn_mve_tiles, lane_out) == HN_MVE_LANE_OUT, "assembly");
_Static_assert(offsetof(hn_mve_tiles, weights) == HN_MVE_WEIGHTS, "assembly");
_Static_assert(offsetof(hn_mve_tiles, channels) == HN_MVE_CHANNELS, "assembly");
_Static_assert(offsetof(hn_mve_tiles, zero) == HN_MVE_ZERO, "assembly");
_Static_assert(offsetof(hn_mve_tiles, high) == HN_MVE_HIGH, "assembly");
_Static_assert(offsetof(hn_mve_tiles, step) == HN_MVE_STEP, "assembly");
_Static_assert(offsetof(hn_mve_tiles, out_step) == HN_MVE_OUT_STEP, "assembly");
_Static_assert(offsetof(hn_mve_tiles, count) == HN_MVE_COUNT, "assembly");

/* Copy runs of bytes, each `pitch` bytes behind the one before it. */
HN_NOINLINE void copy_runs(int8_t *to, int32_t to_pitch, const int8_t *from, int32_t from_pitch, int32_t bytes,
                           int32_t runs) {
  for (; bytes > 0; bytes -= 16, to += 16, from += 16) {
    int8_t *write = to;
    const int8_t *read = from;
    mve_pred16_t inside = vctp8q((uint32_t)bytes);
    for (int32_t run = runs; run > 0; run--, write += to_pitch, read += from_pitch) {
      vstrbq_p_s8(write, vldrbq_z_s8(read, inside), inside);
    }
  }
}

HN_NOINLINE void set_runs(int8_t *to, int32_t pitch, int32_t value, int32_t bytes, int32_t runs) {
  int8x16_t values = vdupq_n_s8((int8_t)value);
  for (; bytes > 0; bytes -= 16, to += 16) {
    int8_t *write = to;
    mve_pred16_t inside = vctp8q((uint32_t)bytes);
    for (int32_t run = runs; run > 0; run--, write += pitch) {
      vstrbq_p_s8(write, values, inside);
    }
  }
}

/* Columns of the rows of windows, side by side in the image from column `left` on, with the zero point for what lies
   in the padding. x: the first channel of a group; bytes: channels of a group. */
static void copy_columns(const hn_layer *l, const int8_t *x, int8_t *to, int32_t top, int32_t left, int32_t columns,
                         int32_t bytes) {
  int32_t pitch = l->kernel_h * bytes;
  int32_t before = left < 0 ? -left : 0, last = l->in_w - left < columns ? l->in_w - left : columns;
  before = before < columns ? before : columns;
  last = last > before ? last : before;
  for (int32_t row = 0, y = top; row < l->kernel_h; row++, y += l->dilation_h, to += bytes) {
    if ((uint32_t)y >= (uint32_t)l->in_h) {
      set_runs(to, pitch, l->zp_in, bytes, columns);
      continue;
    }
    if (before > 0) {
      set_runs(to, pitch, l->zp_in, bytes, before);
    }
    copy_runs(to + before * pitch, pitch, x + (y * l->in_w + left + before) * l->in_c, l->in_c, bytes, last - before);
    if (last < columns) {
      set_runs(to + last * pitch, pitch, l->zp_in, bytes, columns - last);
    }
  }
}

/* Pixels whose windows lie `lane` bytes from each other. */
static void run(hn_mve_tiles *t, int32_t pixels, const int8_t *x, int8_t *y, int32_t lane) {
  t->x = x;
  t->out = y;
  t->lane = lane;
  t->step = 2 * lane;
  t->count = pixels >> 1;
  if (t->count) {
    hn_mve_tiles_4x2(t);
  }
  if (pixels & 1) {
    hn_mve_vector(t);
  }
}

static void prepare(const hn_layer *l, hn_mve_tiles *t, const void *constants, int32_t depth, int32_t channels) {
  t->chunks = (depth + 15) >> 4;
  t->weights = constants;
  t->channels = channels;
  t->lane_out = l->out_c;
  t->out_step = 2 * l->out_c;
  t->zero = l->zp_out;
  t->low = l->low;
  t->high = l->high;
}

void hn_conv_mve(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                 void *scratch) {
  (void)x2;
  int32_t groups = l->p0, bytes = l->in_c / groups, outputs = l->out_c / groups;
  int32_t column = l->kernel_h * bytes, depth = l->kernel_w * column;
  /* Columns from a pixel's window to the next one's; windows with gaps between their columns are copied apart. */
  int32_t apart = l->dilation_w > 1, columns = apart ? l->kernel_w : l->stride_w;
  hn_mve_tiles t;
  prepare(l, &t, constants, depth, outputs);
  for (int32_t group = 0; group < groups; group++, x += bytes) {
    int8_t *out = y + group * outputs;
    for (int32_t row = 0, top = -l->pad_top; row < l->out_h; row++, top += l->stride_h) {
      for (int32_t pixel = 0; pixel < l->out_w; pixel += SEGMENT) {
        int32_t pixels = l->out_w - pixel < SEGMENT ? l->out_w - pixel : SEGMENT;
        int32_t left = pixel * l->stride_w - l->pad_left;
        if (apart) {
          for (int32_t tap = 0; tap < pixels * l->kernel_w; tap++) {
            int32_t of = tap / l->kernel_w, at = left + of * l->stride_w + (tap - of * l->kernel_w) * l->dilation_w;
            copy_columns(l, x, (int8_t *)scratch + tap * column, top, at, 1, bytes);
          }
        } else {
          copy_columns(l, x, scratch, top, left, (pixels - 1) * l->stride_w + l->kernel_w, bytes);
        }
        run(&t, pixels, scratch, out, columns * column);
        out += pixels * l->out_c;
      }
    }
    t.weights = (const int8_t *)t.weights + ((outputs + 3) >> 2) * (32 + 64 * t.chunks);
  }
}

void hn_conv_1x1_mve(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                     void *scratch) {
  (void)x2;
  int32_t width = l->out_w, rows = l->out_h, lane = l->stride_w * l->in_c;
  if (l->stride_h == 1 && l->stride_w == 1) {
    width *= rows;
    rows = 1;
  }
  hn_mve_tiles t;
  prepare(l, &t, constants, l->in_c, l->out_c);
  const int8_t *end = x + l->in_h * l->in_w * l->in_c - 16 * t.chunks; /* the last window that may be read there */
  for (int32_t row = 0; row < rows; row++, x += l->stride_h * l->in_w * l->in_c) {
    int32_t inside = end - x < 0 ? 0 : (end - x) / lane + 1;
    inside = inside < width ? inside : width;
    run(&t, inside, x, y, lane);
    for (; inside < width; inside++) {
      copy_runs(scratch, 0, x + inside * lane, 0, l->in_c, 1);
      run(&t, 1, scratch, y + inside * l->out_c, 0);
    }
    y += width * l->out_c;
  }
}

void hn_fc_mve(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y, void *scratch) {
  (void)x2;
  hn_mve_tiles t;
  prepare(l, &t, constants, l->in_c, l->out_c);
  if (l->in_c & 15) {
    copy_runs(scratch, 0, x, 0, l->in_c, 1);
    x = scratch;
  }
  run(&t, 1, x, y, 0);
}
#endif
