/* Functions of floating point, accurate to a few units in the last place, without errno. Weak: a C library comes
   first. Must be compiled so that they do not become calls of themselves (clang: -fno-builtin; GCC: -ffreestanding). */
#include "hn_float.h"

#define WEAK __attribute__((weak))

typedef union {
  float value;
  uint32_t bits;
} word;

static float of_bits(uint32_t bits) {
  word w = {.bits = bits};
  return w.value;
}

static uint32_t bits_of(float x) {
  word w = {.value = x};
  return w.bits;
}

WEAK float fabsf(float x) { return of_bits(bits_of(x) & 0x7FFFFFFFu); }

/* 2^23: from there on every float is a whole number. */
static int whole(float x) { return !(fabsf(x) < 8388608.0f); }

WEAK float truncf(float x) { return whole(x) ? x : (float)(int32_t)x; }

WEAK float floorf(float x) {
  float t = truncf(x);
  return t > x ? t - 1.0f : t;
}

WEAK float ceilf(float x) {
  float t = truncf(x);
  return t < x ? t + 1.0f : t;
}

/* Halves away from zero. */
WEAK float roundf(float x) {
  float t = truncf(x), part = fabsf(x - t);
  return part < 0.5f ? t : x < 0.0f ? t - 1.0f : t + 1.0f;
}

/* Halves to even. */
WEAK float rintf(float x) {
  float t = truncf(x), part = fabsf(x - t);
  if (whole(x) || part < 0.5f || (part == 0.5f && !((int32_t)t & 1))) {
    return t;
  }
  return x < 0.0f ? t - 1.0f : t + 1.0f;
}

WEAK float nearbyintf(float x) { return rintf(x); }

/* What is no number is left out. */
WEAK float fminf(float x, float y) { return x < y || y != y ? x : y; }
WEAK float fmaxf(float x, float y) { return x > y || y != y ? x : y; }

/* 2^n e^r with |r| <= ln(2) / 2 and the Taylor series of e^r to r^7; the next term is below 6e-9. */
WEAK float expf(float x) {
  if (!(x < 88.7228394f)) {
    return x != x ? x : INFINITY;
  }
  if (x < -103.972084f) {
    return 0.0f;
  }
  float scaled = x * 1.44269504f;
  int32_t n = (int32_t)(scaled < 0.0f ? scaled - 0.5f : scaled + 0.5f);
  /* ln(2) in two parts, of which the first has so few bits that its product with n is exact. */
  float r = x - (float)n * 0.693359375f + (float)n * 2.12194440e-4f;
  float y = 1.0f / 5040.0f;
  y = y * r + 1.0f / 720.0f;
  y = y * r + 1.0f / 120.0f;
  y = y * r + 1.0f / 24.0f;
  y = y * r + 1.0f / 6.0f;
  y = y * r + 0.5f;
  y = y * r + 1.0f;
  y = y * r + 1.0f;
  /* In two steps: 2^128 and the denormal numbers are no factors that a float holds. */
  int32_t half = n / 2;
  return y * of_bits((uint32_t)(half + 127) << 23) * of_bits((uint32_t)(n - half + 127) << 23);
}

/* e ln(2) + 2 atanh((m - 1) / (m + 1)) with 0.7 < m < 1.42 and the series to the 9th power; the next term is below
   1e-9. */
WEAK float logf(float x) {
  if (!(x > 0.0f)) {
    return x == 0.0f ? -INFINITY : NAN;
  }
  if (!(x <= 3.40282347e38f)) {
    return x;
  }
  int32_t e = 0;
  if (x < 1.17549435e-38f) {
    x *= 16777216.0f;
    e = -24;
  }
  uint32_t bits = bits_of(x);
  int32_t up = (int32_t)(bits & 0x7FFFFFu) > 0x3504F3 ? 1 : 0;
  e += (int32_t)(bits >> 23) - 127 + up;
  float m = of_bits((bits & 0x7FFFFFu) | (up ? 0x3F000000u : 0x3F800000u));
  float s = (m - 1.0f) / (m + 1.0f), q = s * s;
  float y = 1.0f / 9.0f;
  y = y * q + 1.0f / 7.0f;
  y = y * q + 1.0f / 5.0f;
  y = y * q + 1.0f / 3.0f;
  y = 2.0f * s + 2.0f * s * q * y;
  return (float)e * 0.693359375f + (y - (float)e * 2.12194440e-4f);
}

/* By squares for whole numbers up to 64, else by the logarithm: an error of y ln(x) times that of a float. */
WEAK float powf(float x, float y) {
  float a = fabsf(y);
  if (a <= 64.0f && truncf(a) == a) {
    float result = 1.0f;
    for (int32_t n = (int32_t)a; n; n >>= 1, x *= x) {
      result = n & 1 ? result * x : result;
    }
    return y < 0.0f ? 1.0f / result : result;
  }
  if (x == 0.0f) {
    return y < 0.0f ? INFINITY : y != y ? y : 0.0f;
  }
  float size = expf(y * logf(fabsf(x)));
  if (x > 0.0f) {
    return size;
  }
  /* From 2^24 on every float is even. */
  return truncf(y) != y ? NAN : a < 16777216.0f && ((int32_t)a & 1) ? -size : size;
}

WEAK float tanhf(float x) {
  float a = fabsf(x);
  if (a < 0.625f) {
    /* Lambert's continued fraction. */
    float q = x * x;
    return x / (1.0f + q / (3.0f + q / (5.0f + q / (7.0f + q / 9.0f))));
  }
  float y = a > 10.0f ? 1.0f : 1.0f - 2.0f / (expf(2.0f * a) + 1.0f);
  return x != x ? x : x < 0.0f ? -y : y;
}

/* Abramowitz and Stegun, 7.1.26: absolute error below 1.5e-7; near 0 the first terms of the series. */
WEAK float erff(float x) {
  float a = fabsf(x);
  if (a < 0.25f) {
    float q = x * x;
    return x * (1.12837917f + q * (-0.376126389f + q * (0.112837917f + q * (-0.0268661706f + q * 0.00522397762f))));
  }
  float t = 1.0f / (1.0f + 0.3275911f * a);
  float p = t * (0.254829592f + t * (-0.284496736f + t * (1.421413741f + t * (-1.453152027f + t * 1.061405429f))));
  float y = 1.0f - p * expf(-a * a);
  return x != x ? x : x < 0.0f ? -y : y;
}

WEAK float sqrtf(float x) {
#if defined(__ARM_FP) && (__ARM_FP & 4)
  float y;
  __asm__("vsqrt.f32 %0, %1" : "=t"(y) : "t"(x));
  return y;
#else
  if (!(x > 0.0f)) {
    return x == 0.0f ? x : NAN;
  }
  if (!(x <= 3.40282347e38f)) {
    return x;
  }
  float scale = 1.0f;
  if (x < 1.17549435e-38f) {
    x *= 16777216.0f;
    scale = 1.0f / 4096.0f;
  }
  /* Halving the exponent is right within 4 %, and each of Newton's steps doubles the digits. */
  float y = of_bits((bits_of(x) >> 1) + 0x1FBD1DF5u);
  y = 0.5f * (y + x / y);
  y = 0.5f * (y + x / y);
  y = 0.5f * (y + x / y);
  return y * scale;
#endif
}
