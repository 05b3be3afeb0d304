// Runs test cases on the real processor. Cases come on standard input, outcomes go to standard output, in the
// encoding of codec.ts; layout.ts and filler.ts hold the same constants in TypeScript.
//
// One case costs one signal: the handler records the outcome of the case that has just stopped, writes the state of
// the next one into its own signal frame, and returns into it. A case stops at the INT3 after its bytes, by
// single-stepping (TF in its RFLAGS), or by a fault. Case code runs in ring 3 of this very process; whatever it does
// to registers, the handler runs on its own stack and sets flags, segment registers and bases right before any C code
// that depends on them; link with -z now, because the C library's lazy binding writes through FS. A system call
// instruction must not occur in a case.

#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>
#include <immintrin.h>

#define CODE 0x10000000ul
#define CODE_SIZE 0x2000
#define ARENA 0x10021000ul
#define ARENA_WRITABLE 0x2000
#define ARENA_SIZE 0x3000
#define STACK (ARENA + 0xf80)
#define FS_BASE (ARENA + 0x400)
#define GS_BASE (ARENA + 0xc00)
#define COMPARED_FLAGS 0x244dd5ul
#define STATUS_FLAGS 0x8d5u
#define TIMED_OUT 0xfe
#define CS64 0x33
#define CS32 0x23
#define DS 0x2b

enum { ES_, CS_, SS_, DS_, FS_, GS_ };

// The state image of layout.ts.
struct image {
  uint64_t regs[16], rip, rflags, fsBase, gsBase;
  uint16_t selectors[6];
  uint8_t pad[4];
  uint8_t fx[416];
} __attribute__((packed));
_Static_assert(sizeof(struct image) == 592, "state image");

#define FIELD_COUNT 57
static struct { uint16_t offset, size; } fields[FIELD_COUNT];

static uint8_t *input, *inputEnd, *output, *out, *outputEnd;
static uint8_t *codeAlias, *arenaAlias;      // writable views of the code and the arena
static uint8_t expected[ARENA_SIZE];         // what the arena holds before the case runs
static uint8_t pattern[ARENA_SIZE];
static struct image before;
static int codeOffset, codeWritten, running;
static unsigned long runnerFs, caseNumber, alarmCase;

static void layOutFields(void) {
  int n = 0;
#define ADD(o, s) (fields[n].offset = (o), fields[n++].size = (s))
  for (int i = 0; i < 20; i++) ADD(i * 8, 8);
  for (int i = 0; i < 6; i++) ADD(160 + i * 2, 2);
  ADD(176, 2); ADD(178, 2); ADD(180, 1); ADD(182, 2); ADD(184, 8); ADD(192, 8); ADD(200, 4);
  for (int i = 0; i < 8; i++) ADD(208 + i * 16, 10);
  for (int i = 0; i < 16; i++) ADD(336 + i * 16, 16);
  if (n != FIELD_COUNT) abort();
}

// filler.ts
static uint32_t fillState;
static uint32_t draw(void) {
  uint32_t x = fillState;
  x ^= x << 13; x ^= x >> 17; x ^= x << 5;
  return fillState = x;
}
static void fill(struct image *s, uint32_t seed, int compat) {
  memset(s, 0, sizeof *s);
  fillState = seed ? seed : 1;
  for (int i = 0; i < 16; i++) {
    uint64_t lo = draw(), hi = draw();
    s->regs[i] = compat ? lo : lo | hi << 32;
  }
  s->regs[4] = STACK;
  s->rflags = 0x202 | (draw() & STATUS_FLAGS);
  s->fsBase = FS_BASE;
  s->gsBase = GS_BASE;
  s->selectors[CS_] = compat ? CS32 : CS64;
  s->selectors[SS_] = s->selectors[DS_] = s->selectors[ES_] = DS;
  s->selectors[FS_] = s->selectors[GS_] = compat ? DS : 0;
  s->fx[0] = 0x7f; s->fx[1] = 0x03;
  s->fx[24] = 0x80; s->fx[25] = 0x1f;
  for (int i = 0; i < 8; i++) {
    uint32_t lo = draw(), hi = draw() | 0x80000000u, top = draw();
    uint16_t exponent = (0x3fff - 16 + (top & 31)) | (top >> 31) << 15;
    memcpy(s->fx + 32 + i * 16, &lo, 4);
    memcpy(s->fx + 36 + i * 16, &hi, 4);
    memcpy(s->fx + 40 + i * 16, &exponent, 2);
  }
  for (int i = 0; i < 64; i++) {
    uint32_t v = draw();
    memcpy(s->fx + 160 + i * 4, &v, 4);
  }
}

static uint32_t take(int size) {
  uint32_t v = 0;
  memcpy(&v, input, size);
  input += size;
  return v;
}
static void put(const void *p, int size) {
  if (out + size > outputEnd) {
    size_t used = out - output, room = (outputEnd - output) * 2;
    uint8_t *bigger = mremap(output, outputEnd - output, room, MREMAP_MAYMOVE);
    if (bigger == MAP_FAILED) abort();
    output = bigger; out = bigger + used; outputEnd = bigger + room;
  }
  memcpy(out, p, size);
  out += size;
}
static void put8(uint8_t v) { put(&v, 1); }

// Reads the next case into `before`, the code and the arena. The order is that of codec.ts.
static void loadCase(void) {
  take(2);
  int compat = take(1) & 1;
  fill(&before, take(4), compat);
  memset(codeAlias + codeOffset, 0xcc, codeWritten);
  codeOffset = take(2);
  int length = take(1);
  codeWritten = codeOffset + length > CODE_SIZE ? CODE_SIZE - codeOffset : length;
  memcpy(codeAlias + codeOffset, input, codeWritten);
  input += length;
  before.rip = CODE + codeOffset;
  take(2);
  for (int n = take(1); n > 0; n--) {
    int id = take(1);
    memcpy((uint8_t *)&before + fields[id].offset, input, fields[id].size);
    input += fields[id].size;
  }
  for (int n = take(1); n > 0; n--) {
    int at = take(2), size = take(2);
    memcpy(expected + at, input, size);
    memcpy(arenaAlias + at, input, size);
    input += size;
  }
}

// Writes the runs of arena bytes that the case changed, and puts the pattern back everywhere.
static void storeArena(void) {
  uint8_t *count = NULL;
  size_t countAt = out - output;
  put8(0);
  uint8_t runs = 0;
  for (int page = 0; page < ARENA_WRITABLE; page += 64) {
    if (!memcmp(arenaAlias + page, expected + page, 64)) continue;
    int end = page + 64;
    for (int i = page; i < end; i++) {
      if (arenaAlias[i] == expected[i]) continue;
      int last = i;
      for (int j = i; j < ARENA_WRITABLE && j <= last + 4; j++) if (arenaAlias[j] != expected[j]) last = j;
      uint16_t at = i, size = last - i + 1;
      put(&at, 2); put(&size, 2); put(arenaAlias + i, size);
      runs++;
      if (runs == 255) abort();
      i = last;
      if (i >= end) { page = i & ~63; end = page + 64; }
    }
  }
  count = output + countAt;
  *count = runs;
  memcpy(expected, pattern, ARENA_SIZE);
  memcpy(arenaAlias, pattern, ARENA_SIZE);
}

static uint16_t readSelector(int which) {
  uint16_t v = 0;
  if (which == ES_) asm volatile("mov %%es, %0" : "=r"(v));
  if (which == DS_) asm volatile("mov %%ds, %0" : "=r"(v));
  if (which == FS_) asm volatile("mov %%fs, %0" : "=r"(v));
  if (which == GS_) asm volatile("mov %%gs, %0" : "=r"(v));
  return v;
}
static void writeSelector(int which, uint16_t v) {
  if (readSelector(which) == v) return;
  if (which == ES_) asm volatile("mov %0, %%es" : : "r"(v));
  if (which == DS_) asm volatile("mov %0, %%ds" : : "r"(v));
  if (which == FS_) asm volatile("mov %0, %%fs" : : "r"(v));
  if (which == GS_) asm volatile("mov %0, %%gs" : : "r"(v));
}

// Order of the general registers in a signal frame.
static const int gregOf[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                               REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static void storeOutcome(ucontext_t *uc, int timedOut, uint64_t fsBase, const uint16_t *selectors) {
  greg_t *g = uc->uc_mcontext.gregs;
  struct image after;
  memset(&after, 0, sizeof after);
  for (int i = 0; i < 16; i++) after.regs[i] = g[gregOf[i]];
  after.rip = g[REG_RIP];
  after.rflags = g[REG_EFL];
  after.fsBase = fsBase;
  after.gsBase = _readgsbase_u64();
  memcpy(after.selectors, selectors, sizeof after.selectors);
  after.selectors[CS_] = g[REG_CSGSFS] & 0xffff;
  after.selectors[SS_] = (uint64_t)g[REG_CSGSFS] >> 48;
  memcpy(after.fx, uc->uc_mcontext.fpregs, sizeof after.fx);

  uint8_t vector = timedOut ? TIMED_OUT : g[REG_TRAPNO];
  uint32_t error = vector == 1 || vector == 3 ? 0 : g[REG_ERR];
  put8(vector);
  put(&error, 4);
  uint64_t cr2 = g[REG_CR2];
  if (vector == 14) put(&cr2, 8);
  size_t countAt = out - output;
  put8(0);
  uint8_t count = 0;
  before.rflags &= COMPARED_FLAGS;
  after.rflags &= COMPARED_FLAGS;
  for (int id = 0; id < FIELD_COUNT; id++) {
    int at = fields[id].offset, size = fields[id].size;
    if (!memcmp((uint8_t *)&before + at, (uint8_t *)&after + at, size)) continue;
    put8(id);
    put((uint8_t *)&after + at, size);
    count++;
  }
  output[countAt] = count;
  storeArena();
}

static void enterCase(ucontext_t *uc) {
  greg_t *g = uc->uc_mcontext.gregs;
  for (int i = 0; i < 16; i++) g[gregOf[i]] = before.regs[i];
  g[REG_RIP] = before.rip;
  g[REG_EFL] = before.rflags | 0x202;
  g[REG_CSGSFS] = before.selectors[CS_] | (uint64_t)before.selectors[SS_] << 48;
  uint8_t *fp = (uint8_t *)uc->uc_mcontext.fpregs;
  memcpy(fp, before.fx, 24);
  memcpy(fp + 24, before.fx + 24, 4);
  memcpy(fp + 32, before.fx + 32, sizeof before.fx - 32);
  uint64_t present = 3; // x87 and SSE from the image, everything else in its initial state
  memcpy(fp + 512, &present, 8);
}

static void finish(void) {
  while (output < out) {
    ssize_t n = write(1, output, out - output);
    if (n <= 0) _exit(1);
    output += n;
  }
  _exit(0);
}

__attribute__((used)) static void handle(int sig, siginfo_t *info, ucontext_t *uc) {
  (void)info;
  uint64_t fsBase = _readfsbase_u64();
  if (!running) fsBase = runnerFs;
  int stopped = sig != SIGALRM;
  if (!stopped && (!running || alarmCase != caseNumber)) {
    alarmCase = caseNumber; // the case has until the next tick
    return;
  }
  uint16_t selectors[6] = {0};
  for (int i = ES_; i <= GS_; i++) if (i != CS_ && i != SS_) selectors[i] = readSelector(i);
  if (running) storeOutcome(uc, !stopped, fsBase, selectors);
  writeSelector(FS_, 0);
  writeSelector(GS_, 0);
  writeSelector(DS_, DS);
  writeSelector(ES_, DS);
  _writefsbase_u64(runnerFs);
  if (input >= inputEnd) finish();
  caseNumber++;
  running = 1;
  loadCase();
  enterCase(uc);
  for (int i = ES_; i <= GS_; i++) if (i != CS_ && i != SS_) writeSelector(i, before.selectors[i]);
  _writegsbase_u64(before.gsBase);
  _writefsbase_u64(before.fsBase);
}

// A case may leave AC or NT set, which the kernel hands on to its signal handler.
void entry(void);
asm("entry: pushq $0x202; popfq; jmp handle");

static void *mapAlias(int fd, off_t at, size_t size) {
  void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, at);
  if (p == MAP_FAILED) abort();
  return p;
}
static void mapFixed(int fd, off_t at, size_t size, unsigned long address, int protection) {
  void *p = mmap((void *)address, size, protection, MAP_SHARED | MAP_POPULATE | MAP_FIXED_NOREPLACE, fd, at);
  if (p != (void *)address) abort();
}

static void mapMemory(void) {
  int fd = memfd_create("cases", 0);
  if (fd < 0 || ftruncate(fd, CODE_SIZE + ARENA_SIZE)) abort();
  codeAlias = mapAlias(fd, 0, CODE_SIZE);
  arenaAlias = mapAlias(fd, CODE_SIZE, ARENA_SIZE);
  mapFixed(fd, 0, CODE_SIZE, CODE, PROT_READ | PROT_EXEC);
  mapFixed(fd, CODE_SIZE, ARENA_WRITABLE, ARENA, PROT_READ | PROT_WRITE);
  mapFixed(fd, CODE_SIZE + ARENA_WRITABLE, ARENA_SIZE - ARENA_WRITABLE, ARENA + ARENA_WRITABLE, PROT_READ);
  memset(codeAlias, 0xcc, CODE_SIZE);
  fillState = 0x2545f491;
  for (int i = 0; i < ARENA_SIZE; i += 4) {
    uint32_t v = draw();
    memcpy(pattern + i, &v, 4);
  }
  memcpy(expected, pattern, ARENA_SIZE);
  memcpy(arenaAlias, pattern, ARENA_SIZE);
  mlockall(MCL_CURRENT);
}

static void readInput(void) {
  size_t room = 1 << 20, used = 0;
  input = malloc(room);
  for (ssize_t n; (n = read(0, input + used, room - used)) != 0;) {
    if (n < 0) abort();
    used += n;
    if (used == room) input = realloc(input, room *= 2);
  }
  inputEnd = input + used;
  size_t outputRoom = 16 << 20;
  output = out = mmap(NULL, outputRoom, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (output == MAP_FAILED) abort();
  outputEnd = output + outputRoom;
}

int main(void) {
  layOutFields();
  readInput();
  mapMemory();
  asm volatile("mov %0, %%ds; mov %0, %%es" : : "r"(DS));
  runnerFs = _readfsbase_u64();
  static uint8_t stack[1 << 17] __attribute__((aligned(64)));
  stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
  sigaltstack(&alternate, NULL);
  struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
  action.sa_handler = (void (*)(int))entry;
  sigfillset(&action.sa_mask);
  const int signals[] = {SIGTRAP, SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGALRM};
  for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++) sigaction(signals[i], &action, NULL);
  struct itimerval tick = {{0, 100000}, {0, 100000}};
  setitimer(ITIMER_REAL, &tick, NULL);
  asm volatile("int3");
  return 1;
}
