/* What a RISC-V core needs before main(): a stack and initialised memory. */
#include <stdint.h>

extern const uint32_t hn_data_source[];
extern uint32_t hn_data_begin[], hn_data_end[], hn_bss_begin[], hn_bss_end[];

int main(void);
void hn_start(void);
void hn_stop(void);

/* There is no stack yet, so this is no C. It lies at the beginning of the flash. */
__asm__(
    ".section .hn_vectors, \"ax\"\n"
    ".globl hn_reset\n"
    ".type hn_reset, @function\n"
    "hn_reset:\n"
    "  la sp, hn_stack_top\n"
    "  j hn_start\n"
    ".size hn_reset, . - hn_reset\n"
    ".text\n");

__attribute__((noinline, used)) void hn_stop(void) {
  for (;;) {
    __asm__ volatile("nop");
  }
}

__attribute__((used)) void hn_start(void) {
  const uint32_t *source = hn_data_source;
  for (uint32_t *word = hn_data_begin; word < hn_data_end; word++) {
    *word = *source++;
  }
  for (uint32_t *word = hn_bss_begin; word < hn_bss_end; word++) {
    *word = 0;
  }
  main();
  hn_stop();
}
