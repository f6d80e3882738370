/* What the kernels for cores with the DSP extension share; C and assembly both read it.

   Convolution: the windows of two or four neighbouring pixels ("lanes") are copied to a patch of 16-bit pairs. A pair
   is two elements of a window in one word; the words of all lanes for the same pair lie next to each other. Then a tile
   of channels by lanes is computed at a time, from the patch and one stream of constants. */
#ifndef HN_DSP_H
#define HN_DSP_H

/* Bytes from the begin of hn_tiles to a field, for the assembly; hn_conv_dsp.c asserts them. */
#define HN_TILES_OUT 16
#define HN_TILES_LANE_OUT 20
#define HN_TILES_WHOLE 24
#define HN_TILES_WEIGHTS 32
#define HN_TILES_COUNT 36
#define HN_TILES_SOURCE 40
#define HN_TILES_SOURCE_STEP 44
#define HN_TILES_LANE_STEP 48
#define HN_TILES_ROWS 52
#define HN_TILES_ROW_WORDS 56
#define HN_TILES_ROW_SKIP 60
#define HN_TILES_TAIL 64
#define HN_TILES_TAIL_SKIP 68
#define HN_TILES_REWIND 72
#define HN_TILES_OUT_STEP 76
#define HN_TILES_LANE_OUT_2 80
#define HN_TILES_LANE_OUT_3 84

#ifndef __ASSEMBLER__
#include "hn_math.h"

/* Tiles that are computed in one call. The first eight fields are copied to the stack as they are. */
typedef struct {
  int32_t *before;        /* the word before the patch */
  int32_t *last;          /* the last word of the patch */
  int32_t skip;           /* bytes of the unrolled steps that the first pass leaves out */
  int32_t zero;           /* zero point of the result */
  int8_t *out;            /* result of the first lane */
  int32_t lane_out;       /* bytes from a lane's result to the next lane's; 0 beyond the last pixel */
  int32_t whole;          /* channels in whole groups */
  int32_t rest;           /* and those in one group that has more */
  const int32_t *weights; /* the word before the stream of constants */
  int32_t count;          /* tiles */
  const int8_t *source;   /* the first lane's window, and how far it is to the next tile's and the next lane's */
  int32_t source_step, lane_step;
  int32_t rows;           /* of a window */
  int32_t row_words;      /* whole words of a row, and bytes from behind them to the next row */
  int32_t row_skip;
  int32_t tail;           /* bytes of a row beyond the words, and bytes from behind them to those of the next row */
  int32_t tail_skip;
  int32_t rewind;         /* bytes from behind the window back to the first tail */
  int32_t out_step;       /* bytes from a tile's result to the next tile's */
  int32_t lane_out_2, lane_out_3;
  int32_t shift;          /* of accumulators to the left, before they are scaled; unpaired weights only */
} hn_tiles;

/* Fill a patch of two lanes from t->source. */
void hn_fill_2(const hn_tiles *t, int32_t *patch);

/* Compute tiles; t->count and t->source are used up. */
void hn_tiles_4x2(hn_tiles *t);
void hn_tiles_2x4(hn_tiles *t);

/* Restrict a result that was saturated to 8 bits to [low, high]. */
void hn_restrict(int8_t *y, int32_t count, int32_t low, int32_t high);

/* Sign-extended bytes 0 and 2, and bytes 1 and 3. */
HN_INLINE int32_t hn_even_bytes(uint32_t word) {
  int32_t pair;
  __asm__("sxtb16 %0, %1" : "=r"(pair) : "r"(word));
  return pair;
}

HN_INLINE int32_t hn_odd_bytes(uint32_t word) {
  int32_t pair;
  __asm__("sxtb16 %0, %1, ror #8" : "=r"(pair) : "r"(word));
  return pair;
}

/* sum + a.low * b.low + a.high * b.high */
HN_INLINE int32_t hn_dot(int32_t a, int32_t b, int32_t sum) {
  int32_t result;
  __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
  return result;
}

/* zero + floor((acc * multiplier + 2^31) / 2^32), saturated to 8 bits */
HN_INLINE int32_t hn_requantise(int32_t acc, int32_t multiplier, int32_t zero) {
  int32_t result;
  __asm__("smmlar %0, %1, %2, %3\n\tssat %0, #8, %0" : "=&r"(result) : "r"(acc), "r"(multiplier), "r"(zero));
  return result;
}

/* The result of an accumulator that is shifted to the left before; what overflows saturates, as its result does. */
int8_t hn_result(int32_t acc, int32_t shift, int32_t multiplier, int32_t zero);

/* Functions that take little time and need not be long. */
#ifdef __clang__
#define HN_SMALL __attribute__((minsize))
#else
#define HN_SMALL __attribute__((optimize("Os")))
#endif
#endif
#endif
