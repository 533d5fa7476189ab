/* Ways into the system: from the loader, from system calls and from faults. */

/* For a multiboot loader: its mark, wishes (modules at pages, memory), and a sum of zero. */
.section .multiboot, "a"
.align 4
.long 0x1badb002, 3, -(0x1badb002 + 3)

.text
.code32
.globl start
start: /* in protected mode, without pages */
  cli
  mov $stack_end, %esp
  mov %eax, %edi /* arguments of start_system */
  mov %ebx, %esi

  /* 2 GiB at their own addresses, in pages of 2 MiB (0x83: present, may be written, large). */
  movl $pages_3 + 3, pages_4
  movl $pages_2 + 3, pages_3
  movl $pages_2 + 4096 + 3, pages_3 + 8
  mov $0x83, %edx
  xor %ecx, %ecx
1:
  mov %edx, pages_2(, %ecx, 8)
  add $0x200000, %edx
  inc %ecx
  cmp $1024, %ecx
  jne 1b

  mov %cr4, %eax
  or $0x20, %eax /* 64-bit entries of page tables */
  mov %eax, %cr4
  mov $pages_4, %eax
  mov %eax, %cr3
  mov $0xc0000080, %ecx /* EFER */
  rdmsr
  or $0x101, %eax /* 64-bit mode, instruction syscall */
  wrmsr
  mov %cr0, %eax
  or $0x80000000, %eax /* pages */
  mov %eax, %cr0
  lgdt segments_pointer
  ljmp $8, $start_64

.code64
start_64:
  mov $16, %eax
  mov %eax, %ds
  mov %eax, %es
  mov %eax, %ss
  xor %eax, %eax
  mov %eax, %fs
  mov %eax, %gs
  mov %edi, %edi /* the upper halves are undefined */
  mov %esi, %esi
  call start_system
  hlt

/* Instruction syscall: rax is the number, rdi rsi rdx r10 r8 r9 are arguments, rcx is where to go on,
   r11 the flags. It keeps all but rax, rcx and r11. The program runs in ring 0 too, so this returns
   by a jump. The system is compiled to use no vector registers. */
.globl enter_call
enter_call:
  mov %rsp, program_stack(%rip)
  lea stack_end(%rip), %rsp
  push %rcx
  push %r11
  push %rdi
  push %rsi
  push %rdx
  push %r10
  push %r8
  push %r9
  sub $8, %rsp /* 16 bytes are the alignment of calls */
  push %r9 /* the seventh argument */
  mov %r8, %r9
  mov %r10, %r8
  mov %rdx, %rcx
  mov %rsi, %rdx
  mov %rdi, %rsi
  mov %rax, %rdi
  call system_call
  add $16, %rsp
  pop %r9
  pop %r8
  pop %r10
  pop %rdx
  pop %rsi
  pop %rdi
  popfq
  pop %rcx
  mov program_stack(%rip), %rsp
  jmp *%rcx

/* 32 entries of 16 bytes. The processor pushes an error for some faults; others get a zero. */
.align 16
.globl fault_entries
fault_entries:
.set vector, 0
.rept 32
  .align 16
  .if (vector != 8) && (vector < 10 || vector > 14) && (vector != 17) && (vector != 21)
  push $0
  .endif
  push $vector
  jmp enter_fault
  .set vector, vector + 1
.endr

enter_fault: /* struct frame of processor.c */
  push %rax
  push %rbx
  push %rcx
  push %rdx
  push %rsi
  push %rdi
  push %rbp
  push %r8
  push %r9
  push %r10
  push %r11
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, %rdi
  cld
  call handle_fault
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %r11
  pop %r10
  pop %r9
  pop %r8
  pop %rbp
  pop %rdi
  pop %rsi
  pop %rdx
  pop %rcx
  pop %rbx
  pop %rax
  add $16, %rsp /* vector and error */
  iretq

.data
.align 16
.globl segments
segments: /* none; code of 64 bits; data; two words that processor.c fills */
  .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0, 0
segments_pointer:
  .word 39
  .long segments

.bss
.align 4096
pages_4:
  .skip 4096
pages_3:
  .skip 4096
.globl pages_2
pages_2:
  .skip 8192
program_stack:
  .skip 8
.align 16
  .skip 65536
stack_end:
