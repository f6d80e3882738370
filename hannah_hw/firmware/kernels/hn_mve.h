/* What the kernels for cores with Helium (the M-profile vector extension for integers) share; C and assembly read it.

   Values are multiplied as vectors of 16 bytes. Windows lie one column after the other, a column being the rows'
   channels, so that windows of neighbouring pixels overlap in one buffer; their depth is padded to chunks of 16. */
#ifndef HN_MVE_H
#define HN_MVE_H

#if defined(__ARM_FEATURE_MVE) && __ARM_FEATURE_MVE
#define HN_MVE 1
#else
#define HN_MVE 0
#endif

/* Bytes from the begin of hn_mve_tiles to a field, for the assembly; hn_conv_mve.c asserts them. */
#define HN_MVE_LANE 4
#define HN_MVE_CHUNKS 8
#define HN_MVE_OUT 12
#define HN_MVE_LANE_OUT 16
#define HN_MVE_WEIGHTS 20
#define HN_MVE_CHANNELS 24
#define HN_MVE_ZERO 28
#define HN_MVE_HIGH 36
#define HN_MVE_STEP 40
#define HN_MVE_OUT_STEP 44
#define HN_MVE_COUNT 48

/* And from the begin of hn_mve_row; hn_dw_mve.c asserts them. */
#define HN_MVE_ROW_OUT_STEP 8
#define HN_MVE_ROW_COUNT 12
#define HN_MVE_ROW_VALID 16
#define HN_MVE_ROW_STRIDE 20
#define HN_MVE_ROW_ZERO 24
#define HN_MVE_ROW_LOW 28
#define HN_MVE_ROW_HIGH 32
#define HN_MVE_ROW_KERNEL_H 36
#define HN_MVE_ROW_PAIRS 40
#define HN_MVE_ROW_SINGLE 44
#define HN_MVE_ROW_GAP 48
#define HN_MVE_ROW_LINES 52

#ifndef __ASSEMBLER__
#include "hn_math.h"

/* Tiles of two pixels and all output channels that are computed in one call. */
typedef struct {
  const int8_t *x;     /* window of the first pixel */
  int32_t lane;        /* bytes to that of the second */
  int32_t chunks;      /* of a window */
  int8_t *out;
  int32_t lane_out;    /* bytes from a pixel's result to the other's */
  const void *weights; /* stream of constants */
  int32_t channels;
  int32_t zero, low, high;
  int32_t step;        /* bytes to the next tile's window, and to its result */
  int32_t out_step;
  int32_t count;       /* tiles */
} hn_mve_tiles;

/* A tile's count, x and out are used up. */
void hn_mve_tiles_4x2(hn_mve_tiles *t);
/* One pixel. */
void hn_mve_vector(const hn_mve_tiles *t);

/* Pixels of one row of a depthwise convolution, 16 channels. */
typedef struct {
  const void *record; /* constants of these channels */
  int8_t *out;
  int32_t out_step;   /* bytes to the next pixel's result */
  int32_t count;      /* pixels */
  int32_t valid;      /* channels that are written */
  int32_t stride;     /* bytes to the next pixel's window */
  int32_t zero, low, high;
  int32_t kernel_h, pairs, single; /* of a window: rows, pairs of taps in a row, whether a tap is left */
  int32_t gap;        /* bytes between neighbouring taps of a row */
  const int8_t *lines[]; /* row of the window -> its values */
} hn_mve_row;

void hn_mve_dw_3x3(const hn_mve_row *row);
void hn_mve_dw_any(const hn_mve_row *row);
#endif
#endif
