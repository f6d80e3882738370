/* A plugin of QEMU's translator that counts how often each block of instructions ran. The prototypes are those of
   QEMU's public plugin interface, declared here since distributions ship no header for it. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int, void *);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);

EXPORT int qemu_plugin_version = PLUGIN_VERSION;

/* A block that is translated twice has two records; who reads them adds. */
typedef struct block {
  uint64_t address, bytes, instructions, executions;
  struct block *next;
} block;

static block *blocks;
static char path[4096];

static void executed(unsigned cpu, void *data) {
  (void)cpu;
  ((block *)data)->executions++;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  block *b = calloc(1, sizeof *b);
  (void)id;
  if (!b) abort();
  b->address = qemu_plugin_tb_vaddr(tb);
  b->instructions = qemu_plugin_tb_n_insns(tb);
  for (size_t i = 0; i < b->instructions; i++) b->bytes += qemu_plugin_insn_size(qemu_plugin_tb_get_insn(tb, i));
  b->next = blocks;
  blocks = b;
  qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, 0, b);
}

static void finished(qemu_plugin_id_t id, void *data) {
  FILE *file = fopen(path, "w");
  (void)id;
  (void)data;
  if (!file) abort();
  for (const block *b = blocks; b; b = b->next)
    if (b->executions)
      fprintf(file, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", b->address, b->bytes, b->instructions,
              b->executions);
  fclose(file);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int count, char **arguments) {
  static const char key[] = "out=";
  (void)info;
  if (count != 1 || strncmp(arguments[0], key, sizeof key - 1) || strlen(arguments[0]) >= sizeof path) return 1;
  strcpy(path, arguments[0] + sizeof key - 1);
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, finished, NULL);
  return 0;
}
