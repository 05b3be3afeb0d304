// Records what the SSE floating-point unit of the machine that runs this program does: COUNT random cases from SEED,
// one record each, to standard output.
//
//   gcc -O1 -msse4.1 -o sse-vectors sse-vectors.c && ./sse-vectors SEED COUNT | gzip -9 > vectors.bin.gz
//
// Record (little-endian), read by ../sse-slow.test.ts:
//   0 u8 operation, 1 u8 shape, 2 u8 immediate (sse-operation.ts)   3 u8 vector raised (0 or 19)
//   4 u16 MXCSR before   6 u16 after   8 operand a   24 operand b   40 result (zero when a vector was raised)

#define _GNU_SOURCE
#include <immintrin.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

// ---- random numbers (xorshift64*) ----
static uint64_t state;
static uint64_t next(void) { state ^= state >> 12; state ^= state << 25; state ^= state >> 27; return state * 0x2545F4914F6CDD1DULL; }
static unsigned below(unsigned n) { return (next() >> 33) % n; }

static uint64_t fraction(int bits) {
  uint64_t all = (1ULL << bits) - 1, f = next() & all;
  switch (below(7)) {
    case 0: return 0;
    case 1: return all;
    case 2: return 1ULL << below(bits);
    case 3: return all & ~0ULL << below(bits);
    case 4: return bits == 52 ? (f & ~0ULL << 28) | (uint64_t)below(3) << 27 : f & ~0ULL << 12; // ties as single
  }
  return f;
}
static uint64_t number(int bits, int bias) {
  int width = bits == 52 ? 64 : 32, special = 2 * bias + 1, e;
  uint64_t f = fraction(bits), sign = (uint64_t)below(2) << (width - 1);
  switch (below(12)) {
    case 0: e = 0; break;
    case 1: e = 0; f = 0; break;
    case 2: e = special; if (below(2)) f = 0; break;
    case 3: e = 1 + below(3); break;
    case 4: e = special - 1 - below(3); break;
    case 5: e = bias + (int[]){15, 16, 30, 31, 32, 62, 63, 64, 52, 53, 23, 24}[below(12)]; break;
    case 6: e = bias + (int[]){-126, -127, -128, -149, -150, -151, 127, 128}[below(8)]; break;
    case 7: e = below(special + 1); break;
    case 8: e = bias / 2 + below(bias / 8); break;
    default: e = bias - 3 + below(7);
  }
  if (e < 0) e = 0;
  if (e > special) e = special;
  return sign | (uint64_t)e << bits | f;
}
static uint64_t whole(void) {
  uint64_t n = next();
  switch (below(4)) { case 0: return n; case 1: return n >> below(64); case 2: return -(n >> below(64)); }
  return (1ULL << below(64)) + below(3) - 1;
}

typedef union { __m128i v; uint64_t q[2]; uint32_t d[4]; } Vector;
static void fill(Vector *v, int kind) {
  for (int i = 0; i < 2; i++) v->q[i] = kind == 0 ? number(23, 127) | number(23, 127) << 32 : kind == 1 ? number(52, 1023) : whole();
}

static Vector a, b, r;
static int imm;
#define TWO(name, insn) static void name(void) { __asm__ volatile("movdqa %1,%%xmm0; movdqa %2,%%xmm1; " insn " %%xmm1,%%xmm0; movdqa %%xmm0,%0" : "=m"(r) : "m"(a), "m"(b) : "xmm0", "xmm1"); }
// one operand, and nothing of the destination kept
#define ONE(name, insn) static void name(void) { __asm__ volatile("movdqa %1,%%xmm1; pxor %%xmm0,%%xmm0; " insn " %%xmm1,%%xmm0; movdqa %%xmm0,%0" : "=m"(r) : "m"(a) : "xmm0", "xmm1"); }
#define ALL(M, name) M(name##ps, #name "ps") M(name##pd, #name "pd") M(name##ss, #name "ss") M(name##sd, #name "sd")
ALL(TWO, add) ALL(TWO, sub) ALL(TWO, mul) ALL(TWO, div) ALL(TWO, min) ALL(TWO, max) ALL(ONE, sqrt)
TWO(addsubps, "addsubps") TWO(addsubpd, "addsubpd") ONE(rcpps, "rcpps") ONE(rsqrtps, "rsqrtps")
ONE(cvtps2pd, "cvtps2pd") ONE(cvtpd2ps, "cvtpd2ps") ONE(cvtss2sd, "cvtss2sd") ONE(cvtsd2ss, "cvtsd2ss")
ONE(cvtps2dq, "cvtps2dq") ONE(cvtpd2dq, "cvtpd2dq") ONE(cvttps2dq, "cvttps2dq") ONE(cvttpd2dq, "cvttpd2dq")
ONE(cvtdq2ps, "cvtdq2ps") ONE(cvtdq2pd, "cvtdq2pd")
#define IMM1(op, n) case n: __asm__ volatile("movdqa %1,%%xmm0; movdqa %2,%%xmm1; " op " $" #n ",%%xmm1,%%xmm0; movdqa %%xmm0,%0" : "=m"(r) : "m"(a), "m"(b) : "xmm0", "xmm1"); break;
#define IMM(name, op) static void name(void) { switch (imm) { IMM1(op, 0) IMM1(op, 1) IMM1(op, 2) IMM1(op, 3) IMM1(op, 4) IMM1(op, 5) IMM1(op, 6) IMM1(op, 7) IMM1(op, 8) IMM1(op, 9) IMM1(op, 10) IMM1(op, 11) IMM1(op, 12) IMM1(op, 13) IMM1(op, 14) IMM1(op, 15) } }
IMM(cmpps, "cmpps") IMM(cmppd, "cmppd") IMM(cmpss, "cmpss") IMM(cmpsd, "cmpsd")
#define IMMA1(op, n) case n: __asm__ volatile("movdqa %1,%%xmm1; pxor %%xmm0,%%xmm0; " op " $" #n ",%%xmm1,%%xmm0; movdqa %%xmm0,%0" : "=m"(r) : "m"(a) : "xmm0", "xmm1"); break;
#define IMMA(name, op) static void name(void) { switch (imm) { IMMA1(op, 0) IMMA1(op, 1) IMMA1(op, 2) IMMA1(op, 3) IMMA1(op, 4) IMMA1(op, 5) IMMA1(op, 6) IMMA1(op, 7) IMMA1(op, 8) IMMA1(op, 9) IMMA1(op, 10) IMMA1(op, 11) IMMA1(op, 12) IMMA1(op, 13) IMMA1(op, 14) IMMA1(op, 15) } }
IMMA(roundps, "roundps") IMMA(roundpd, "roundpd") IMMA(roundss, "roundss") IMMA(roundsd, "roundsd")
#define ORDER(name) static void name(void) { uint64_t f; __asm__ volatile("movdqa %1,%%xmm0; movdqa %2,%%xmm1; " #name " %%xmm1,%%xmm0; pushfq; popq %0" : "=r"(f) : "m"(a), "m"(b) : "xmm0", "xmm1", "cc", "memory"); r.q[0] = f & 0x8d5; }
ORDER(comiss) ORDER(comisd) ORDER(ucomiss) ORDER(ucomisd)
#define TOINT(name, insn, reg) static void name(void) { uint64_t n; __asm__ volatile("movdqa %1,%%xmm0; " insn " %%xmm0,%" reg "0" : "=r"(n) : "m"(a) : "xmm0"); r.q[0] = n; }
TOINT(ss2si, "cvtss2si", "k") TOINT(sd2si, "cvtsd2si", "k") TOINT(tss2si, "cvttss2si", "k") TOINT(tsd2si, "cvttsd2si", "k")
TOINT(ss2siq, "cvtss2si", "q") TOINT(sd2siq, "cvtsd2si", "q") TOINT(tss2siq, "cvttss2si", "q") TOINT(tsd2siq, "cvttsd2si", "q")
#define FROMINT(name, insn, reg) static void name(void) { __asm__ volatile("pxor %%xmm0,%%xmm0; " insn " %" reg "1,%%xmm0; movdqa %%xmm0,%0" : "=m"(r) : "r"(a.q[0]) : "xmm0"); }
FROMINT(si2ss, "cvtsi2ssl", "k") FROMINT(si2sd, "cvtsi2sdl", "k") FROMINT(siq2ss, "cvtsi2ssq", "q") FROMINT(siq2sd, "cvtsi2sdq", "q")

enum { PS, PD, SS, SD, PI };
#define FOUR(n, name) {n, PS, 0, name##ps}, {n, PD, 0, name##pd}, {n, SS, 0, name##ss}, {n, SD, 0, name##sd}
// operation, shape, immediates, code
static const struct { uint8_t operation, shape, immediates; void (*run)(void); } TABLE[] = {
  FOUR(0, add), FOUR(1, sub), FOUR(3, mul), FOUR(4, div), FOUR(5, min), FOUR(6, max), FOUR(7, sqrt),
  {2, PS, 0, addsubps}, {2, PD, 0, addsubpd},
  {8, PS, 8, cmpps}, {8, PD, 8, cmppd}, {8, SS, 8, cmpss}, {8, SD, 8, cmpsd},
  {9, PS, 16, roundps}, {9, PD, 16, roundpd}, {9, SS, 16, roundss}, {9, SD, 16, roundsd},
  {10, PS, 0, rcpps}, {11, PS, 0, rsqrtps},
  {12, SS, 0, comiss}, {12, SD, 0, comisd}, {13, SS, 0, ucomiss}, {13, SD, 0, ucomisd},
  {14, PI, 0, cvtps2pd}, {14, PD, 0, cvtpd2ps}, {14, SS, 0, cvtss2sd}, {14, SD, 0, cvtsd2ss},
  {15, PS, 0, cvtps2dq}, {15, PD, 0, cvtpd2dq}, {15, SS, 0, ss2si}, {15, SD, 0, sd2si},
  {16, PS, 0, cvttps2dq}, {16, PD, 0, cvttpd2dq}, {16, SS, 0, tss2si}, {16, SD, 0, tsd2si},
  {17, SS, 0, ss2siq}, {17, SD, 0, sd2siq}, {18, SS, 0, tss2siq}, {18, SD, 0, tsd2siq},
  {19, PS, 0, cvtdq2ps}, {19, PD, 0, cvtdq2pd}, {19, SS, 0, si2ss}, {19, SD, 0, si2sd}, {20, SS, 0, siq2ss}, {20, SD, 0, siq2sd},
};

static sigjmp_buf trap;
static unsigned trappedMxcsr;
static void onTrap(int signal, siginfo_t *info, void *context) {
  (void)signal; (void)info;
  trappedMxcsr = ((ucontext_t *)context)->uc_mcontext.fpregs->mxcsr;
  siglongjmp(trap, 1);
}

int main(int argc, char **argv) {
  state = argc > 1 ? strtoull(argv[1], 0, 0) * 2 + 1 : 1;
  long count = argc > 2 ? atol(argv[2]) : 10000;
  struct sigaction action = { .sa_sigaction = onTrap, .sa_flags = SA_SIGINFO };
  sigaction(SIGFPE, &action, 0);
  for (int i = 0; i < 10; i++) next();
  while (count-- > 0) {
    volatile unsigned k = below(sizeof TABLE / sizeof TABLE[0]);
    int kind = TABLE[k].operation >= 19 ? 2 : TABLE[k].shape & 1;
    fill(&a, kind);
    fill(&b, kind);
    if (below(8) == 0) b = a;
    imm = TABLE[k].immediates ? below(TABLE[k].immediates) : 0;
    volatile unsigned mxcsr = below(3) ? 0x1f80 : (next() & 0x1f80);
    if (below(2)) mxcsr |= below(4) << 13;
    if (below(3) == 0) mxcsr |= next() & 0x8040;
    if (below(4) == 0) mxcsr |= next() & 0x3f;
    uint8_t record[56] = { TABLE[k].operation, TABLE[k].shape, imm, 0, mxcsr, mxcsr >> 8 };
    r.q[0] = r.q[1] = 0;
    if (sigsetjmp(trap, 1) == 0) {
      _mm_setcsr(mxcsr);
      TABLE[k].run();
      trappedMxcsr = _mm_getcsr();
      _mm_setcsr(0x1f80);
      // scalar operations keep the upper part of their destination: not part of the record
      if (TABLE[k].shape == SS || TABLE[k].shape == SD) r.q[1] = 0;
      if (TABLE[k].shape == SS && TABLE[k].operation < 12) r.d[1] = 0;
    } else {
      _mm_setcsr(0x1f80);
      r.q[0] = r.q[1] = 0;
      record[3] = 19;
    }
    record[6] = trappedMxcsr; record[7] = trappedMxcsr >> 8;
    memcpy(record + 8, &a, 16); memcpy(record + 24, &b, 16); memcpy(record + 40, &r, 16);
    fwrite(record, 56, 1, stdout);
  }
}
