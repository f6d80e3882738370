/* An application that runs one inference. Replace it by your own. */
#include "@PREFIX@.h"

/* The index of the largest element of the first output: the class of a classifier. Volatile, so that a debugger sees
   it. */
volatile int @PREFIX@_best;

int main(void) {
  /* Values of a sensor go to @PREFIX@_input(0) here. */
  @PREFIX@_run();
  const @UPPER@_OUTPUT_0_TYPE *output = @PREFIX@_output(0);
  int best = 0;
  for (int i = 1; i < @UPPER@_OUTPUT_0_ELEMENTS; i++) {
    if (output[i] > output[best]) {
      best = i;
    }
  }
  @PREFIX@_best = best;
  return 0;
}
