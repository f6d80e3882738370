/* Depthwise convolution on cores with the DSP extension, channel by channel: copy a channel to a plane of 16-bit values
   with its padding, then compute its rows from there, see hn_dw_dsp.S. A channel is read before it is written, so the
   result may lie on the operand when both have the same shape.

   Scratch is the plane. Where a whole channel would take more than PLANE_LIMIT bytes, strips of rows are computed one
   after the other, and the rows that two strips share stay in the plane. */
#include "hn_dw_dsp.h"
#if HN_DSP
/* As hannah_hw.firmware.packing_dsp_depthwise has it. */
#define PLANE_LIMIT 2048

/* A depthwise convolution that is being computed. */
typedef struct {
  const hn_layer *l;
  int16_t *plane;
  int32_t pitch;   /* values of a row of the plane */
  int32_t columns; /* of the image that the plane holds */
  int32_t strip;   /* rows of outputs that a plane is enough for */
  int32_t careful; /* last rows whose tiles would write behind the result */
  hn_dw_kernel *kernel;
  hn_dw_rows rows;
} depthwise;

/* count is even */
HN_NOINLINE void set_plane(int16_t *to, int32_t value, int32_t count) {
  uint32_t pair = ((uint32_t)value & 0xffff) * 0x10001u;
  _Pragma("GCC unroll 1") for (; count > 0; count -= 2, to += 2) {
    hn_store(to, pair);
  }
}

/* Rows [begin, end) of the plane; row 0 is row `top` of the image. */
static HN_SMALL void fill_plane(const depthwise *d, const int8_t *x, int32_t top, int32_t begin, int32_t end) {
  const hn_layer *l = d->l;
  int32_t first = top + begin < 0 ? -top : begin, last = top + end > l->in_h ? l->in_h - top : end;
  first = first < end ? first : end;
  last = last > first ? last : first;
  if (d->strip < l->out_h) {
    /* Other rows of the plane hold the zero point from the begin on. */
    set_plane(d->plane + begin * d->pitch, l->zp_in, (first - begin) * d->pitch);
    set_plane(d->plane + last * d->pitch, l->zp_in, (end - last) * d->pitch);
  }
  if (last > first && d->columns > 0) {
    hn_dw_image image = {d->columns, last - first, (l->in_w - d->columns) * l->in_c, 2 * (d->pitch - d->columns)};
    int16_t *to = d->plane + first * d->pitch + l->pad_left;
    hn_dw_gather(x + (top + first) * l->in_w * l->in_c, to, l->in_c, &image);
  }
}

/* Rows of outputs, the last of which may not write behind their end. */
static HN_SMALL void compute_rows(depthwise *d, const int32_t *record, int8_t *out, int32_t count) {
  const hn_layer *l = d->l;
  const int16_t *plane = d->plane;
  int32_t fast = count > d->careful ? count - d->careful : 0;
  if (fast) {
    d->rows.rows = fast;
    d->kernel(record, plane, out, &d->rows);
  }
  if (fast == count) {
    return;
  }
  int32_t width = l->out_w, whole = width >> 2, rest = width & 3;
  int32_t row_values = l->stride_h * d->pitch, tile_values = 4 * l->stride_w;
  hn_dw_rows rows = {.zero = l->zp_out, .rows = 1, .pitch = 2 * d->pitch};
  plane += fast * row_values;
  out += fast * width * l->in_c;
  for (int32_t row = fast; row < count; row++, plane += row_values) {
    int8_t last[4];
    if (whole) {
      rows.step = l->in_c;
      rows.width = 2 * whole * tile_values;
      d->kernel(record, plane, out, &rows);
      out += 4 * whole * l->in_c;
    }
    rows.step = 1;
    rows.width = 2 * tile_values;
    d->kernel(record, plane + whole * tile_values, last, &rows);
    for (int32_t i = 0; i < rest; i++, out += l->in_c) {
      *out = last[i];
    }
  }
}

/* words: of a record; pitch: values of a row of the plane; reach: rows of a window. */
HN_NOINLINE HN_SMALL void convolve(const hn_layer *l, const int32_t *record, const int8_t *x, int8_t *y, void *scratch,
                          int32_t words, int32_t pitch, int32_t reach,
                          void (*compute)(depthwise *, const int32_t *, int8_t *, int32_t),
                          hn_dw_kernel *kernel) {
  depthwise d;
  d.l = l;
  d.plane = scratch;
  d.pitch = pitch;
  d.columns = l->in_w < pitch - l->pad_left ? l->in_w : pitch - l->pad_left;
  d.kernel = kernel;
  int32_t tiles = (l->out_w + 3) >> 2, beyond = 4 * tiles - l->out_w;
  d.careful = (beyond + l->out_w - 1) / l->out_w;
  d.rows.zero = l->zp_out;
  d.rows.step = l->in_c;
  d.rows.pitch = 2 * pitch;
  d.rows.width = tiles * 8 * l->stride_w;
  d.rows.next_row = 2 * pitch * l->stride_h - d.rows.width;
  d.rows.next_out = -beyond * l->in_c;
  int32_t room = PLANE_LIMIT / (2 * pitch) - reach;
  d.strip = room < 0 ? 1 : room / l->stride_h + 1;
  d.strip = d.strip < l->out_h ? d.strip : l->out_h;
  int32_t shared = reach - l->stride_h;
  set_plane(d.plane, l->zp_in, pitch * ((d.strip - 1) * l->stride_h + reach));
  for (int32_t channel = 0; channel < l->in_c; channel++, x++, y++, record += words) {
    int8_t *out = y;
    int32_t kept = 0, top = -l->pad_top;
    for (int32_t row = 0; row < l->out_h; row += d.strip) {
      int32_t count = l->out_h - row < d.strip ? l->out_h - row : d.strip;
      fill_plane(&d, x, top, kept, (count - 1) * l->stride_h + reach);
      compute(&d, record, out, count);
      out += count * l->out_w * l->in_c;
      top += count * l->stride_h;
      if (shared > 0 && row + count < l->out_h) {
        const int16_t *from = d.plane + count * l->stride_h * pitch;
        for (int32_t i = 0; i < shared * pitch; i += 2) {
          hn_store(d.plane + i, hn_load(from + i));
        }
        kept = shared;
      }
    }
  }
  hn_restrict(y - l->in_c, l->out_h * l->out_w * l->out_c, l->low, l->high);
}

/* A square window of one stride. */
typedef struct {
  hn_dw_kernel *kernel;
  int32_t words; /* of a record */
} square;

/* The kernels below pass what they are in the place of the second operand, which there is none. */
HN_NOINLINE HN_SMALL void convolve_square(const hn_layer *l, const void *constants, const int8_t *x, const square *w,
                                          int8_t *y, void *scratch) {
  int32_t last = ((l->out_w + 3) & ~3) - 1, stride = l->stride_w;
  int32_t pitch = last * stride + l->kernel_w + stride - 1;
  convolve(l, constants, x, y, scratch, w->words, pitch, l->kernel_h, compute_rows, w->kernel);
}

#define SQUARE(name, words)                                                                                          \
  void hn_dw_##name(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,          \
                    void *scratch) {                                                                                 \
    static const square window = {hn_dw_rows_##name, words};                                                         \
    (void)x2;                                                                                                        \
    convolve_square(l, constants, x, &window, y, scratch);                                                           \
  }

SQUARE(3x3, 2 + 3 * 2)
SQUARE(3x3_s2, 2 + 3 * 2)
SQUARE(5x5, 2 + 5 * 4)
SQUARE(5x5_s2, 2 + 5 * 3)
SQUARE(7x7, 2 + 7 * 6)
SQUARE(7x7_s2, 2 + 7 * 4)

/* Any window. Record: bias, multiplier, for each row of the window its taps as pairs of 16-bit values; where columns
   have gaps between them, a pair is one tap and 0. */
static HN_SMALL void compute_any(depthwise *d, const int32_t *record, int8_t *out, int32_t count) {
  const hn_layer *l = d->l;
  int32_t pairs = l->dilation_w == 1 ? (l->kernel_w + 1) >> 1 : l->kernel_w;
  int32_t gap = l->dilation_w == 1 ? 2 : l->dilation_w, stride = l->stride_w;
  int32_t next = d->pitch * l->dilation_h - pairs * gap;
  for (int32_t row = 0; row < count; row++) {
    const int16_t *at = d->plane + row * l->stride_h * d->pitch;
    for (int32_t left = l->out_w; left > 0; left -= 4, at += 4 * stride) {
      int32_t y0 = record[0], y1 = y0, y2 = y0, y3 = y0;
      const int16_t *p = at;
      const int32_t *taps = record + 2;
      for (int32_t i = l->kernel_h; i > 0; i--, p += next) {
        for (int32_t j = pairs; j > 0; j--, p += gap) {
          int32_t pair = *taps++;
          y0 = hn_dot((int32_t)hn_load(p), pair, y0);
          y1 = hn_dot((int32_t)hn_load(p + stride), pair, y1);
          y2 = hn_dot((int32_t)hn_load(p + 2 * stride), pair, y2);
          y3 = hn_dot((int32_t)hn_load(p + 3 * stride), pair, y3);
        }
      }
      int32_t results[4] = {y0, y1, y2, y3};
      for (int32_t i = 0; i < (left < 4 ? left : 4); i++, out += l->in_c) {
        *out = hn_result(results[i], l->p1, record[1], d->rows.zero);
      }
    }
  }
}

void hn_dw_any(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y, void *scratch) {
  (void)x2;
  int32_t pairs = l->dilation_w == 1 ? (l->kernel_w + 1) >> 1 : l->kernel_w;
  /* A pair may reach one value beyond the window. */
  int32_t pitch = (((l->out_w + 3) & ~3) - 1) * l->stride_w + (l->kernel_w - 1) * l->dilation_w + 2;
  convolve(l, constants, x, y, scratch, 2 + l->kernel_h * pairs, (pitch + 1) & ~1,
           (l->kernel_h - 1) * l->dilation_h + 1, compute_any, 0);
}
#endif
