/* Inner loop of fully connected layers: 4 channels, paired weights as in hn_tiles_dsp.S, four elements a step. */
#include "hn_dsp.h"
#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
  .syntax unified
  .thumb

/* Stack frame */
#define ENTRY 0
#define ZERO 4
#define OUT 8
#define END 12
#define REST 16
#define SAVED_OUT 20 /* where a partial group's results belong, while they go to SPILL; else 0 */
#define SPILL 24
#define FRAME 32

#define weights r0
#define vector r1
#define first01 r2 /* elements 0 and 2 of the step, channels 0 and 1 */
#define first23 r3
#define second01 r12 /* elements 1 and 3 */
#define second23 lr
#define low01 r4
#define all01 r5
#define low23 r6
#define all23 r7
#define even r8
#define odd r9
#define last r10
#define begin r11

  .macro step_fc
  ldr.w even, [vector, #4]
  ldr.w odd, [vector, #8]!
  ldr.w first01, [weights, #4]
  ldr.w first23, [weights, #8]
  ldr.w second01, [weights, #12]
  ldr.w second23, [weights, #16]!
  smlad all01, first01, even, all01
  smlad all23, first23, even, all23
  smlad all01, second01, odd, all01
  smlad all23, second23, odd, all23
  sxtb16 first01, first01
  sxtb16 first23, first23
  sxtb16 second01, second01
  sxtb16 second23, second23
  smlad low01, first01, even, low01
  smlad low23, first23, even, low23
  smlad low01, second01, odd, low01
  smlad low23, second23, odd, low23
  .endm

  .section .text.hn_fc_groups, "ax", %progbits
  .balign 4
  .global hn_fc_groups
  .thumb_func
  .type hn_fc_groups, %function
hn_fc_groups:
  push {r4-r11, lr}
  sub sp, #FRAME
  ldm r1, {r2-r8}
  mov begin, r2
  mov last, r3
  adr.w r9, steps_fc
  add r4, r4, r9
  orr r4, r4, #1 /* Thumb */
  movs r9, #0
  stm sp, {r4-r9}
  cmp r6, r7
  beq.w rest_fc
group_fc:
  ldr.w low01, [weights, #4]
  ldr.w all01, [weights, #8]
  ldr.w low23, [weights, #12]
  ldr.w all23, [weights, #16]!
  ldr r2, [sp, #ENTRY]
  mov vector, begin
  bx r2
  .balign 4
steps_fc:
  .rept 4
  step_fc
  .endr
  cmp vector, last
  bne.w steps_fc
  sub.w all01, all01, low01
  sub.w all23, all23, low23
  asr.w all01, all01, #8
  asr.w all23, all23, #8
  ldr r1, [sp, #ZERO]
  ldr.w r2, [weights, #4]
  ldr.w r3, [weights, #8]
  ldr.w r12, [weights, #12]
  ldr.w lr, [weights, #16]!
  smmlar low01, low01, r2, r1
  smmlar all01, all01, r3, r1
  smmlar low23, low23, r12, r1
  smmlar all23, all23, lr, r1
  ldr r1, [sp, #OUT]
  ldr r2, [sp, #END]
  ssat low01, #8, low01
  ssat all01, #8, all01
  ssat low23, #8, low23
  ssat all23, #8, all23
  strb all01, [r1, #1]
  strb low23, [r1, #2]
  strb all23, [r1, #3]
  strb low01, [r1], #4
  str r1, [sp, #OUT]
  cmp r1, r2
  bne.w group_fc
rest_fc:
  ldr r2, [sp, #REST]
  cbz r2, 3f
  ldr r3, [sp, #SAVED_OUT]
  cbnz r3, 1f
  ldr r6, [sp, #OUT]
  str r6, [sp, #SAVED_OUT]
  add r1, sp, #SPILL
  adds r2, r1, #4
  str r1, [sp, #OUT]
  str r2, [sp, #END]
  b.w group_fc
1:add r1, sp, #SPILL
2:ldrb r0, [r1], #1
  strb r0, [r3], #1
  subs r2, #1
  bne 2b
3:add sp, #FRAME
  pop {r4-r11, pc}
  .size hn_fc_groups, . - hn_fc_groups

/* Words of bytes in r0 to pairs in r1; r2 how many words. */
  .section .text.hn_fc_unpack, "ax", %progbits
  .balign 4
  .global hn_fc_unpack
  .thumb_func
  .type hn_fc_unpack, %function
hn_fc_unpack:
  push {r4, r5, r6, lr}
  subs r2, #2
  blt 2f
1:ldr r3, [r0]
  ldr r4, [r0, #4]
  adds r0, #8
  sxtb16 r5, r3
  sxtb16 r3, r3, ror #8
  sxtb16 r6, r4
  sxtb16 r4, r4, ror #8
  str r5, [r1]
  str r3, [r1, #4]
  str r6, [r1, #8]
  str r4, [r1, #12]
  adds r1, #16
  subs r2, #2
  bge 1b
2:adds r2, #2
  beq 3f
  ldr r3, [r0]
  sxtb16 r5, r3
  sxtb16 r3, r3, ror #8
  str r5, [r1]
  str r3, [r1, #4]
3:pop {r4, r5, r6, pc}
  .size hn_fc_unpack, . - hn_fc_unpack
#endif
