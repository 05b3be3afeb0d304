// A bytecode interpreter: a loop around a switch, an indirect jump for each step.

#include "rows.h"

enum opcode { PUSH, ADD, MULTIPLY, XOR, SHIFT, DUPLICATE, SWAP, LOAD, STORE, DECREMENT, BRANCH, STOP };
enum { LOOPS = 300000 };

// Locals: 0 counts down, 1 gathers.
static const int32_t program[] = {
    LOAD, 0, LOAD, 1, ADD, DUPLICATE, PUSH, 3, SHIFT, XOR, PUSH, 5, MULTIPLY, LOAD, 0, SWAP, XOR, STORE, 1, DECREMENT, 0, BRANCH, 0, STOP,
};

static uint64_t run(const int32_t *code, uint64_t *locals)
{
    uint64_t stack[16], *top = stack, t;
    for (const int32_t *p = code;;) {
        switch ((enum opcode)*p++) {
        case PUSH: *top++ = (uint64_t)*p++; break;
        case ADD: top--; top[-1] += top[0]; break;
        case MULTIPLY: top--; top[-1] *= top[0]; break;
        case XOR: top--; top[-1] ^= top[0]; break;
        case SHIFT: top--; top[-1] >>= top[0] & 63; break;
        case DUPLICATE: top[0] = top[-1]; top++; break;
        case SWAP: t = top[-1]; top[-1] = top[-2]; top[-2] = t; break;
        case LOAD: *top++ = locals[*p++]; break;
        case STORE: locals[*p++] = *--top; break;
        case DECREMENT: locals[*p++]--; break;
        case BRANCH: p = locals[0] ? code + *p : p + 1; break;
        case STOP: return locals[1];
        }
    }
}

static uint64_t bytecode(void)
{
    uint64_t locals[2] = {LOOPS, 1};
    escape(locals);
    return run(program, locals);
}

const struct row bytecode_rows[] = {{.name = "bytecode", .group = "compute", .work = bytecode}, {0}};
