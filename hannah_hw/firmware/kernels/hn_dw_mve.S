/* Pixels of a row of a depthwise convolution with Helium, 16 channels at a time.

   Record: 16 biases, for each tap 16 weights, 16 multipliers. Products of bytes are 16-bit: those of channels 0, 2, ...
   in one vector and of 1, 3, ... in another. Those of two taps are added in 16 bit, which cannot overflow as no weight
   is -128, then to sums of 32 bit, again for every second lane; so q0 ... q3 are the channels from 0, 2, 1 and 3 on in
   steps of four, and so are biases and multipliers. Narrowing puts them back in their order. */
#include "hn_mve.h"
#if HN_MVE
  .syntax unified
  .thumb

/* q6 and q7, products in 16 bit, to the sums. */
.macro WIDEN
  vmovlb.s16 q4, q6
  vadd.i32 q0, q0, q4
  vmovlt.s16 q5, q6
  vadd.i32 q1, q1, q5
  vmovlb.s16 q4, q7
  vadd.i32 q2, q2, q4
  vmovlt.s16 q5, q7
  vadd.i32 q3, q3, q5
.endm

/* A tap: q6 and q7 are its products. r4: weights. */
.macro TAP line, at
  vldrb.u8 q4, [\line, #\at]
  vldrb.u8 q5, [r4], #16
  vmullb.s8 q6, q4, q5
  vmullt.s8 q7, q4, q5
.endm

/* Add a second tap's products. All registers are in use: its weights are loaded twice. */
.macro SECOND line, at
  vldrb.u8 q4, [\line, #\at]
  vldrb.u8 q5, [r4]
  vmullb.s8 q5, q4, q5
  vadd.i16 q6, q6, q5
  vldrb.u8 q5, [r4], #16
  vmullt.s8 q4, q4, q5
  vadd.i16 q7, q7, q4
.endm

.macro BEGIN
  push {r0, r4-r11, lr}
  vpush {d8-d15}
  ldr r1, [r0, #HN_MVE_ROW_VALID]
  vctp.8 r1 /* stays in VPR.P0 */
  ldrd r5, r6, [r0]
  ldr r8, [r0, #HN_MVE_ROW_OUT_STEP]
  ldr lr, [r0, #HN_MVE_ROW_COUNT]
  ldr r9, [r0, #HN_MVE_ROW_STRIDE]
  ldrd r10, r11, [r0, #HN_MVE_ROW_ZERO]
  ldr r12, [r0, #HN_MVE_ROW_HIGH]
.endm

.macro BIASES
  mov r4, r5
  vldrw.u32 q0, [r4], #16
  vldrw.u32 q1, [r4], #16
  vldrw.u32 q2, [r4], #16
  vldrw.u32 q3, [r4], #16
.endm

/* Scale, narrow, clamp, write. */
.macro RESULTS
  vldrw.u32 q4, [r4]
  vldrw.u32 q5, [r4, #16]
  vrmulh.s32 q0, q0, q4
  vldrw.u32 q6, [r4, #32]
  vrmulh.s32 q1, q1, q5
  vldrw.u32 q7, [r4, #48]
  vrmulh.s32 q2, q2, q6
  vqmovnb.s32 q0, q0
  vrmulh.s32 q3, q3, q7
  vqmovnt.s32 q0, q1
  vqmovnb.s32 q2, q2
  vdup.8 q4, r11
  vqmovnt.s32 q2, q3
  vqadd.s16 q0, q0, r10
  vqadd.s16 q2, q2, r10
  vqmovnb.s16 q0, q0
  vdup.8 q5, r12
  vqmovnt.s16 q0, q2
  vmax.s8 q0, q0, q4
  vmin.s8 q0, q0, q5
  vpst
  vstrbt.8 q0, [r6]
  add r6, r8
.endm

  .section .text.hn_mve_dw_3x3, "ax", %progbits
  .p2align 2
  .global hn_mve_dw_3x3
  .type hn_mve_dw_3x3, %function
hn_mve_dw_3x3:
  BEGIN
  ldrd r1, r2, [r0, #HN_MVE_ROW_LINES]
  ldr r3, [r0, #HN_MVE_ROW_LINES + 8]
1:
  BIASES
  TAP r1, 0
  SECOND r1, 16
  WIDEN
  TAP r1, 32
  SECOND r2, 0
  WIDEN
  TAP r2, 16
  SECOND r2, 32
  WIDEN
  TAP r3, 0
  SECOND r3, 16
  WIDEN
  TAP r3, 32
  WIDEN
  RESULTS
  add r1, r9
  add r2, r9
  add r3, r9
  subs lr, #1
  bne 1b
  vpop {d8-d15}
  pop {r0, r4-r11, pc}
  .size hn_mve_dw_3x3, . - hn_mve_dw_3x3

  .section .text.hn_mve_dw_any, "ax", %progbits
  .p2align 2
  .global hn_mve_dw_any
  .type hn_mve_dw_any, %function
hn_mve_dw_any:
  BEGIN
  movs r7, #0 /* bytes to the pixel's window */
1:
  ldr r0, [sp, #64]
  BIASES
  ldr r2, [r0, #HN_MVE_ROW_KERNEL_H]
  ldr r3, [r0, #HN_MVE_ROW_GAP]
  add r1, r0, #HN_MVE_ROW_LINES
  push {r5, r7}
2: /* a row of the window */
  ldr r5, [r1], #4
  add r5, r7
  ldrd r7, r0, [r0, #HN_MVE_ROW_PAIRS]
  cbz r7, 4f
3:
  TAP r5, 0
  add r5, r3
  SECOND r5, 0
  add r5, r3
  WIDEN
  subs r7, #1
  bne 3b
4:
  cbz r0, 5f
  TAP r5, 0
  WIDEN
5:
  ldr r7, [sp, #4]
  ldr r0, [sp, #72]
  subs r2, #1
  bne 2b
  pop {r5, r7}
  RESULTS
  add r7, r9
  subs lr, #1
  bne 1b
  vpop {d8-d15}
  pop {r0, r4-r11, pc}
  .size hn_mve_dw_any, . - hn_mve_dw_any
#endif
