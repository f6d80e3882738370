/* Called by Unicorn while it emulates; compiled once, loaded with ctypes. hooks.py mirrors the structure. */
#include <stdbool.h>
#include <stdint.h>

typedef struct {
  uint64_t code_start;      /* address of the first halfword of code */
  uint64_t halfwords;       /* of code; the arrays have one element more */
  uint64_t *starts;         /* blocks that began at this halfword */
  uint64_t *ends;           /* blocks that ended before this halfword */
  uint64_t *taken;          /* branches taken by the instruction that ends before this halfword */
  uint64_t *arrivals;       /* branches taken to this halfword */
  uint64_t previous_end;    /* where the last block ended; 0: none yet */
  uint64_t budget;          /* halfwords of code that may still run */
  uint64_t outside;         /* address of a block outside the code, else 0 */
  uint64_t fault_address;   /* of an access to memory that is not there */
  uint64_t fault_size;
  int (*stop)(void *engine);
  uint32_t exhausted;
} hannah_counters;

/* A block is a run of instructions that Unicorn translates together. Its length may differ between two runs from the
   same address, so that starts and ends are counted apart: an instruction ran as often as blocks began at or before it,
   less those that ended at or before it. */
void hannah_block(void *engine, uint64_t address, uint32_t size, hannah_counters *c) {
  uint64_t first = (address - c->code_start) >> 1, length = size >> 1;
  bool inside = address >= c->code_start && first + length <= c->halfwords;
  if (c->previous_end && c->previous_end != address) {
    c->taken[(c->previous_end - c->code_start) >> 1]++;
    if (inside) c->arrivals[first]++;
  }
  if (!inside) {
    c->previous_end = 0;
    c->outside = address;
    c->stop(engine);
    return;
  }
  c->starts[first]++;
  c->ends[first + length]++;
  c->previous_end = address + size;
  if (c->budget < length) {
    c->exhausted = 1;
    c->stop(engine);
    return;
  }
  c->budget -= length;
}

/* For comparison: every instruction. */
void hannah_instruction(void *engine, uint64_t address, uint32_t size, hannah_counters *c) {
  uint64_t first = (address - c->code_start) >> 1;
  (void)engine;
  (void)size;
  if (address >= c->code_start && first < c->halfwords) c->starts[first]++;
}

bool hannah_fault(void *engine, int type, uint64_t address, int size, int64_t value, hannah_counters *c) {
  (void)engine;
  (void)type;
  (void)value;
  c->fault_address = address;
  c->fault_size = (uint64_t)size;
  return false;
}

/* Where a load reads: base + (index << shift) + offset. Registers are Unicorn's numbers, 0 for none. */
typedef struct {
  int32_t base, index;
  uint32_t shift, offset;
  uint32_t alignment;       /* bits of the address that must be 0 */
} hannah_operand;

typedef struct {
  uint64_t code_start, halfwords;
  const uint32_t *entries;  /* by halfword: index into the operands, 0 where no load begins */
  const hannah_operand *operands;
  uint64_t *reads;          /* by halfword: executions that read from flash */
  uint32_t flash_start, flash_size;
  uint64_t misaligned_at;   /* address of a load whose operand is not aligned, else 0 */
  int (*read_register)(void *engine, int number, void *value);
  int (*stop)(void *engine);
} hannah_loads;

/* Called before every instruction that executes; not before one whose condition fails. */
void hannah_load(void *engine, uint64_t address, uint32_t size, hannah_loads *l) {
  uint64_t at = (address - l->code_start) >> 1;
  uint32_t base = 0, index = 0, target;
  const hannah_operand *o;
  (void)size;
  if (at >= l->halfwords || !l->entries[at]) return;
  o = &l->operands[l->entries[at]];
  if (o->base) l->read_register(engine, o->base, &base);
  if (o->index) l->read_register(engine, o->index, &index);
  target = base + (index << o->shift) + o->offset;
  if (target - l->flash_start < l->flash_size) l->reads[at]++;
  if (target & o->alignment) {
    l->misaligned_at = address;
    l->stop(engine);
  }
}
