/* Tiles of a convolution on cores with the DSP extension: 4 channels by 2 pixels, or 2 channels by 4 pixels.

   Paired weights. A 16-bit lane of a weight word holds 256 * wB + wA, the weights of two channels for one element of
   the window; a word holds two elements. With the pair x of the patch,
       all += SMLAD(word, x)              so that in the end  all = 256 * B + A   (mod 2^32)
       low += SMLAD(SXTB16(word), x)                          low = A
   and B = (all - low) >> 8 is exact while |B| < 2^23, which the packer proves. One instruction unpacks four weights.

   Stream of constants of a group: for each channel pair {bias A, bias A + 256 * bias B}, then for each pair of elements
   one word for each channel pair, then a multiplier for each channel. Pointers stand one word before what is read next,
   so that the last load of a step updates them and no instruction has to.

   The first step writes all sums from the biases; the others are unrolled eight times and entered where the first pass
   has to begin. Results are stored bytewise; where the channels are no whole groups, the last group goes through a
   buffer. Loads stand together, since a load behind a load takes one cycle and not two. */
#include "hn_dsp.h"
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
  .syntax unified
  .thumb

/* Stack frame: the first eight fields of hn_tiles, with what depends on addresses put in. */
#define BEFORE 0
#define LAST 4
#define ENTRY 8
#define ZERO 12
#define OUT 16
#define LANE_OUT 20
#define END 24
#define REST 28
#define TILES 32
#define SAVED_OUT 36 /* 4x2: where a partial group's results belong, while they go to SPILL; else 0 */
#define SECOND 36    /* 2x4: bytes from the first channel of a group to the second */
#define SPILL 40
#define FRAME 48

  .macro begin name
  .section .text.\name, "ax", %progbits
  .balign 4
  .global \name
  .thumb_func
  .type \name, %function
\name:
  .endm

  .macro end name
  .size \name, . - \name
  .endm

/* ---- Filling two lanes of a patch. r0 first lane's window, r1 bytes to the second lane's, r2 patch, r3 hn_tiles;
   `lanes` is how many lanes the patch has. All registers but sp are changed. */

/* One word of each window: elements 0 to 3 become the pairs (0, 2) and (1, 3). a and b have the words of the lanes. */
  .macro unpack a, b, c, d
  sxtb16 \c, \a, ror #8
  sxtb16 \d, \b, ror #8
  sxtb16 \a, \a
  sxtb16 \b, \b
  .endm

  .macro fill lanes
  push {r3, r4, lr}
  ldr r4, [r3, #HN_TILES_ROWS]
  ldr r12, [r3, #HN_TILES_ROW_SKIP]
  ldr r5, [r3, #HN_TILES_ROW_WORDS]
  str r5, [sp, #4]
  mov lr, r4
1:ldr r3, [sp, #4]
  subs r3, #2
  blt 3f
2:ldr r5, [r0, r1]
  ldr r4, [r0], #4
  ldr r9, [r0, r1]
  ldr r8, [r0], #4
  unpack r4, r5, r6, r7
  unpack r8, r9, r10, r11
  str r4, [r2]
  str r5, [r2, #4]
  str r6, [r2, #(4 * \lanes)]
  str r7, [r2, #(4 * \lanes + 4)]
  str r8, [r2, #(8 * \lanes)]
  str r9, [r2, #(8 * \lanes + 4)]
  str r10, [r2, #(12 * \lanes)]
  str r11, [r2, #(12 * \lanes + 4)]
  adds r2, #(16 * \lanes)
  subs r3, #2
  bge 2b
3:adds r3, #2
  beq 4f
  ldr r5, [r0, r1]
  ldr r4, [r0], #4
  unpack r4, r5, r6, r7
  str r4, [r2]
  str r5, [r2, #4]
  str r6, [r2, #(4 * \lanes)]
  str r7, [r2, #(4 * \lanes + 4)]
  adds r2, #(8 * \lanes)
4:add r0, r12
  subs lr, #1
  bne 1b
  /* The tails of all rows, in their order, two of them a pair. */
  ldr r3, [sp]
  ldr r4, [r3, #HN_TILES_TAIL]
  cbz r4, 9f
  ldr r5, [r3, #HN_TILES_REWIND]
  ldr r6, [r3, #HN_TILES_ROWS]
  ldr r7, [r3, #HN_TILES_TAIL_SKIP]
  subs r0, r0, r5
  movs r3, #2
5:mov r5, r4
6:ldrsb r9, [r0, r1]
  ldrsb r8, [r0], #1
  strh r8, [r2]
  strh r9, [r2, #4]
  add r2, r3
  rsb r3, r3, #(4 * \lanes)
  subs r5, #1
  bne 6b
  add r0, r7
  subs r6, #1
  bne 5b
9:pop {r3, r4, pc}
  .endm

/* ---- What both tiles have in common */

/* Copy the fields to the stack. */
  .macro enter steps, state
  push {r4-r11, lr}
  sub sp, #FRAME
  str r0, [sp, #TILES]
  ldm r0, {r1-r8}
  adr.w r9, \steps
  add r3, r3, r9
  orr r3, r3, #1 /* Thumb */
  add r7, r7, r5
  stm sp, {r1-r8}
  movs r0, #\state
  str r0, [sp, #SAVED_OUT]
  .endm

/* On to the next tile, of hn_tiles in r3; the flags say zero when there is none. */
  .macro advance
  ldr r0, [r3, #HN_TILES_OUT]
  ldr r1, [r3, #HN_TILES_OUT_STEP]
  ldr r2, [r3, #HN_TILES_WHOLE]
  ldr r4, [r3, #HN_TILES_SOURCE]
  ldr r5, [r3, #HN_TILES_SOURCE_STEP]
  ldr r6, [r3, #HN_TILES_COUNT]
  add r0, r1
  add r2, r0
  add r4, r5
  str r0, [r3, #HN_TILES_OUT]
  str r0, [sp, #OUT]
  str r2, [sp, #END]
  str r4, [r3, #HN_TILES_SOURCE]
  subs r6, #1
  str r6, [r3, #HN_TILES_COUNT]
  .endm

/* ---- 4 channels by 2 pixels */
#define weights r0
#define patch r1
#define pair01 r2
#define pair23 r3
#define xa r12
#define xb lr
#define low01a r4
#define all01a r5
#define low23a r6
#define all23a r7
#define low01b r8
#define all01b r9
#define low23b r10
#define all23b r11

  .macro step_4x2
  ldr.w pair01, [weights, #4]
  ldr.w pair23, [weights, #8]!
  ldr.w xa, [patch, #4]
  ldr.w xb, [patch, #8]!
  smlad all01a, pair01, xa, all01a
  smlad all01b, pair01, xb, all01b
  smlad all23a, pair23, xa, all23a
  smlad all23b, pair23, xb, all23b
  sxtb16 pair01, pair01
  sxtb16 pair23, pair23
  smlad low01a, pair01, xa, low01a
  smlad low01b, pair01, xb, low01b
  smlad low23a, pair23, xa, low23a
  smlad low23b, pair23, xb, low23b
  .endm

  begin hn_tiles_4x2
  enter steps_4x2, 0
tile_4x2:
  ldr r3, [sp, #TILES]
  ldr r2, [sp, #BEFORE]
  ldr r0, [r3, #HN_TILES_SOURCE]
  ldr r1, [r3, #HN_TILES_LANE_STEP]
  adds r2, #4
  bl fill_2
  ldr r3, [sp, #TILES]
  ldr r1, [sp, #OUT]
  ldr r2, [sp, #END]
  ldr weights, [r3, #HN_TILES_WEIGHTS]
  cmp r1, r2
  beq.w rest_4x2
group_4x2:
  ldr.w low01a, [weights, #4]
  ldr.w all01a, [weights, #8]
  ldr.w low23a, [weights, #12]
  ldr.w all23a, [weights, #16]!
  ldr patch, [sp, #BEFORE]
  ldr.w pair01, [weights, #4]
  ldr.w pair23, [weights, #8]!
  ldr.w xa, [patch, #4]
  ldr.w xb, [patch, #8]!
  smlad all01b, pair01, xb, all01a
  smlad all23b, pair23, xb, all23a
  smlad all01a, pair01, xa, all01a
  smlad all23a, pair23, xa, all23a
  sxtb16 pair01, pair01
  sxtb16 pair23, pair23
  smlad low01b, pair01, xb, low01a
  smlad low23b, pair23, xb, low23a
  smlad low01a, pair01, xa, low01a
  smlad low23a, pair23, xa, low23a
  ldr r2, [sp, #ENTRY]
  bx r2
  .balign 4
steps_4x2:
  .rept 8
  step_4x2
  .endr
  ldr r2, [sp, #LAST]
  cmp patch, r2
  bne.w steps_4x2
  sub.w all01a, all01a, low01a
  sub.w all23a, all23a, low23a
  sub.w all01b, all01b, low01b
  sub.w all23b, all23b, low23b
  asr.w all01a, all01a, #8
  asr.w all23a, all23a, #8
  asr.w all01b, all01b, #8
  asr.w all23b, all23b, #8
  ldr r1, [sp, #ZERO]
  ldr.w r2, [weights, #4]
  ldr.w r3, [weights, #8]
  ldr.w r12, [weights, #12]
  ldr.w lr, [weights, #16]!
  smmlar low01a, low01a, r2, r1
  smmlar low01b, low01b, r2, r1
  smmlar all01a, all01a, r3, r1
  smmlar all01b, all01b, r3, r1
  smmlar low23a, low23a, r12, r1
  smmlar low23b, low23b, r12, r1
  smmlar all23a, all23a, lr, r1
  smmlar all23b, all23b, lr, r1
  ldr r1, [sp, #OUT]
  ldr r2, [sp, #LANE_OUT]
  ldr r3, [sp, #END]
  add r2, r1
  ssat low01a, #8, low01a
  ssat all01a, #8, all01a
  ssat low23a, #8, low23a
  ssat all23a, #8, all23a
  ssat low01b, #8, low01b
  ssat all01b, #8, all01b
  ssat low23b, #8, low23b
  ssat all23b, #8, all23b
  strb.w low01b, [r2]
  strb.w all01b, [r2, #1]
  strb.w low23b, [r2, #2]
  strb.w all23b, [r2, #3]
  strb all01a, [r1, #1]
  strb low23a, [r1, #2]
  strb all23a, [r1, #3]
  strb low01a, [r1], #4
  str r1, [sp, #OUT]
  cmp r1, r3
  bne.w group_4x2
rest_4x2:
  /* r1 is where the results of the rest of the channels belong. */
  ldr r2, [sp, #REST]
  cbz r2, advance_4x2
  ldr r3, [sp, #SAVED_OUT]
  cbnz r3, 7f
  str r1, [sp, #SAVED_OUT]
  add r1, sp, #SPILL
  adds r3, r1, #4
  str r1, [sp, #OUT]
  str r3, [sp, #END]
  movs r2, #4
  str r2, [sp, #LANE_OUT]
  b.w group_4x2
7:  ldr r4, [sp, #TILES]
  add r6, sp, #SPILL
  ldr r5, [r4, #HN_TILES_LANE_OUT]
  str r5, [sp, #LANE_OUT]
  add r5, r3
8:ldrb r0, [r6, #4]
  ldrb r1, [r6], #1
  strb r0, [r5], #1
  strb r1, [r3], #1
  subs r2, #1
  bne 8b
  str r2, [sp, #SAVED_OUT]
advance_4x2:
  ldr r3, [sp, #TILES]
  advance
  bne.w tile_4x2
  add sp, #FRAME
  pop {r4-r11, pc}
fill_2:
  fill 2
  end hn_tiles_4x2

/* hn_fill_2(hn_tiles, patch) */
  begin hn_fill_2
  push {r4-r11, lr}
  mov r2, r1
  mov r3, r0
  ldr r0, [r3, #HN_TILES_SOURCE]
  ldr r1, [r3, #HN_TILES_LANE_STEP]
  bl fill_2
  pop {r4-r11, pc}
  end hn_fill_2

#undef pair01
#undef pair23
#undef xa
#undef xb
#undef low01a
#undef all01a
#undef low23a
#undef all23a
#undef low01b
#undef all01b
#undef low23b
#undef all23b

/* ---- 2 channels by 4 pixels: half the reads of weights, for flash with wait states */
#define pair r2
#define half r3 /* the low weights of the pair */
#define x0 r12
#define x1 lr
#define lowa r4
#define alla r5
#define lowb r6
#define allb r7
#define lowc r8
#define allc r9
#define lowd r10
#define alld r11

  .macro step_2x4
  ldr.w pair, [weights, #4]!
  ldr.w x0, [patch, #4]
  ldr.w x1, [patch, #8]
  smlad alla, pair, x0, alla
  smlad allb, pair, x1, allb
  sxtb16 half, pair
  smlad lowa, half, x0, lowa
  smlad lowb, half, x1, lowb
  ldr.w x0, [patch, #12]
  ldr.w x1, [patch, #16]!
  smlad allc, pair, x0, allc
  smlad alld, pair, x1, alld
  smlad lowc, half, x0, lowc
  smlad lowd, half, x1, lowd
  .endm

  begin hn_tiles_2x4
  enter steps_2x4, 1
tile_2x4:
  ldr r3, [sp, #TILES]
  ldr r2, [sp, #BEFORE]
  ldr r0, [r3, #HN_TILES_SOURCE]
  ldr r1, [r3, #HN_TILES_LANE_STEP]
  adds r2, #4
  bl fill_4
  ldr r3, [sp, #TILES]
  ldr r2, [sp, #BEFORE]
  ldr r0, [r3, #HN_TILES_SOURCE]
  ldr r1, [r3, #HN_TILES_LANE_STEP]
  adds r2, #12
  add r0, r0, r1, lsl #1
  bl fill_4
  ldr r3, [sp, #TILES]
  ldr r1, [sp, #OUT]
  ldr r2, [sp, #END]
  ldr weights, [r3, #HN_TILES_WEIGHTS]
  cmp r1, r2
  beq.w rest_2x4
group_2x4:
  ldr.w lowa, [weights, #4]
  ldr.w alla, [weights, #8]!
  ldr patch, [sp, #BEFORE]
  ldr.w pair, [weights, #4]!
  ldr.w x1, [patch, #16]!
  ldr x0, [patch, #-4]
  smlad alld, pair, x1, alla
  smlad allc, pair, x0, alla
  sxtb16 half, pair
  smlad lowd, half, x1, lowa
  smlad lowc, half, x0, lowa
  ldr x1, [patch, #-8]
  ldr x0, [patch, #-12]
  smlad allb, pair, x1, alla
  smlad alla, pair, x0, alla
  smlad lowb, half, x1, lowa
  smlad lowa, half, x0, lowa
  ldr r2, [sp, #ENTRY]
  bx r2
  .balign 4
steps_2x4:
  .rept 8
  step_2x4
  .endr
  ldr r2, [sp, #LAST]
  cmp patch, r2
  bne.w steps_2x4
  sub.w alla, alla, lowa
  sub.w allb, allb, lowb
  sub.w allc, allc, lowc
  sub.w alld, alld, lowd
  asr.w alla, alla, #8
  asr.w allb, allb, #8
  asr.w allc, allc, #8
  asr.w alld, alld, #8
  ldr r1, [sp, #ZERO]
  ldr.w r2, [weights, #4]
  ldr.w r3, [weights, #8]!
  smmlar lowa, lowa, r2, r1
  smmlar lowb, lowb, r2, r1
  smmlar lowc, lowc, r2, r1
  smmlar lowd, lowd, r2, r1
  smmlar alla, alla, r3, r1
  smmlar allb, allb, r3, r1
  smmlar allc, allc, r3, r1
  smmlar alld, alld, r3, r1
  ssat lowa, #8, lowa
  ssat alla, #8, alla
  ssat lowb, #8, lowb
  ssat allb, #8, allb
  ssat lowc, #8, lowc
  ssat allc, #8, allc
  ssat lowd, #8, lowd
  ssat alld, #8, alld
  /* A lane beyond the last pixel writes to the place of the lane before, which is stored later. */
  ldr r3, [sp, #TILES]
  ldr r1, [sp, #OUT]
  ldr r2, [sp, #LANE_OUT]
  ldr r12, [r3, #HN_TILES_LANE_OUT_2]
  ldr lr, [r3, #HN_TILES_LANE_OUT_3]
  ldr r3, [sp, #SECOND]
  add r2, r1
  add r12, r2
  add lr, r12
  strb.w alld, [lr, r3]
  strb.w lowd, [lr]
  strb.w allc, [r12, r3]
  strb.w lowc, [r12]
  strb allb, [r2, r3]
  strb lowb, [r2]
  strb alla, [r1, r3]
  strb lowa, [r1]
  ldr r2, [sp, #END]
  adds r1, #2
  str r1, [sp, #OUT]
  cmp r1, r2
  bne.w group_2x4
rest_2x4:
  /* A single channel: both channels of its group are written to the same place, first the one that does not exist. */
  ldr r2, [sp, #REST]
  cbz r2, advance_2x4
  ldr r3, [sp, #SECOND]
  cbz r3, 7f
  movs r3, #0
  str r3, [sp, #SECOND]
  adds r3, r1, #2
  str r3, [sp, #END]
  b.w group_2x4
7:movs r3, #1
  str r3, [sp, #SECOND]
advance_2x4:
  ldr r3, [sp, #TILES]
  advance
  bne.w tile_2x4
  add sp, #FRAME
  pop {r4-r11, pc}
fill_4:
  fill 4
  end hn_tiles_2x4
#endif
