# The entry point: hands the first stack (argc, argv, environment) to init_main, which does not return.
        .globl _start
_start:
        xor %ebp, %ebp
        mov %rsp, %rdi
        and $-16, %rsp
        call init_main
        hlt
        .section .note.GNU-stack, "", @progbits
