// Records what the x87 of the machine that runs this program does: COUNT random cases from SEED, one record each, to
// standard output. Every case loads a whole x87 state with FXRSTOR, executes one instruction, and saves the state
// with FXSAVE, so control word, tags, pending exceptions and the untouched registers are all part of the result.
//
//   gcc -O1 -o x87-vectors x87-vectors.c && ./x87-vectors SEED COUNT [OPCODE [MODRM]] | gzip -9n > vectors.bin.gz
//
// x87-vectors.bin.gz is SEED 2026, COUNT 17000, from an Intel Xeon with AMX and AVX512-FP16 (2026-11).
//
// Record (little-endian), read by ../x87-vectors.test.ts:
//   0 u8 vector raised (0, 6, 16)    1 u8 opcode    2 u8 modrm    3 u8 bit 0: 66h prefix; bit 1: memory written
//   4 u16 fcw, fsw; u8 ftw, rflags (bits 7:0; OF in bit 1) before     10 the same six bytes after
//  16 u16 ax after (5A5Ah before)   18 u8 registers that differ from FILLER   19 u8 registers changed (slots after)
//  20 u8 fip, fdp, fop after, two bits each: 0 kept, 1 of this instruction, 2 zero, 3 anything else
//  21 u8 bytes of memory before     22 u8 bytes of memory after               23 u8 0
//  then 10 bytes for each register named at 18 and at 19, memory before, memory after.
// FILLER of ST(i): (1 + i/16) * 2^i. Transcendental results and flags left undefined by the manual are recorded too.

#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

typedef struct {
  uint16_t fcw, fsw; uint8_t ftw, reserved; uint16_t fop; uint64_t fip, fdp; uint32_t mxcsr, mxcsr_mask;
  uint8_t st[8][16], rest[352];
} __attribute__((aligned(64))) Fxsave;

// ---- random numbers (xorshift64*) ----
static uint64_t state;
static uint64_t next(void) { state ^= state >> 12; state ^= state << 25; state ^= state >> 27; return state * 0x2545F4914F6CDD1DULL; }
static unsigned below(unsigned n) { return (next() >> 33) % n; }
static int chance(unsigned percent) { return below(100) < percent; }

// ---- operands ----
typedef struct { uint64_t sig; uint16_t se; } F80;
static const F80 EDGES[] = {
  {0, 0}, {0, 0x8000}, {1, 0}, {1, 0x8000}, {0x7fffffffffffffff, 0}, {0x8000000000000000, 0}, {0xffffffffffffffff, 0}, {0x8000000000000000, 0x8000}, // zeros, denormals, pseudo-denormals
  {0x8000000000000000, 1}, {0x8000000000000001, 0x8001}, {0xffffffffffffffff, 1}, {0x8000000000000000, 0x40}, // least normals
  {0xffffffffffffffff, 0x7ffe}, {0xffffffffffffffff, 0xfffe}, {0x8000000000000000, 0x7ffe}, {0xfffffffffffff800, 0x7ffe}, {0xffffff0000000000, 0x7ffe}, // greatest
  {0x8000000000000000, 0x7fff}, {0x8000000000000000, 0xffff}, // infinities
  {0xc000000000000000, 0xffff}, {0xc000000000000000, 0x7fff}, {0xc000000000000001, 0x7fff}, {0xffffffffffffffff, 0xffff}, // quiet NaNs
  {0x8000000000000001, 0x7fff}, {0xbfffffffffffffff, 0xffff}, {0xa000000000000000, 0x7fff}, {0xa000000000000000, 0xffff}, // signalling NaNs
  {0, 0x7fff}, {0x4000000000000000, 0xffff}, {0x7fffffffffffffff, 0x3fff}, {0, 0x3fff}, {1, 1}, {0x4000000000000000, 0x7ffe}, // unsupported
  {0x8000000000000000, 0x3fff}, {0x8000000000000000, 0xbfff}, {0x8000000000000000, 0x4000}, {0xc000000000000000, 0xc000}, {0x8000000000000000, 0x3ffe}, {0x8000000000000000, 0xbffe}, // 1, -1, 2, -3, .5, -.5
  {0x8000000000000001, 0x3fff}, {0xffffffffffffffff, 0x3ffe}, {0xffffffffffffffff, 0xbffe}, {0xc000000000000000, 0x3fff}, {0xa000000000000000, 0x4000}, {0xe000000000000000, 0xc000},
  {0xfffe000000000000, 0x400d}, {0xffff000000000000, 0x400d}, {0x8000000000000000, 0x400e}, {0x8000000000000000, 0xc00e}, {0x8000800000000000, 0xc00e}, {0x8001000000000000, 0xc00e}, // around the 16-bit integers
  {0xffffffff00000000, 0x401d}, {0xfffffffe00000000, 0x401d}, {0x8000000000000000, 0x401e}, {0x8000000000000000, 0xc01e}, {0x8000000080000000, 0xc01e},
  {0xfffffffffffffffe, 0x403d}, {0xffffffffffffffff, 0x403d}, {0x8000000000000000, 0x403e}, {0x8000000000000000, 0xc03e}, {0xffffffffffffffff, 0x403c}, {0x8000000000000001, 0xc03e},
  {0xde0b6b3a763ffff0, 0x403a}, {0xde0b6b3a763fffff, 0x403a}, {0xde0b6b3a76400000, 0xc03a}, // around 10^18
  {0x8000000000000000, 0x3f81}, {0xffffff8000000000, 0x3f80}, {0xffffff0000000000, 0x407e}, {0xffffff8000000000, 0x407e}, {0x8000000000000000, 0x407f}, {0x8000000000000000, 0x3f6a}, {0x8000000000000000, 0x3f69}, // around the singles
  {0x8000000000000000, 0x3c01}, {0xfffffffffffffc00, 0x3c00}, {0xfffffffffffff800, 0x43fe}, {0xfffffffffffffc00, 0x43fe}, {0x8000000000000000, 0x43ff}, {0x8000000000000000, 0x3bcd}, {0x8000000000000000, 0x3bcc}, // around the doubles
  {0xc90fdaa22168c235, 0x3fff}, {0xc90fdaa22168c235, 0x4000}, {0xc90fdaa22168c234, 0x3ffe}, {0xc90fdaa22168c235, 0x3ffe}, {0xb504f333f9de6484, 0x3ffe}, {0x95f619980c4336f7, 0x3ffd}, // pi and square roots
};
#define LENGTH(a) (sizeof(a) / sizeof(a[0]))

static uint64_t random_significand(void) {
  uint64_t s = next();
  switch (below(8)) {
    case 0: s = 0; break;
    case 1: s = ~0ULL; break;
    case 2: s = 1ULL << below(64); break;
    case 3: s = ~0ULL << below(64); break;
    case 4: s &= ~0ULL << (below(2) ? 40 : 11); if (chance(60)) s |= 1ULL << (below(2) ? 39 : 10); if (chance(40)) s |= 1; break; // ties at 24 and 53 bits
    case 5: s = (s >> 32 << 32) + below(3) - 1; break;
  }
  return s | 1ULL << 63;
}
static F80 value(void) {
  F80 v;
  unsigned kind = below(100);
  if (kind < 30) return EDGES[below(LENGTH(EDGES))];
  v.sig = random_significand();
  v.se = (below(2) << 15);
  if (kind < 70) v.se |= 0x3fff - 70 + below(140);
  else if (kind < 80) v.se |= below(0x7fff);
  else if (kind < 85) v.se |= 1 + below(70);
  else if (kind < 90) v.se |= 0x7ffe - below(70);
  else if (kind < 94) v.sig = next() >> (1 + below(63)); // denormal
  else if (kind < 97) { v.se |= 0x7fff; v.sig = 1ULL << 63 | next(); }
  else if (kind < 98) { v.se |= below(0x8000); v.sig &= ~(1ULL << 63); } // unsupported
  else v.se |= (below(2) ? 0x3c01 : 0x3f81) - below(60);
  return v;
}
static F80 near(F80 a) {
  F80 v = a;
  switch (below(5)) {
    case 0: v.sig = (a.sig + below(5) - 2) | 1ULL << 63; break;
    case 1: v.se = (a.se & 0x8000) | ((a.se + below(5) - 2) & 0x7fff); break;
    case 2: v.se = (a.se + below(140) - 70) & 0xffff; v.sig = random_significand(); break;
    case 3: v.se ^= 0x8000; break;
    case 4: v.se = (below(2) << 15) | ((0x7ffe - (a.se & 0x7fff) + below(200) - 100) & 0x7fff); v.sig = random_significand(); break;
  }
  return v;
}
static F80 moderate(unsigned low, unsigned high) { F80 v = { chance(70) ? next() | 1ULL << 63 : random_significand(), (below(2) << 15) | (low + below(high - low + 1)) }; return v; }

static void put80(uint8_t *to, F80 v) { memcpy(to, &v.sig, 8); memcpy(to + 8, &v.se, 2); }
static uint8_t FILLER[8][16];
static uint8_t memory[128] __attribute__((aligned(64))), before[128];

static void bytes(uint8_t *to, unsigned n) { for (unsigned i = 0; i < n; i++) to[i] = next(); }
static void float32(uint8_t *to) {
  static const uint32_t edges[] = { 0, 0x80000000, 1, 0x80000001, 0x7fffff, 0x800000, 0x7f7fffff, 0x7f800000, 0xff800000, 0x7f800001, 0xffbfffff, 0x7fc00000, 0xffffffff, 0x3f800000, 0xbf800000, 0x3f000000 };
  uint32_t v = next();
  if (chance(40)) v = edges[below(LENGTH(edges))];
  else if (chance(60)) v = (v & 0x807fffff) | (127 - 30 + below(60)) << 23;
  memcpy(to, &v, 4);
}
static void float64(uint8_t *to) {
  static const uint64_t edges[] = { 0, 0x8000000000000000, 1, 0x800fffffffffffff, 0x10000000000000, 0x7fefffffffffffff, 0x7ff0000000000000, 0xfff0000000000000, 0x7ff0000000000001, 0xfff7ffffffffffff, 0x7ff8000000000000, 0xffffffffffffffff, 0x3ff0000000000000, 0xbff0000000000000, 0x3fe0000000000000 };
  uint64_t v = next();
  if (chance(40)) v = edges[below(LENGTH(edges))];
  else if (chance(60)) v = (v & 0x800fffffffffffff) | (uint64_t)(1023 - 60 + below(120)) << 52;
  memcpy(to, &v, 8);
}
static void integer(uint8_t *to, unsigned size) {
  int64_t v = next();
  if (chance(30)) v = (int64_t)below(5) - 2;
  else if (chance(20)) v = 1LL << (size * 8 - 1);
  else if (chance(40)) v >>= below(64);
  memcpy(to, &v, size);
}
static void decimal(uint8_t *to) {
  for (int i = 0; i < 9; i++) to[i] = below(10) | below(10) << 4;
  to[9] = below(2) << 7;
  if (chance(20)) memset(to + 9 - below(10), 0, 9), to[9] = below(2) << 7;
  if (chance(15)) bytes(to, 10);
  if (chance(10)) to[9] = next();
}

// ---- memory forms: what each reads or writes, as the manual's tables A-8 to A-22 ----
enum { NONE, F32, F64, FP80, I16, I32, I64, BCD, ENV, SAVE, CW, W16, W32, W64, W80, WENV, WSAVE, WF };
static const uint8_t FORM[8][8] = {
  { F32, F32, F32, F32, F32, F32, F32, F32 }, { F32, NONE, W32, W32, ENV, CW, WENV, W16 },
  { I32, I32, I32, I32, I32, I32, I32, I32 }, { I32, W32, W32, W32, NONE, FP80, NONE, W80 },
  { F64, F64, F64, F64, F64, F64, F64, F64 }, { F64, W64, W64, W64, SAVE, NONE, WSAVE, W16 },
  { I16, I16, I16, I16, I16, I16, I16, I16 }, { I16, W16, W16, W16, BCD, I64, W80, W64 },
};
static unsigned size_of(unsigned form, int short_form) {
  switch (form) {
    case F32: case I32: case W32: return 4;
    case F64: case I64: case W64: return 8;
    case FP80: case BCD: case W80: return 10;
    case I16: case CW: case W16: return 2;
    case ENV: case WENV: return short_form ? 14 : 28;
    case SAVE: case WSAVE: return short_form ? 94 : 108;
  }
  return 0;
}
static uint16_t control_word(void) {
  static const uint8_t precision[8] = { 3, 3, 3, 3, 2, 2, 0, 1 };
  unsigned masks = chance(65) ? 0x3f : chance(50) ? (0x3f & ~(1u << below(6))) : below(64);
  return masks | 0x40 | precision[below(8)] << 8 | below(4) << 10 | (chance(5) ? 0x1000 : 0);
}
static uint16_t status_word(void) {
  unsigned flags = chance(85) ? 0 : below(128);
  return flags | (next() & 0x4700) | below(8) << 11;
}
static void operand(unsigned form, int short_form) {
  memset(memory, 0xcc, sizeof memory);
  switch (form) {
    case F32: float32(memory); break;
    case F64: float64(memory); break;
    case FP80: put80(memory, value()); break;
    case I16: integer(memory, 2); break;
    case I32: integer(memory, 4); break;
    case I64: integer(memory, 8); break;
    case BCD: decimal(memory); break;
    case CW: { uint16_t v = chance(50) ? control_word() : next(); memcpy(memory, &v, 2); break; }
    case ENV: case SAVE: {
      unsigned head = short_form ? 14 : 28, step = short_form ? 2 : 4;
      uint16_t cw = control_word(), sw = status_word();
      bytes(memory, head);
      memcpy(memory, &cw, 2); memcpy(memory + step, &sw, 2);
      if (form == SAVE) for (int i = 0; i < 8; i++) put80(memory + head + 10 * i, value());
      break;
    }
  }
}

// ---- execution ----
static sigjmp_buf escape;
static Fxsave in, out;
static volatile int raised;
static void on_signal(int number, siginfo_t *info, void *context) {
  (void)info;
  memcpy(&out, ((ucontext_t *)context)->uc_mcontext.fpregs, sizeof out);
  raised = number == SIGFPE ? 16 : 6;
  siglongjmp(escape, 1);
}
static uint8_t *code;
static struct { uint64_t flags, ax; } after;
/** Returns the address of the instruction under test. */
static uint8_t *assemble(int short_form, uint8_t opcode, uint8_t modrm) {
  // rdi in, rsi memory, rdx out, rcx flags, r8 &after
  static const uint8_t head[] = { 0x48, 0x0f, 0xae, 0x0f, 0x51, 0x9d, 0x48, 0xc7, 0xc0, 0x5a, 0x5a, 0, 0 }; // fxrstor64 [rdi]; push rcx; popf; mov rax, 5a5ah
  static const uint8_t tail[] = { 0x9c, 0x48, 0x0f, 0xae, 0x02, 0x59, 0x49, 0x89, 0x08, 0x49, 0x89, 0x40, 0x08, 0xdb, 0xe3, 0xc3 }; // pushf; fxsave64 [rdx]; pop rcx; mov [r8], rcx; mov [r8+8], rax; fninit; ret
  uint8_t *p = code, *at;
  memcpy(p, head, sizeof head); p += sizeof head;
  at = p;
  if (short_form) *p++ = 0x66;
  *p++ = opcode; *p++ = modrm;
  memcpy(p, tail, sizeof tail);
  return at;
}
/** Loads `in`, executes the assembled instruction, fills `out` and `after`. */
static void execute(uint64_t flags) {
  memset(&out, 0xcc, sizeof out);
  raised = 0;
  after.flags = flags; after.ax = 0x5a5a;
  if (!sigsetjmp(escape, 1)) ((void (*)(void *, void *, void *, uint64_t, void *))code)(&in, memory, &out, flags, &after);
  else __asm__ volatile("fninit");
}
static void u16(uint8_t *to, unsigned v) { to[0] = v; to[1] = v >> 8; }

static void one(int opcode_wanted, int modrm_wanted) {
  static const uint16_t TRANSCENDENTAL[] = { 0xd9f0, 0xd9f1, 0xd9f2, 0xd9f3, 0xd9f9, 0xd9fb, 0xd9fe, 0xd9ff };
  static const uint16_t REGISTER_FORMS[] = { 0xd9fa, 0xd9f8, 0xd9f5, 0xd9fc, 0xd9fd, 0xd9f4, 0xd8c1, 0xd8c9, 0xd8e1, 0xd8e9, 0xd8f1, 0xd8f9, 0xdec1, 0xdef9, 0xdbf1, 0xd9e5, 0xd9e4 };
  unsigned opcode, modrm;
  if (chance(30)) { unsigned o = REGISTER_FORMS[below(LENGTH(REGISTER_FORMS))]; opcode = o >> 8; modrm = o & 255; }
  else if (chance(15)) { unsigned o = TRANSCENDENTAL[below(LENGTH(TRANSCENDENTAL))]; opcode = o >> 8; modrm = o & 255; }
  else if (chance(55)) { opcode = 0xd8 + below(8); modrm = 0xc0 + below(64); }
  else { opcode = 0xd8 + below(8); modrm = below(8) << 3 | 6; }
  if (opcode_wanted >= 0) opcode = opcode_wanted;
  if (modrm_wanted >= 0) modrm = modrm_wanted;
  int register_form = modrm >= 0xc0;
  unsigned form = register_form ? NONE : FORM[opcode & 7][modrm >> 3 & 7];
  int short_form = (form == ENV || form == SAVE || form == WENV || form == WSAVE) ? chance(30) : chance(2);

  memset(&in, 0, sizeof in);
  in.fcw = control_word(); in.fsw = status_word();
  in.ftw = chance(92) ? 0xff : next();
  if (!register_form && (opcode & 1) && form < ENV && form != CW && chance(95)) in.ftw &= ~(1 << (((in.fsw >> 11) - 1) & 7)); // room for a load
  if (opcode == 0xd9 && ((modrm >= 0xe8 && modrm < 0xf0) || modrm == 0xf2 || modrm == 0xf4 || modrm == 0xfb || (modrm >= 0xc0 && modrm < 0xc8)) && chance(95)) in.ftw &= ~(1 << (((in.fsw >> 11) - 1) & 7));
  in.fop = 0x2ab; in.fip = 0x111122223333; in.fdp = 0x444455556666; in.mxcsr = 0x1f80;
  for (int i = 0; i < 8; i++) memcpy(in.st[i], FILLER[i], 16);
  F80 a = value(), b = chance(40) ? near(a) : value();
  if (opcode == 0xd9 && chance(85)) {
    if (modrm == 0xf0) a = moderate(0x3fff - (chance(90) ? 20 : 70), 0x3fff - chance(90)); // F2XM1
    if (modrm == 0xf1) { a = chance(70) ? moderate(0x3ffd, 0x4001) : moderate(1, 0x7ffe); a.se &= 0x7fff; b = moderate(0x3fc0, 0x4040); }
    if (modrm == 0xf9) { a = moderate(0x3fff - 66, 0x3ffd); b = moderate(0x3fc0, 0x4040); }
    if (modrm == 0xf3) { a = moderate(0x3fe0, 0x4020); b = chance(80) ? moderate(0x3fe0, 0x4020) : value(); }
    if (modrm == 0xf2 || modrm == 0xfb || modrm == 0xfe || modrm == 0xff) a = chance(80) ? moderate(0x3ff0, 0x4005) : moderate(0x3fff - 70, 0x403e);
    if (modrm == 0xfd) { b = a; a = chance(50) ? moderate(0x3fff, 0x400e) : b; b = value(); F80 t = a; a = b; b = t; } // FSCALE by ST(1)
  }
  if (form == W80 && opcode == 0xdf && chance(70)) a = moderate(0x3ffd, 0x403b);
  if ((form == W16 || form == W32 || form == W64) && chance(50)) a = moderate(0x3ffd, 0x3fff + size_of(form, 0) * 8);
  int other = register_form && chance(60) ? (int)(modrm & 7) : 1;
  put80(in.st[0], a);
  put80(in.st[other ? other : 1], b);
  uint64_t flags = 2 | (next() & 0x8d5);
  operand(form, short_form);
  memcpy(before, memory, sizeof before);

  unsigned size = size_of(form, short_form);
  int writes = form >= W16, written = 0;
  uint8_t *at = assemble(short_form, opcode, modrm);
  if (writes) { // twice, over different bytes: what it stores may equal one of them
    memset(memory, 0x33, sizeof memory);
    execute(flags);
    for (unsigned i = 0; i < size; i++) written |= memory[i] != 0x33;
    memcpy(memory, before, sizeof memory);
  }
  execute(flags);
  written |= writes && memcmp(memory, before, size) != 0;
  if (writes && memcmp(memory + size, before + size, sizeof memory - size)) { fprintf(stderr, "%02x %02x writes more than %u bytes\n", opcode, modrm, size); exit(1); }
  uint8_t record[600] = { raised, opcode, modrm, short_form | written << 1 };
  u16(record + 4, in.fcw); u16(record + 6, in.fsw); record[8] = in.ftw; record[9] = (flags & 0xd5) | (flags >> 10 & 2);
  u16(record + 10, out.fcw); u16(record + 12, out.fsw); record[14] = out.ftw; record[15] = (after.flags & 0xd5) | (after.flags >> 10 & 2);
  u16(record + 16, after.ax);
  unsigned fip = out.fip == in.fip ? 0 : out.fip == (uint64_t)(uintptr_t)at ? 1 : out.fip == 0 ? 2 : 3;
  unsigned fdp = out.fdp == in.fdp ? 0 : out.fdp == (uint64_t)(uintptr_t)memory ? 1 : out.fdp == 0 ? 2 : 3;
  unsigned fop = out.fop == in.fop ? 0 : out.fop == ((opcode & 7) << 8 | modrm) ? 1 : out.fop == 0 ? 2 : 3;
  record[20] = fip | fdp << 2 | fop << 4;
  record[21] = form != NONE && !writes ? size : 0;
  record[22] = written ? size : 0;
  unsigned n = 24;
  unsigned turn = (out.fsw >> 11) - (in.fsw >> 11);
  for (int i = 0; i < 8; i++) if (memcmp(in.st[i], FILLER[i], 10)) { record[18] |= 1 << i; memcpy(record + n, in.st[i], 10); n += 10; }
  for (int i = 0; i < 8; i++) if (memcmp(out.st[i], in.st[(i + turn) & 7], 10)) { record[19] |= 1 << i; memcpy(record + n, out.st[i], 10); n += 10; }
  memcpy(record + n, before, record[21]); n += record[21];
  memcpy(record + n, memory, record[22]); n += record[22];
  fwrite(record, 1, n, stdout);
}

int main(int argc, char **argv) {
  if (argc < 3) { fprintf(stderr, "usage: %s SEED COUNT [OPCODE [MODRM]]\n", argv[0]); return 2; }
  state = strtoull(argv[1], 0, 0) * 0x9E3779B97F4A7C15ULL + 1;
  code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_NODEFER };
  sigaction(SIGFPE, &action, 0); sigaction(SIGILL, &action, 0);
  for (int i = 0; i < 8; i++) { F80 v = { 1ULL << 63 | (uint64_t)i << 59, 0x3fff + i }; put80(FILLER[i], v); }
  int opcode = argc > 3 ? strtol(argv[3], 0, 16) : -1, modrm = argc > 4 ? strtol(argv[4], 0, 16) : -1;
  for (long i = 0, count = atol(argv[2]); i < count; i++) one(opcode, modrm);
  return 0;
}
