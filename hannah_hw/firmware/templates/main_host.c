/* Reads the int8 values of all inputs from standard input, writes those of all outputs to standard output, and so on
   until the inputs end. */
#include "@PREFIX@.h"

#include <stdio.h>

int main(void) {
  static const size_t input_bytes[] = {@INPUT_BYTES@}, output_bytes[] = {@OUTPUT_BYTES@};
  @PREFIX@_init();
  for (;;) {
    for (int i = 0; i < @UPPER@_INPUTS; i++) {
      size_t got = fread(@PREFIX@_input(i), 1, input_bytes[i], stdin);
      if (got == 0 && i == 0) {
        return 0;
      }
      if (got != input_bytes[i]) {
        fputs("the inputs end in the middle of an inference\n", stderr);
        return 1;
      }
    }
    @PREFIX@_run();
    for (int i = 0; i < @UPPER@_OUTPUTS; i++) {
      if (fwrite(@PREFIX@_output(i), 1, output_bytes[i], stdout) != output_bytes[i]) {
        return 1;
      }
    }
  }
}
