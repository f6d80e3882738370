/* Functions of floating point that kernels call, for firmware without a C library. */
#ifndef HN_FLOAT_H
#define HN_FLOAT_H
#include <stdbool.h>
#include <stdint.h>

#ifndef INFINITY
#define INFINITY __builtin_inff()
#define NAN __builtin_nanf("")
#endif

float expf(float x);
float logf(float x);
float tanhf(float x);
float erff(float x);
float sqrtf(float x);
float fabsf(float x);
float floorf(float x);
float ceilf(float x);
float truncf(float x);
float roundf(float x);
float rintf(float x);
float nearbyintf(float x);
float powf(float x, float y);
float fminf(float x, float y);
float fmaxf(float x, float y);
#endif
