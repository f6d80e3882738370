/* Arithmetic that the kernels share. */
#ifndef HN_MATH_H
#define HN_MATH_H
#include "hn.h"

#define HN_INLINE static inline __attribute__((always_inline))
#define HN_NOINLINE static __attribute__((noinline))

#if defined(__ARM_FEATURE_DSP) && __ARM_FEATURE_DSP
#define HN_DSP 1
#else
#define HN_DSP 0
#endif

/* Cores whose product of two 32-bit numbers has 32 bits: a 64-bit product would be a call of a function. */
#if defined(__ARM_ARCH_6M__) && !defined(HN_NO_LONG_MULTIPLY)
#define HN_NO_LONG_MULTIPLY 1
#endif

/* Whether a word may be loaded from any address. Cortex-M0+ stops with a fault; many RISC-V cores trap, too. */
#if defined(__ARM_FEATURE_UNALIGNED) || defined(__x86_64__) || defined(__aarch64__)
#define HN_ANY_ADDRESS 1
#else
#define HN_ANY_ADDRESS 0
#endif

/* floor((acc * multiplier + 2^31) / 2^32) for any acc and 0 <= multiplier < 2^31 */
HN_INLINE int32_t hn_scale(int32_t acc, int32_t multiplier) {
#if HN_DSP
  int32_t result;
  __asm__("smmulr %0, %1, %2" : "=r"(result) : "r"(acc), "r"(multiplier));
  return result;
#elif defined(HN_NO_LONG_MULTIPLY)
  /* Four products of 16-bit halves. The lowest 16 bits of the product cannot reach a carry. No sum overflows:
     acc_high * m_low <= 32767 * 65535, which leaves room for a carry of 65534 and for one half. */
  uint32_t acc_low = (uint32_t)acc & 0xffff, m_low = (uint32_t)multiplier & 0xffff;
  int32_t acc_high = acc >> 16, m_high = multiplier >> 16;
  int32_t middle = acc_high * (int32_t)m_low + (int32_t)(acc_low * m_low >> 16) + 0x8000;
  uint32_t other = acc_low * (uint32_t)m_high;
  uint32_t carry = (((uint32_t)middle & 0xffff) + (other & 0xffff)) >> 16;
  return acc_high * m_high + (middle >> 16) + (int32_t)(other >> 16) + (int32_t)carry;
#else
  int64_t product = (int64_t)acc * multiplier;
  return (int32_t)(product >> 32) + (int32_t)((uint32_t)product >> 31);
#endif
}

/* min(max(value + base, 0), range) + high - range, where base = zero point - low and range = high - low: clamp of
   value + zero point to [low, high], without a branch, so that the time of a kernel does not depend on its data. */
HN_INLINE int32_t hn_clamp(int32_t value, int32_t base, int32_t range, int32_t high) {
  int32_t above = value + base;
  above &= ~(above >> 31);
  int32_t below = above - range;
  below &= below >> 31;
  return below + high;
}

HN_INLINE uint32_t hn_load(const void *from) {
  uint32_t word;
#if !HN_ANY_ADDRESS
  from = __builtin_assume_aligned(from, 4);
#endif
  __builtin_memcpy(&word, from, 4);
  return word;
}

HN_INLINE void hn_store(void *to, uint32_t word) {
#if !HN_ANY_ADDRESS
  to = __builtin_assume_aligned(to, 4);
#endif
  __builtin_memcpy(to, &word, 4);
}

/* Whether pixels of so many channels can be read as words. */
HN_INLINE int hn_words(const void *data, int32_t channels) {
  return HN_ANY_ADDRESS || (((uintptr_t)data | (uint32_t)channels) & 3) == 0;
}
#endif
