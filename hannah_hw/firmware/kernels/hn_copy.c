/* Kernels that move values. */
#include "hn_math.h"

HN_NOINLINE void copy(int8_t *to, const int8_t *from, int32_t bytes) {
  if (hn_words(from, (int32_t)(uintptr_t)to)) {
    for (; bytes >= 8; bytes -= 8, from += 8, to += 8) {
      uint32_t one = hn_load(from), two = hn_load(from + 4);
      hn_store(to, one);
      hn_store(to + 4, two);
    }
  }
  for (; bytes > 0; bytes--) *to++ = *from++;
}

HN_NOINLINE void fill(int8_t *to, int32_t value, int32_t bytes) {
  for (; bytes > 0; bytes--) *to++ = (int8_t)value;
}

/* One operand: p0 blocks of p1 bytes, each to p3 bytes behind the one before, the first to y + p2, through the 256
   bytes at constants + p4. */
void hn_concat(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
               void *scratch) {
  (void)x2;
  (void)scratch;
  const int8_t *table = (const int8_t *)constants + l->p4 + 128;
  y += l->p2;
  for (int32_t block = l->p0; block > 0; block--, y += l->p3 - l->p1) {
    int32_t left = l->p1;
    for (; left >= 4; left -= 4, x += 4, y += 4) {
      int32_t a = x[0], b = x[1], c = x[2], d = x[3];
      y[0] = table[a];
      y[1] = table[b];
      y[2] = table[c];
      y[3] = table[d];
    }
    for (; left > 0; left--) *y++ = table[*x++];
  }
}

/* p0 blocks of p1 bytes, each from p3 bytes behind the one before, the first from x + p2. */
void hn_slice(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
              void *scratch) {
  (void)constants;
  (void)x2;
  (void)scratch;
  x += l->p2;
  for (int32_t block = l->p0; block > 0; block--, x += l->p3, y += l->p1) copy(y, x, l->p1);
}

/* The zero point around the data. */
void hn_pad(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y, void *scratch) {
  (void)constants;
  (void)x2;
  (void)scratch;
  const int32_t row = l->in_w * l->in_c, left = l->pad_left * l->in_c, right = l->out_w * l->out_c - row - left;
  fill(y, l->zp_out, l->pad_top * l->out_w * l->out_c);
  y += l->pad_top * l->out_w * l->out_c;
  for (int32_t n = l->in_h; n > 0; n--, x += row) {
    fill(y, l->zp_out, left);
    copy(y + left, x, row);
    fill(y + left + row, l->zp_out, right);
    y += left + row + right;
  }
  fill(y, l->zp_out, (l->out_h - l->in_h - l->pad_top) * l->out_w * l->out_c);
}

/* Every pixel out_h / in_h by out_w / in_w times: p0 and p1. */
void hn_upsample(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                 void *scratch) {
  (void)constants;
  (void)x2;
  (void)scratch;
  const int32_t row = l->out_w * l->out_c;
  for (int32_t n = l->in_h; n > 0; n--) {
    const int8_t *first = y;
    for (int32_t m = l->in_w; m > 0; m--, x += l->in_c)
      for (int32_t times = l->p1; times > 0; times--, y += l->in_c) copy(y, x, l->in_c);
    for (int32_t times = l->p0; times > 1; times--, y += row) copy(y, first, row);
  }
}

/* The result in the order of its memory is three nested loops of p0, p1, p2 steps of p3, p4, p5 bytes through x. */
void hn_permute(const hn_layer *l, const void *constants, const int8_t *x, const int8_t *x2, int8_t *y,
                void *scratch) {
  (void)constants;
  (void)x2;
  (void)scratch;
  const int32_t step = l->p5;
  for (int32_t i = l->p0; i > 0; i--, x += l->p3) {
    const int8_t *row = x;
    for (int32_t j = l->p1; j > 0; j--, row += l->p4) {
      const int8_t *from = row;
      for (int32_t k = l->p2; k > 0; k--, from += step) *y++ = *from;
    }
  }
}
