/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The few kernel types the programs need, as CO-RE flavours: only fields that are read, offsets are
 * fixed up from the running kernel's BTF at load. No vmlinux.h, so building needs no BTF.
 */
#ifndef MP_KTYPES_BPF_H
#define MP_KTYPES_BPF_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#define u8  __u8
#define u16 __u16
#define u32 __u32
#define u64 __u64
#define s32 __s32
#define s64 __s64
#define bool _Bool
#define true 1
#define false 0

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct percpu_counter {
	s64 count;
	s32 *counters;
};

struct list_head {
	struct list_head *next;
};

struct mm_struct {
	void *pgd;
	unsigned long brk;
	unsigned long def_flags;
	unsigned long locked_vm;
	unsigned long total_vm;
	unsigned long data_vm;
	unsigned long start_brk;
	unsigned long start_data;
	unsigned long end_data;
	int map_count;
	struct list_head mmlist;
	struct percpu_counter rss_stat[4];
};

/* up to 6.1: struct mm_rss_stat { atomic_long_t count[4]; } */
struct atomic_long___old {
	s64 counter;
};
struct mm_rss_stat___old {
	struct atomic_long___old count[4];
};
struct mm_struct___old {
	struct mm_rss_stat___old rss_stat;
};

struct task_rss_stat___old {
	int count[4];
};
struct task_struct___old {
	struct task_rss_stat___old rss_stat;
};

struct vm_area_struct {
	struct mm_struct *vm_mm;
};

struct rlimit {
	unsigned long rlim_cur;
	unsigned long rlim_max;
};

struct user_namespace {
	int level;
};

struct kernel_cap_struct {
	u32 cap[2]; /* since 6.3 one u64: the same bytes */
};

struct cred {
	struct user_namespace *user_ns;
	struct kernel_cap_struct cap_effective;
};

struct signal_struct {
	struct {
		int counter;
	} live;
	struct rlimit rlim[16];
	u64 sum_sched_runtime; /* of the threads that are gone */
};

struct sched_entity {
	u64 sum_exec_runtime;
};

struct return_instance {
	unsigned long stack;
	unsigned long orig_ret_vaddr;
	bool chained; /* what it replaced was a trampoline already */
	struct return_instance *next;
};

struct uprobe_task {
	struct return_instance *return_instances;
};

struct thread_info {
	unsigned int status;
};

struct thread_struct {
	unsigned long fsbase;
};

struct task_struct {
	struct thread_info thread_info;
	struct uprobe_task *utask;
	struct mm_struct *mm;
	struct signal_struct *signal;
	const struct cred *cred;
	void *stack;
	int pid;
	int tgid;
	int exit_code;
	int pagefault_disabled;
	struct sched_entity se;
	struct thread_struct thread;
};

struct page {
	unsigned long flags;
	unsigned long compound_head;
	void *mapping;
	unsigned long index;
};

/* since 6.16 */
struct page___folio_index {
	unsigned long __folio_index;
};

/* since 6.18 page->flags is memdesc_flags_t { unsigned long f; } */
struct memdesc_flags_t___new {
	unsigned long f;
};
struct page___new {
	struct memdesc_flags_t___new flags;
};

/* 7.2: with 64-byte struct pages it is a mask and no pointer (page-flags.h, _compound_head) */
struct page___info {
	unsigned long compound_info;
};

/* the order of a large folio: beside its second page's other fields (5.10, 6.1), ... */
struct page___order {
	unsigned char compound_order;
};
/* ... in struct folio, ... */
struct folio___order {
	unsigned char _folio_order;
};
/* ... or in the low byte of this (since 6.6) */
struct folio___flags {
	unsigned long _flags_1;
};

enum pageflags {
	PG_head,
};

struct bpf_array {
	void *pptrs[0];
};

#pragma clang attribute pop

/* x86-64 struct pt_regs; its layout is ABI (arch/x86/include/asm/ptrace.h) and never relocated. */
struct mp_regs {
	u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax;
	u64 rip, cs, eflags, rsp, ss;
};

#endif
