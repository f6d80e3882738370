"""A program in C and what it must compute, in Python."""

#: Loops, conditional instructions, switch tables, calls, loads from flash and RAM of several widths.
PROGRAM = """
#include <stdint.h>
static const int8_t weights[256] = {1, -2, 3, -4, 5, 6, -7};
static const int32_t table[16] = {3, 1, 4, 1, 5, 9, 2, 6};
int8_t buffer[256];
int32_t initialised[4] = {11, 12, 13, 14};
__attribute__((noinline)) int32_t dot(const int8_t *a, const int8_t *b, int n) {
  int32_t sum = 0;
  for (int i = 0; i < n; i++) sum += a[i] * b[i];
  return sum;
}
__attribute__((noinline)) int32_t clamped(const int8_t *a, int n, int low, int high) {
  int32_t sum = 0;
  for (int i = 0; i < n; i++) {
    int value = a[i] * 3 + table[i & 15];
    if (value < low) value = low;
    if (value > high) value = high;
    if (value & 1) sum += weights[value & 255]; else if (value > 7) sum -= 5;
    sum ^= value;
  }
  return sum;
}
int32_t run(int rounds) {
  int32_t result = 0, step = 0;
  for (int k = 0; k < rounds; k++, step = step < 6 ? step + 1 : 0) {
    for (int i = 0; i < 256; i++) buffer[i] = (int8_t)(i * k);
    result += dot(buffer, weights, 256);
    result ^= clamped(buffer, 256, -60, 100);
    switch (step) {
      case 0: result += 1; break;
      case 1: result ^= 5; break;
      case 2: result *= 3; break;
      case 3: result -= 9; break;
      case 4: result <<= 1; break;
      case 5: result |= 64; break;
      default: result = ~result;
    }
  }
  return result;
}
int32_t eight(int a, int b, int c, int d, int e, int f, int g, int h) {
  return a + 2*b + 3*c + 4*d + 5*e + 6*f + 7*g + 8*h;
}
int32_t first(void) { return *(volatile int32_t *)initialised; }
"""


def i32(value: int) -> int:
    return (value + 2**31) % 2**32 - 2**31


def expected(rounds: int) -> int:
    weights = [1, -2, 3, -4, 5, 6, -7] + [0] * 249
    table = [3, 1, 4, 1, 5, 9, 2, 6] + [0] * 8
    result = 0
    for k in range(rounds):
        buffer = [(i * k + 128) % 256 - 128 for i in range(256)]
        result = i32(result + sum(a * b for a, b in zip(buffer, weights, strict=True)))
        total = 0
        for i, a in enumerate(buffer):
            value = min(max(a * 3 + table[i & 15], -60), 100)
            if value & 1:
                total += weights[value & 255]
            elif value > 7:
                total -= 5
            total ^= value
        result = i32(result ^ total)
        steps = {
            0: result + 1, 1: result ^ 5, 2: result * 3, 3: result - 9, 4: result << 1, 5: result | 64, 6: ~result
        }  # fmt: skip
        result = i32(steps[k % 7])
    return result
