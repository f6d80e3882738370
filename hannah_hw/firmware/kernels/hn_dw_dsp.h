/* What hn_dw_dsp.c and hn_dw_dsp.S share. */
#ifndef HN_DW_DSP_H
#define HN_DW_DSP_H
#ifndef __ASSEMBLER__
#include "hn_dsp.h"

/* Rows of outputs of one channel; the assembly reads the fields in this order. */
typedef struct {
  int32_t zero;     /* zero point of the result */
  int32_t rows;     /* of outputs */
  int32_t width;    /* bytes of the plane that the tiles of a row take */
  int32_t next_row; /* bytes of the plane from behind those to the next row's */
  int32_t next_out; /* bytes of the result from behind a row's tiles to the next row */
  int32_t step;     /* bytes from an output to the next */
  int32_t pitch;    /* bytes of a row of the plane */
} hn_dw_rows;

typedef void hn_dw_kernel(const int32_t *record, const int16_t *plane, int8_t *out, const hn_dw_rows *rows);
hn_dw_kernel hn_dw_rows_3x3, hn_dw_rows_3x3_s2, hn_dw_rows_5x5, hn_dw_rows_5x5_s2, hn_dw_rows_7x7, hn_dw_rows_7x7_s2;

/* Part of an image: bytes `step` apart in a row, to 16-bit values. */
typedef struct {
  int32_t width, rows;
  int32_t row_skip;   /* bytes from behind a row's last pixel to the next row's first */
  int32_t plane_skip; /* bytes of the plane from behind a row to the next */
} hn_dw_image;
void hn_dw_gather(const int8_t *x, int16_t *plane, int32_t step, const hn_dw_image *image);
#endif
#endif
