/* Tiles of convolutions with Helium: four output channels by two pixels, or by one.

   Stream of constants, for every four output channels: for each chunk of 16 elements of the window 16 weights of each
   channel; four biases; four multipliers. Sums of 16 products are added to a register with an even number, of which
   there are eight; that is why the loop over chunks counts in r11 and not in lr. VRMULH rounds as the contract says:
   (a * b + 2^31) >> 32. */
#include "hn_mve.h"
#if HN_MVE
  .syntax unified
  .thumb

  .section .text.hn_mve_tiles_4x2, "ax", %progbits
  .p2align 2
  .global hn_mve_tiles_4x2
  .type hn_mve_tiles_4x2, %function
hn_mve_tiles_4x2:
  push {r0, r4-r11, lr}
  vpush {d8-d15}
#define ARGUMENT [sp, #64]
  ldrd r1, r3, [r0, #HN_MVE_ZERO]
  vdup.32 q5, r1
  vdup.32 q6, r3
  ldr r1, [r0, #HN_MVE_HIGH]
  vdup.32 q7, r1
1: /* a tile */
  ldr r9, [r0, #HN_MVE_CHANNELS]
  ldr r7, [r0, #HN_MVE_OUT]
  ldr r3, [r0, #HN_MVE_WEIGHTS]
2: /* four channels */
  ldrd r1, r5, [r0]
  ldr r11, [r0, #HN_MVE_CHUNKS]
  add r5, r1
  vldrb.u8 q0, [r1], #16
  vldrb.u8 q2, [r3], #16
  vmladav.s8 r0, q0, q2
  vldrb.u8 q1, [r5], #16
  vmladav.s8 r8, q1, q2
  vldrb.u8 q3, [r3], #16
  vmladav.s8 r2, q0, q3
  vldrb.u8 q4, [r3], #16
  vmladav.s8 r10, q1, q3
  vldrb.u8 q2, [r3], #16
  vmladav.s8 r4, q0, q4
  vmladav.s8 r12, q1, q4
  vmladav.s8 r6, q0, q2
  vmladav.s8 lr, q1, q2
  subs r11, #1
  beq 4f
3: /* a chunk */
  vldrb.u8 q0, [r1], #16
  vldrb.u8 q2, [r3], #16
  vmladava.s8 r0, q0, q2
  vldrb.u8 q1, [r5], #16
  vmladava.s8 r8, q1, q2
  vldrb.u8 q3, [r3], #16
  vmladava.s8 r2, q0, q3
  vldrb.u8 q4, [r3], #16
  vmladava.s8 r10, q1, q3
  vldrb.u8 q2, [r3], #16
  vmladava.s8 r4, q0, q4
  vmladava.s8 r12, q1, q4
  vmladava.s8 r6, q0, q2
  vmladava.s8 lr, q1, q2
  subs r11, #1
  bne 3b
4:
  vmov q2[2], q2[0], r0, r4
  vmov q2[3], q2[1], r2, r6
  vldrw.u32 q0, [r3], #16
  vmov q3[2], q3[0], r8, r12
  vldrw.u32 q1, [r3], #16
  vmov q3[3], q3[1], r10, lr
  ldr r0, ARGUMENT
  vadd.i32 q2, q2, q0
  vadd.i32 q3, q3, q0
  ldr r1, [r0, #HN_MVE_LANE_OUT]
  vrmulh.s32 q2, q2, q1
  vrmulh.s32 q3, q3, q1
  add r1, r7
  vadd.i32 q2, q2, q5
  vadd.i32 q3, q3, q5
  vctp.32 r9
  vmax.s32 q2, q2, q6
  vmax.s32 q3, q3, q6
  vmin.s32 q2, q2, q7
  vmin.s32 q3, q3, q7
  vpstt
  vstrbt.32 q2, [r7], #4
  vstrbt.32 q3, [r1]
  subs r9, #4
  bgt 2b
  ldr r2, [r0, #HN_MVE_COUNT]
  ldr r1, [r0]
  subs r2, #1
  ldrd r3, r4, [r0, #HN_MVE_STEP]
  ldr r5, [r0, #HN_MVE_OUT]
  add r1, r3
  add r5, r4
  str r1, [r0]
  str r5, [r0, #HN_MVE_OUT]
  str r2, [r0, #HN_MVE_COUNT]
  bne 1b
  vpop {d8-d15}
  pop {r0, r4-r11, pc}
  .size hn_mve_tiles_4x2, . - hn_mve_tiles_4x2

  .section .text.hn_mve_vector, "ax", %progbits
  .p2align 2
  .global hn_mve_vector
  .type hn_mve_vector, %function
hn_mve_vector:
  push {r4-r11, lr}
  vpush {d8-d15}
  ldrd r1, r3, [r0, #HN_MVE_ZERO]
  vdup.32 q5, r1
  vdup.32 q6, r3
  ldr r1, [r0, #HN_MVE_HIGH]
  vdup.32 q7, r1
  ldr r9, [r0, #HN_MVE_CHANNELS]
  ldr r7, [r0, #HN_MVE_OUT]
  ldr r3, [r0, #HN_MVE_WEIGHTS]
  ldr r5, [r0]
  ldr r11, [r0, #HN_MVE_CHUNKS]
1: /* four channels */
  mov r1, r5
  movs r0, #0
  movs r2, #0
  movs r4, #0
  movs r6, #0
  dls lr, r11
2: /* a chunk */
  vldrb.u8 q0, [r1], #16
  vldrb.u8 q1, [r3], #16
  vmladava.s8 r0, q0, q1
  vldrb.u8 q2, [r3], #16
  vmladava.s8 r2, q0, q2
  vldrb.u8 q3, [r3], #16
  vmladava.s8 r4, q0, q3
  vldrb.u8 q4, [r3], #16
  vmladava.s8 r6, q0, q4
  le lr, 2b
  vmov q2[2], q2[0], r0, r4
  vmov q2[3], q2[1], r2, r6
  vldrw.u32 q0, [r3], #16
  vldrw.u32 q1, [r3], #16
  vadd.i32 q2, q2, q0
  vrmulh.s32 q2, q2, q1
  vctp.32 r9
  vadd.i32 q2, q2, q5
  vmax.s32 q2, q2, q6
  vmin.s32 q2, q2, q7
  vpst
  vstrbt.32 q2, [r7], #4
  subs r9, #4
  bgt 1b
  vpop {d8-d15}
  pop {r4-r11, pc}
  .size hn_mve_vector, . - hn_mve_vector
#endif
