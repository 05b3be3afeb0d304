// Entry of a PV guest, hypercalls, trap entry. With HYPERCALL_PAGE the guest has the note of that name and calls the
// page; without, it issues SYSCALL itself, as Linux does since 6.1.

#define IRET 23
#define EXTRA_VECTOR 0x80       // vectors 0x80..0x83 have stubs too
#define EXTRA_VECTORS 4
#define FLAT_KERNEL_CS 0xe030

        .macro note type, size
        .pushsection .note.Xen, "a", @note
        .balign 4
        .long 4, \size, \type
        .asciz "Xen"
        .endm
        .macro note_string type, text
        note \type, (7f-6f)
6:      .asciz "\text"
7:      .balign 4
        .popsection
        .endm
        .macro note_quad type, value
        note \type, 8
        .quad \value
        .popsection
        .endm

        note_string 6, "xenith-test"            // GUEST_OS
        note_string 5, "xen-3.0"                // XEN_VERSION
        note_string 8, "generic"                // LOADER
        note_string 9, "yes"                    // PAE_MODE
        note_quad 3, virt_base                  // VIRT_BASE
        note_quad 1, _start                     // ENTRY
        note_quad 12, 0xffff800000000000        // HV_START_LOW
#ifdef HYPERCALL_PAGE
        note_quad 2, hypercall_page             // HYPERCALL_PAGE
#endif

        .section .text.first, "ax"
        .globl _start
_start: lea main_stack_top(%rip), %rsp
        mov %rsi, %rdi
        xor %ebp, %ebp
        cld
        call guest_start
        ud2

#ifdef HYPERCALL_PAGE
        .balign 4096
        .globl hypercall_page
hypercall_page: .skip 4096
#endif

// long hypercall(number, arg0 .. arg4); the sixth argument register is not needed by any call
        .globl hypercall
hypercall:
        mov %rdi, %rax
        mov %rsi, %rdi
        mov %rdx, %rsi
        mov %rcx, %rdx
        mov %r8, %r10
        mov %r9, %r8
#ifdef HYPERCALL_PAGE
        shl $5, %rax
        add $hypercall_page, %rax
        jmp *%rax
#else
        syscall
        ret
#endif

// int guarded(void (*fn)(u64), u64 arg): calls fn; 1 when it trapped, `fault` then has the frame
        .globl guarded, guard_return
guarded:
        push %rbx
        push %rbp
        push %r12
        push %r13
        push %r14
        push %r15
        push guard_sp(%rip)
        mov %rsp, guard_sp(%rip)
        mov %rdi, %rax
        mov %rsi, %rdi
        call *%rax
        xor %eax, %eax
        jmp 1f
guard_return:
        cld
        mov $1, %eax
1:      mov guard_sp(%rip), %rsp
        pop guard_sp(%rip)
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbp
        pop %rbx
        ret

// Trap entry: struct frame (pv.h) on the stack, whatever Xen pushed
        .macro stub vector
        .balign 8
        .if (\vector == 8) || (\vector >= 10 && \vector <= 14) || (\vector == 17)
        pushq $\vector
        jmp with_error
        .else
        pushq $\vector
        jmp without_error
        .endif
        .endm

        .globl trap_stubs, trap_stubs_extra
        .balign 16
trap_stubs:
        .set n, 0
        .rept 32
        stub n
        .balign 16
        .set n, n + 1
        .endr
trap_stubs_extra:
        .rept EXTRA_VECTORS
        stub (EXTRA_VECTOR + n - 32)
        .balign 16
        .set n, n + 1
        .endr

        .globl upcall_entry, syscall_entry, sysenter_entry, failsafe_entry
upcall_entry:
        pushq $0x100
        jmp without_error
syscall_entry:
        pushq $0x101
        jmp without_error
sysenter_entry:
        pushq $0x102
        jmp without_error
failsafe_entry: // the data selectors lie where the error code would be: kept in failsafe_selectors
        pushq $0x103
        push %rax
        mov 32(%rsp), %eax
        shl $16, %rax
        mov 24(%rsp), %ax
        mov %eax, failsafe_selectors(%rip)
        mov 48(%rsp), %eax
        shl $16, %rax
        mov 40(%rsp), %ax
        mov %eax, failsafe_selectors+4(%rip)
        pop %rax
        // vector, rcx, r11, ds, es, fs, gs, rip...: drop three of the four words
        mov (%rsp), %rcx
        mov %rcx, 24(%rsp)
        mov 8(%rsp), %rcx
        mov %rcx, 32(%rsp)
        mov 16(%rsp), %rcx
        mov %rcx, 40(%rsp)
        add $24, %rsp
        movq $0, 24(%rsp)
        jmp with_error

without_error: // vector, rcx, r11, rip...: a zero for the error code goes below rip
        push (%rsp)
        mov 16(%rsp), %rcx
        mov %rcx, 8(%rsp)
        mov 24(%rsp), %rcx
        mov %rcx, 16(%rsp)
        movq $0, 24(%rsp)
with_error:
        push %rax
        push %rdx
        push %rbx
        push %rbp
        push %rsi
        push %rdi
        push %r8
        push %r9
        push %r10
        push %r12
        push %r13
        push %r14
        push %r15
        mov %rsp, %rdi
        cld
        call trap
        .globl leave_trap
leave_trap: // the frame is at rsp
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %r10
        pop %r9
        pop %r8
        pop %rdi
        pop %rsi
        pop %rbp
        pop %rbx
        pop %rdx
        pop %rax
        mov 8(%rsp), %rcx
        mov 16(%rsp), %r11
        add $24, %rsp
#ifdef HYPERCALL_PAGE
        movq $0, (%rsp) // flags of the iret_context, in place of the error code
        jmp hypercall_page + 32 * IRET
#else
        movq $0, (%rsp)
        push %rcx
        push %r11
        push %rax
        mov $IRET, %eax
        syscall
#endif

// void enter(struct frame *): goes where the frame says
        .globl enter
enter:  mov %rdi, %rsp
        jmp leave_trap

        .bss
        .balign 4096
        .skip 8192
main_stack_top: // what the guest runs on; traps out of user mode come in on the other
        .globl kernel_stack, kernel_stack_top
kernel_stack: .skip 8192
kernel_stack_top:
        .globl guard_sp, failsafe_selectors
guard_sp: .skip 8
failsafe_selectors: .skip 8

        .section .note.GNU-stack, "", @progbits
