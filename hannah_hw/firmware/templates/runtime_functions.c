/* The functions that a compiler may call although the source names none of them. Weak: those that the rest of the
   firmware defines come first. Must be compiled so that their loops do not become calls of themselves
   (GCC: -fno-tree-loop-distribute-patterns; clang: -fno-builtin). */
#include <stddef.h>
#include <stdint.h>

#define WEAK __attribute__((weak))

typedef uint32_t __attribute__((may_alias)) word;
typedef struct {
  uint32_t value;
} __attribute__((packed, may_alias)) anywhere;

static int together(const void *a, const void *b) {
#if defined(__ARM_FEATURE_UNALIGNED)
  (void)a;
  (void)b;
  return 1;
#else
  return (((uintptr_t)a ^ (uintptr_t)b) & 3) == 0;
#endif
}

WEAK void *memcpy(void *restrict to, const void *restrict from, size_t size) {
  uint8_t *d = to;
  const uint8_t *s = from;
  if (together(d, s)) {
    for (; size && ((uintptr_t)d & 3); size--) {
      *d++ = *s++;
    }
    if (((uintptr_t)s & 3) == 0) {
      /* Both are aligned: four words at a time are two instructions. */
      for (; size >= 16; size -= 16, d += 16, s += 16) {
        word a = ((const word *)s)[0], b = ((const word *)s)[1], c = ((const word *)s)[2], e = ((const word *)s)[3];
        ((word *)d)[0] = a;
        ((word *)d)[1] = b;
        ((word *)d)[2] = c;
        ((word *)d)[3] = e;
      }
      for (; size >= 4; size -= 4, d += 4, s += 4) {
        *(word *)d = *(const word *)s;
      }
    }
    for (; size >= 4; size -= 4, d += 4, s += 4) {
      *(word *)d = ((const anywhere *)s)->value;
    }
  }
  for (; size; size--) {
    *d++ = *s++;
  }
  return to;
}

WEAK void *memmove(void *to, const void *from, size_t size) {
  uint8_t *d = to;
  const uint8_t *s = from;
  if (d <= s || d >= s + size) {
    /* Upwards, words would be read before they are overwritten only where they do not meet. */
    if (d + size <= s || d >= s + size) {
      return memcpy(to, from, size);
    }
    for (size_t i = 0; i < size; i++) {
      d[i] = s[i];
    }
  } else {
    for (size_t i = size; i-- > 0;) {
      d[i] = s[i];
    }
  }
  return to;
}

WEAK void *memset(void *to, int value, size_t size) {
  uint8_t *d = to;
  uint32_t pattern = (uint8_t)value * 0x01010101u;
  for (; size && ((uintptr_t)d & 3); size--) {
    *d++ = (uint8_t)value;
  }
  for (; size >= 16; size -= 16, d += 16) {
    ((word *)d)[0] = pattern;
    ((word *)d)[1] = pattern;
    ((word *)d)[2] = pattern;
    ((word *)d)[3] = pattern;
  }
  for (; size >= 4; size -= 4, d += 4) {
    *(word *)d = pattern;
  }
  for (; size; size--) {
    *d++ = (uint8_t)value;
  }
  return to;
}

WEAK int memcmp(const void *left, const void *right, size_t size) {
  const uint8_t *a = left, *b = right;
  for (size_t i = 0; i < size; i++) {
    if (a[i] != b[i]) {
      return a[i] < b[i] ? -1 : 1;
    }
  }
  return 0;
}

#if defined(__arm__)
/* The names of the Arm run-time ABI; mind the order of the arguments of memset. */
WEAK void __aeabi_memcpy(void *restrict to, const void *restrict from, size_t size) { memcpy(to, from, size); }
WEAK void __aeabi_memcpy4(void *restrict to, const void *restrict from, size_t size) { memcpy(to, from, size); }
WEAK void __aeabi_memcpy8(void *restrict to, const void *restrict from, size_t size) { memcpy(to, from, size); }
WEAK void __aeabi_memmove(void *to, const void *from, size_t size) { memmove(to, from, size); }
WEAK void __aeabi_memmove4(void *to, const void *from, size_t size) { memmove(to, from, size); }
WEAK void __aeabi_memmove8(void *to, const void *from, size_t size) { memmove(to, from, size); }
WEAK void __aeabi_memset(void *to, size_t size, int value) { memset(to, value, size); }
WEAK void __aeabi_memset4(void *to, size_t size, int value) { memset(to, value, size); }
WEAK void __aeabi_memset8(void *to, size_t size, int value) { memset(to, value, size); }
WEAK void __aeabi_memclr(void *to, size_t size) { memset(to, 0, size); }
WEAK void __aeabi_memclr4(void *to, size_t size) { memset(to, 0, size); }
WEAK void __aeabi_memclr8(void *to, size_t size) { memset(to, 0, size); }
#endif

#if defined(__ARM_ARCH_6M__) && defined(__clang__)
/* An Armv6-M core divides, and multiplies long numbers, in software. GCC brings these functions in libgcc. */
typedef union {
  uint64_t whole;
  struct {
    uint32_t low, high;
  } part;
} pair;

/* Quotient in the low word and remainder in the high one: r0 and r1. A division by zero gives 0. */
WEAK uint64_t __aeabi_uidivmod(uint32_t dividend, uint32_t divisor) {
  pair result = {.part = {0, dividend}};
  uint32_t bit = 1;
  if (divisor == 0) {
    return result.whole;
  }
  while (divisor < dividend && !(divisor >> 31)) {
    divisor <<= 1;
    bit <<= 1;
  }
  for (; bit; bit >>= 1, divisor >>= 1) {
    if (result.part.high >= divisor) {
      result.part.high -= divisor;
      result.part.low |= bit;
    }
  }
  return result.whole;
}

WEAK uint64_t __aeabi_idivmod(int32_t dividend, int32_t divisor) {
  uint32_t a = dividend < 0 ? 0u - (uint32_t)dividend : (uint32_t)dividend;
  uint32_t b = divisor < 0 ? 0u - (uint32_t)divisor : (uint32_t)divisor;
  pair result = {.whole = __aeabi_uidivmod(a, b)};
  if ((dividend < 0) != (divisor < 0)) {
    result.part.low = 0u - result.part.low;
  }
  if (dividend < 0) {
    result.part.high = 0u - result.part.high;
  }
  return result.whole;
}

WEAK uint32_t __aeabi_uidiv(uint32_t dividend, uint32_t divisor) {
  return (uint32_t)__aeabi_uidivmod(dividend, divisor);
}

WEAK int32_t __aeabi_idiv(int32_t dividend, int32_t divisor) { return (int32_t)__aeabi_idivmod(dividend, divisor); }

WEAK uint64_t __aeabi_lmul(uint64_t left, uint64_t right) {
  pair a = {.whole = left}, b = {.whole = right}, result;
  uint32_t a0 = a.part.low & 0xFFFFu, a1 = a.part.low >> 16, b0 = b.part.low & 0xFFFFu, b1 = b.part.low >> 16;
  uint32_t lowest = a0 * b0, cross = a1 * b0 + (lowest >> 16), other = a0 * b1 + (cross & 0xFFFFu);
  result.part.low = (other << 16) | (lowest & 0xFFFFu);
  result.part.high =
      a1 * b1 + (cross >> 16) + (other >> 16) + a.part.low * b.part.high + a.part.high * b.part.low;
  return result.whole;
}

WEAK uint64_t __aeabi_llsl(uint64_t value, int32_t count) {
  pair a = {.whole = value}, result = {.part = {0, 0}};
  if (count >= 32) {
    result.part.high = a.part.low << (count - 32);
  } else {
    result.part.low = a.part.low << count;
    result.part.high = count ? (a.part.high << count) | (a.part.low >> (32 - count)) : a.part.high;
  }
  return result.whole;
}

WEAK uint64_t __aeabi_llsr(uint64_t value, int32_t count) {
  pair a = {.whole = value}, result = {.part = {0, 0}};
  if (count >= 32) {
    result.part.low = a.part.high >> (count - 32);
  } else {
    result.part.high = a.part.high >> count;
    result.part.low = count ? (a.part.low >> count) | (a.part.high << (32 - count)) : a.part.low;
  }
  return result.whole;
}

WEAK uint64_t __aeabi_lasr(uint64_t value, int32_t count) {
  pair a = {.whole = value}, result;
  int32_t high = (int32_t)a.part.high;
  if (count >= 32) {
    result.part.low = (uint32_t)(high >> (count - 32));
    result.part.high = (uint32_t)(high >> 31);
  } else {
    result.part.high = (uint32_t)(high >> count);
    result.part.low = count ? (a.part.low >> count) | (a.part.high << (32 - count)) : a.part.low;
  }
  return result.whole;
}
#endif
