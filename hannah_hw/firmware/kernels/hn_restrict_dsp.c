/* Results of the slow paths: a second pass over those whose range is not that of int8 (activations that a quantiser
   puts into the range, as ReLU with the zero point -128, need none), and accumulators with any scale. */
#include "hn_dsp.h"
#if HN_DSP
/* Bytewise maximum: SSUB8 leaves in the GE flags where a >= b, and SEL takes a there. */
HN_INLINE uint32_t larger_bytes(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("ssub8 %0, %1, %2\n\tsel %0, %1, %2" : "=&r"(result) : "r"(a), "r"(b) : "cc");
  return result;
}

HN_INLINE uint32_t smaller_bytes(uint32_t a, uint32_t b) {
  uint32_t result;
  __asm__("ssub8 %0, %1, %2\n\tsel %0, %2, %1" : "=&r"(result) : "r"(a), "r"(b) : "cc");
  return result;
}

int8_t hn_result(int32_t acc, int32_t shift, int32_t multiplier, int32_t zero) {
  int32_t most = INT32_MAX >> shift;
  acc = (acc > most ? most : acc < -most ? -most : acc) * (1 << shift);
  return (int8_t)hn_requantise(acc, multiplier, zero);
}

HN_SMALL void hn_restrict(int8_t *y, int32_t count, int32_t low, int32_t high) {
  if (low <= -128 && high >= 127) {
    return;
  }
  uint32_t lows = ((uint32_t)low & 0xff) * 0x01010101u, highs = ((uint32_t)high & 0xff) * 0x01010101u;
  for (; count >= 4; count -= 4, y += 4) {
    hn_store(y, smaller_bytes(larger_bytes(hn_load(y), lows), highs));
  }
  for (; count > 0; count--, y++) {
    *y = (int8_t)(*y < low ? low : *y > high ? high : *y);
  }
}
#endif
