/* Depthwise convolution on cores with the DSP extension: one channel as a plane of 16-bit values, padding included.

   hn_dw_rows_KxK[_s2](record, plane, out, rows) computes rows of outputs, four at a time. Two neighbouring values of
   the plane are a word, and SMLAD takes two taps of a row; at stride 1 the odd outputs begin in the middle of a word,
   so that their taps are paired differently, and a tap that is left over takes one half of a word (SMLABT, SMLATB).
   Record of a channel: bias, multiplier, then for each row of the window pairs of taps as 16-bit values:
     3x3, either stride: (0,1) (1,2)
     5x5: (0,1) (2,3) (1,2) (3,4)               stride 2: (0,1) (2,3) (3,4)
     7x7: (0,1) (2,3) (4,5) (1,2) (3,4) (5,6)   stride 2: (0,1) (2,3) (4,5) (5,6)
   A row that is no multiple of four outputs writes up to three more, which belong to the next rows and are written
   again with them; the caller sees to the last rows. */
#include "hn_dw_dsp.h"
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
  .syntax unified
  .thumb

/* Stack frame: where the tiles of this row end in the plane, then the fields of hn_dw_rows up to `step` */
#define END 0
#define ZERO 4
#define ROWS 8
#define WIDTH 12
#define NEXT_ROW 16
#define NEXT_OUT 20
#define STEP 24
#define FRAME 28

#define record r0
#define at r1
#define out r2
#define pitch r3
#define y0 r4 /* sums of four outputs */
#define y1 r5
#define y2 r6
#define y3 r7
#define xa r8 /* words of the plane */
#define xb r9
#define xc r10
#define ta r11 /* pairs of taps */
#define tb r12
#define step lr /* bytes from an output to the next */

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

/* To the first row. */
  .macro enter name
  begin \name
  push {r4-r11, lr}
  ldm r3, {r4-r10}
  mov pitch, r10
  mov step, r9
  sub sp, #FRAME
  add r10, r6, at
  str r10, [sp, #END]
  add r10, sp, #ZERO
  stm r10, {r4-r9}
  .endm

/* Results of a tile, and on to the next tile at `tile`, then to the next row. */
  .macro leave name, looped
  ldr xa, [record, #4]
  ldr xb, [sp, #ZERO]
  ldr xc, [sp, #END]
  .if \looped
  ldr step, [sp, #STEP]
  .endif
  smmlar y0, y0, xa, xb
  smmlar y1, y1, xa, xb
  smmlar y2, y2, xa, xb
  smmlar y3, y3, xa, xb
  ssat y0, #8, y0
  ssat y1, #8, y1
  ssat y2, #8, y2
  ssat y3, #8, y3
  strb.w y0, [out]
  strb.w y1, [out, step]
  strb.w y2, [out, step, lsl #1]
  add out, out, step, lsl #1
  strb.w y3, [out, step]
  add out, out, step, lsl #1
  cmp at, xc
  bne.w 1b
  ldr r4, [sp, #NEXT_ROW]
  ldr r5, [sp, #NEXT_OUT]
  ldr r6, [sp, #ROWS]
  ldr r7, [sp, #WIDTH]
  add at, r4
  add out, r5
  add r7, at
  str r7, [sp, #END]
  subs r6, #1
  str r6, [sp, #ROWS]
  bne.w 1b
  add sp, #FRAME
  pop {r4-r11, pc}
  end \name
  .endm

/* ---- 3x3. The sums of the first row begin at the bias, which is in y0. */
  .macro taps_3 s1, s2, s3
  smlatb y1, xa, ta, \s1
  smlad y2, xb, ta, \s2
  smlatb y3, xb, ta, \s3
  smlad y0, xa, ta, y0
  smlabt y0, xb, tb, y0
  smlad y1, xb, tb, y1
  smlabt y2, xc, tb, y2
  smlad y3, xc, tb, y3
  .endm

  enter hn_dw_rows_3x3
1:ldr y0, [record]
  ldr xb, [at, #4]
  ldr xc, [at, #8]
  ldr xa, [at], #8
  ldr ta, [record, #8]
  ldr tb, [record, #12]
  taps_3 y0, y0, y0
  add xa, at, pitch
  ldr xb, [xa, #-4]
  ldr xc, [xa]
  ldr xa, [xa, #-8]
  ldr ta, [record, #16]
  ldr tb, [record, #20]
  taps_3 y1, y2, y3
  add xa, at, pitch, lsl #1
  ldr xb, [xa, #-4]
  ldr xc, [xa]
  ldr xa, [xa, #-8]
  ldr ta, [record, #24]
  ldr tb, [record, #28]
  taps_3 y1, y2, y3
  leave hn_dw_rows_3x3, 0

/* ---- 3x3, stride 2: five words a row. `at` is behind the tile already. */
  .macro taps_3_s2 s1, s2, s3
  smlad y1, xb, ta, \s1
  smlad y2, xc, ta, \s2
  smlabt y1, xc, tb, y1
  .endm

  enter hn_dw_rows_3x3_s2
1:ldr y0, [record]
  ldr xb, [at, #4]
  ldr xc, [at, #8]
  ldr xa, [at], #16
  ldr ta, [record, #8]
  ldr tb, [record, #12]
  smlad y1, xb, ta, y0
  smlad y2, xc, ta, y0
  mov y3, y0
  smlad y0, xa, ta, y0
  smlabt y0, xb, tb, y0
  smlabt y1, xc, tb, y1
  ldr xa, [at, #-4]
  ldr xb, [at]
  smlad y3, xa, ta, y3
  smlabt y2, xa, tb, y2
  smlabt y3, xb, tb, y3
  .irp row, 1, 2
  add at, pitch
  ldr xa, [at, #-16]
  ldr xb, [at, #-12]
  ldr xc, [at, #-8]
  ldr ta, [record, #(8 + 8 * \row)]
  ldr tb, [record, #(12 + 8 * \row)]
  smlad y0, xa, ta, y0
  smlad y1, xb, ta, y1
  smlad y2, xc, ta, y2
  smlabt y0, xb, tb, y0
  smlabt y1, xc, tb, y1
  ldr xa, [at, #-4]
  ldr xb, [at]
  smlad y3, xa, ta, y3
  smlabt y2, xa, tb, y2
  smlabt y3, xb, tb, y3
  .endr
  sub at, at, pitch, lsl #1
  leave hn_dw_rows_3x3_s2, 0

/* ---- 5x5: four words of the plane and of taps a row; `row` is where its taps begin in the record */
  .macro row_5 row, s1, s2, s3
  ldr xa, [at, #-8]
  ldr xb, [at, #-4]
  ldr xc, [at]
  ldr ta, [record, #\row]
  ldr tb, [record, #(\row + 4)]
  smlatb y1, xa, ta, \s1
  smlad y2, xb, ta, \s2
  smlatb y3, xb, ta, \s3
  smlad y0, xa, ta, y0
  smlad y0, xb, tb, y0
  smlad y2, xc, tb, y2
  ldr xa, [at, #4]
  ldr ta, [record, #(\row + 8)]
  ldr tb, [record, #(\row + 12)]
  smlad y1, xb, ta, y1
  smlad y3, xc, ta, y3
  smlad y1, xc, tb, y1
  smlad y3, xa, tb, y3
  smlabt y0, xc, tb, y0
  smlabt y2, xa, tb, y2
  .endm

  enter hn_dw_rows_5x5
1:adds at, #8
  ldr y0, [record]
  row_5 8, y0, y0, y0
  .irp row, 24, 40, 56, 72
  add at, pitch
  row_5 \row, y1, y2, y3
  .endr
  sub at, at, pitch, lsl #2
  leave hn_dw_rows_5x5, 0

/* ---- Larger windows loop over their rows, counted in lr; the record moves along with the rows. */
  .macro enter_rows up, size
  ldr y0, [record], #8
  adds at, #\up
  movs lr, #\size
  mov y1, y0
  mov y2, y0
  mov y3, y0
  .endm

  .macro leave_rows size, bytes
  add at, pitch
  subs lr, #1
  bne 2b
  sub at, at, pitch, lsl #3
  .if \size == 5
  add at, at, pitch, lsl #1
  .endif
  add at, at, pitch
  sub record, record, #(8 + \size * \bytes)
  .endm

/* 5x5, stride 2: six words of the plane */
  enter hn_dw_rows_5x5_s2
1:enter_rows 16, 5
2:ldr xa, [at, #-16]
  ldr xb, [at, #-12]
  ldr xc, [at, #-8]
  ldr ta, [record]
  ldr tb, [record, #4]
  smlad y0, xa, ta, y0
  smlad y1, xb, ta, y1
  smlad y2, xc, ta, y2
  smlad y0, xb, tb, y0
  smlad y1, xc, tb, y1
  ldr xa, [at, #-4]
  ldr xb, [record, #8]
  smlad y3, xa, ta, y3
  smlad y2, xa, tb, y2
  smlabt y0, xc, xb, y0
  smlabt y1, xa, xb, y1
  ldr xc, [at]
  ldr xa, [at, #4]
  smlad y3, xc, tb, y3
  smlabt y2, xc, xb, y2
  smlabt y3, xa, xb, y3
  adds record, #12
  leave_rows 5, 12
  leave hn_dw_rows_5x5_s2, 1

/* 7x7: five words of the plane */
  enter hn_dw_rows_7x7
1:enter_rows 8, 7
2:ldr xa, [at, #-8]
  ldr xb, [at, #-4]
  ldr xc, [at]
  ldr ta, [record]
  ldr tb, [record, #4]
  smlatb y1, xa, ta, y1
  smlatb y3, xb, ta, y3
  smlad y0, xa, ta, y0
  smlad y2, xb, ta, y2
  smlad y0, xb, tb, y0
  smlad y2, xc, tb, y2
  ldr xa, [at, #4]
  ldr ta, [record, #8]
  ldr tb, [record, #12]
  smlad y0, xc, ta, y0
  smlad y2, xa, ta, y2
  smlad y1, xb, tb, y1
  smlad y3, xc, tb, y3
  ldr xb, [at, #8]
  ldr ta, [record, #16]
  ldr tb, [record, #20]
  smlad y1, xc, ta, y1
  smlad y3, xa, ta, y3
  smlad y1, xa, tb, y1
  smlad y3, xb, tb, y3
  smlabt y0, xa, tb, y0
  smlabt y2, xb, tb, y2
  adds record, #24
  leave_rows 7, 24
  leave hn_dw_rows_7x7, 1

/* 7x7, stride 2: seven words of the plane */
  enter hn_dw_rows_7x7_s2
1:enter_rows 16, 7
2:ldr xa, [at, #-16]
  ldr xb, [at, #-12]
  ldr xc, [at, #-8]
  ldr ta, [record]
  ldr tb, [record, #4]
  smlad y0, xa, ta, y0
  smlad y1, xb, ta, y1
  smlad y2, xc, ta, y2
  smlad y0, xb, tb, y0
  smlad y1, xc, tb, y1
  ldr xa, [at, #-4]
  ldr xb, [record, #8]
  smlad y3, xa, ta, y3
  smlad y2, xa, tb, y2
  smlad y0, xc, xb, y0
  smlad y1, xa, xb, y1
  ldr xc, [at]
  ldr ta, [record, #12]
  smlad y3, xc, tb, y3
  smlad y2, xc, xb, y2
  smlabt y0, xa, ta, y0
  smlabt y1, xc, ta, y1
  ldr xa, [at, #4]
  ldr xc, [at, #8]
  smlad y3, xa, xb, y3
  smlabt y2, xa, ta, y2
  smlabt y3, xc, ta, y3
  adds record, #16
  leave_rows 7, 16
  leave hn_dw_rows_7x7_s2, 1

/* ---- hn_dw_gather(x, plane, step, image): blocks of four pixels, unrolled four times and entered where the first pass
   has to begin, then what is left of a row one by one */
#undef step
#define from r0
#define to r1
#define step r2
#define step3 r3
#define entry r9
#define counts r10 /* passes through the blocks, and 65536 times the pixels left */
#define rows r11
#define row_skip r12
#define plane_skip lr
  begin hn_dw_gather
  push {r4-r11, lr}
  ldm r3, {r4, rows, row_skip, plane_skip}
  add step3, step, step, lsl #1
  lsrs r5, r4, #2
  and r6, r4, #3
  adds r7, r5, #3
  lsrs r7, r7, #2
  rsb r8, r5, r7, lsl #2
  orr counts, r7, r6, lsl #16
  adr.w entry, blocks
  add entry, entry, r8, lsl #5
  cbnz r5, 1f
  adr.w entry, single
1:orr entry, entry, #1 /* Thumb */
2:uxth r4, counts
  bx entry
  .balign 4
blocks:
  .rept 4 /* of 32 bytes */
  ldrsb.w r5, [from]
  ldrsb.w r6, [from, step]
  ldrsb.w r7, [from, step, lsl #1]
  ldrsb.w r8, [from, step3]
  add.w from, from, step, lsl #2
  strh r6, [to, #2]
  strh r7, [to, #4]
  strh.w r8, [to, #6]
  strh r5, [to], #8
  .endr
  subs r4, #1
  bne blocks
  .balign 4
single:
  lsrs r4, counts, #16
  beq 4f
3:ldrsb.w r5, [from]
  strh r5, [to], #2
  add from, step
  subs r4, #1
  bne 3b
4:add from, row_skip
  add to, plane_skip
  subs rows, #1
  bne 2b
  pop {r4-r11, pc}
  end hn_dw_gather
#endif
