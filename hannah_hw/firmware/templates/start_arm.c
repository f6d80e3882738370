/* What a Cortex-M needs before main(): vectors, floating point unit, initialised memory. */
#include <stdint.h>

extern const uint32_t hn_data_source[];
extern uint32_t hn_data_begin[], hn_data_end[], hn_bss_begin[], hn_bss_end[], hn_stack_top[];

int main(void);
void hn_reset(void);
void hn_stop(void);

typedef void vector(void);

/* The stack pointer, the reset handler and 14 faults and interrupts of the core, none of which is expected. */
__attribute__((section(".hn_vectors"), used)) static vector *const vectors[16] = {
    (vector *)hn_stack_top, hn_reset, hn_stop, hn_stop, hn_stop, hn_stop, hn_stop, hn_stop,
    hn_stop,                hn_stop,  hn_stop, hn_stop, hn_stop, hn_stop, hn_stop, hn_stop,
};

__attribute__((noinline, used)) void hn_stop(void) {
  for (;;) {
    __asm__ volatile("nop");
  }
}

__attribute__((noreturn, used)) void hn_reset(void) {
#ifdef __ARM_FP
  /* Full access to coprocessors 10 and 11, which are the floating point unit (CPACR of the architecture). */
  *(volatile uint32_t *)0xE000ED88u |= 0xFu << 20;
  __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
  const uint32_t *source = hn_data_source;
  for (uint32_t *word = hn_data_begin; word < hn_data_end; word++) {
    *word = *source++;
  }
  for (uint32_t *word = hn_bss_begin; word < hn_bss_end; word++) {
    *word = 0;
  }
  main();
  hn_stop();
  __builtin_unreachable();
}
