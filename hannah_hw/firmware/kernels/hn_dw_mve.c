/* Depthwise convolution with Helium, 16 channels at a time, see hn_dw_mve.S: lines of the image are copied to scratch
   with their padding, where they stay while windows reach them. A line is copied before the row of results that may
   replace it is written, so the result may lie on the operand when both have the same shape and strides are 1.

   Scratch: hn_mve_row with its pointers to lines, then the lines, 16 bytes a column. */
#include "hn_mve.h"
#if HN_MVE
#include <arm_mve.h>
#include <stddef.h>

_Static_assert(offsetof(hn_mve_row, out_step) == HN_MVE_ROW_OUT_STEP, "assembly");
_Static_assert(offsetof(hn_mve_row, count) == HN_MVE_ROW_COUNT, "assembly");
_Static_assert(offsetof(hn_mve_row, valid) == HN_MVE_ROW_VALID, "assembly");
_Static_assert(offsetof(hn_mve_row, stride) == HN_MVE_ROW_STRIDE, "assembly");
_Static_assert(offsetof(hn_mve_row, zero) == HN_MVE_ROW_ZERO, "assembly");
_Static_assert(offsetof(hn_mve_row, low) == HN_MVE_ROW_LOW, "assembly");
_Static_assert(offsetof(hn_mve_row, high) == HN_MVE_ROW_HIGH, "assembly");
_Static_assert(offsetof(hn_mve_row, kernel_h) == HN_MVE_ROW_KERNEL_H, "assembly");
_Static_assert(offsetof(hn_mve_row, pairs) == HN_MVE_ROW_PAIRS, "assembly");
_Static_assert(offsetof(hn_mve_row, single) == HN_MVE_ROW_SINGLE, "assembly");
_Static_assert(offsetof(hn_mve_row, gap) == HN_MVE_ROW_GAP, "assembly");
_Static_assert(offsetof(hn_mve_row, lines) == HN_MVE_ROW_LINES, "assembly");

HN_INLINE int8_t *set_columns(int8_t *to, int32_t value, int32_t columns) {
  int8x16_t values = vdupq_n_s8((int8_t)value);
  for (; columns > 0; columns--, to += 16) {
    vstrbq_s8(to, values);
  }
  return to;
}

/* Row y of the image, its first channels from x on, to a line of columns. */
HN_NOINLINE void copy_line(const hn_layer *l, const int8_t *x, int32_t y, int8_t *to, int32_t columns,
                           int32_t channels) {
  if ((uint32_t)y >= (uint32_t)l->in_h) {
    set_columns(to, l->zp_in, columns);
    return;
  }
  int32_t before = l->pad_left < columns ? l->pad_left : columns, left = columns - before;
  int32_t inside = l->in_w < left ? l->in_w : left;
  to = set_columns(to, l->zp_in, before);
  mve_pred16_t valid = vctp8q((uint32_t)channels);
  const int8_t *from = x + y * l->in_w * l->in_c;
  for (int32_t column = inside; column > 0; column--, to += 16, from += l->in_c) {
    vstrbq_s8(to, vldrbq_z_s8(from, valid));
  }
  set_columns(to, l->zp_in, left - inside);
}

void hn_dw_mve(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y, void *scratch) {
  (void)x2;
  hn_mve_row *row = scratch;
  int8_t *ring = (int8_t *)&row->lines[l->kernel_h];
  int32_t columns = (l->out_w - 1) * l->stride_w + (l->kernel_w - 1) * l->dilation_w + 1;
  int32_t reach = (l->kernel_h - 1) * l->dilation_h + 1;
  int square = l->kernel_h == 3 && l->kernel_w == 3 && l->dilation_w == 1;
  row->record = constants;
  row->out_step = l->in_c;
  row->count = l->out_w;
  row->stride = 16 * l->stride_w;
  row->zero = l->zp_out;
  row->low = l->low;
  row->high = l->high;
  row->kernel_h = l->kernel_h;
  row->pairs = l->kernel_w >> 1;
  row->single = l->kernel_w & 1;
  row->gap = 16 * l->dilation_w;
  for (int32_t channel = 0; channel < l->in_c; channel += 16) {
    row->valid = l->in_c - channel < 16 ? l->in_c - channel : 16;
    row->out = y + channel;
    int32_t filled = 0; /* lines, counted from the first row of the padding on */
    for (int32_t i = 0, first = 0; i < l->out_h; i++, first += l->stride_h) {
      for (int32_t line = filled > first ? filled : first; line < first + reach; line++) {
        copy_line(l, x + channel, line - l->pad_top, ring + line % reach * 16 * columns, columns, row->valid);
      }
      filled = first + reach;
      for (int32_t tap = 0; tap < l->kernel_h; tap++) {
        row->lines[tap] = ring + (first + tap * l->dilation_h) % reach * 16 * columns;
      }
      if (square) {
        hn_mve_dw_3x3(row);
      } else {
        hn_mve_dw_any(row);
      }
      row->out += l->out_w * l->in_c;
    }
    row->record = (const int8_t *)row->record + 128 + 16 * l->kernel_h * l->kernel_w;
  }
}
#endif
