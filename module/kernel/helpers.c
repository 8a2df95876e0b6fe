// SPDX-License-Identifier: GPL-2.0
/*
 * Inline functions of the kernel for which its own rust/helpers/ has no helper.
 */

#include <linux/kallsyms.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmap_lock.h>
#include <linux/mmu_notifier.h>

/* SYMBOL_LEN in kallsyms.rs: bindgen does not see KSYM_SYMBOL_LEN. */
static_assert(sizeof(char[KSYM_NAME_LEN + 256]) >= sizeof(char[KSYM_SYMBOL_LEN]));

#if IS_BUILTIN(CONFIG_KUNIT)
unsigned long mn_helper_map_anonymous(unsigned long len)
{
	return vm_mmap(NULL, 0, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, 0);
}
#endif

void mn_helper_mmap_write_lock(struct mm_struct *mm)
{
	mmap_write_lock(mm);
}

void mn_helper_mmap_write_unlock(struct mm_struct *mm)
{
	mmap_write_unlock(mm);
}

bool mn_helper_mmu_interval_read_retry(struct mmu_interval_notifier *interval_sub,
				       unsigned long seq)
{
	return mmu_interval_read_retry(interval_sub, seq);
}

void mn_helper_mmu_interval_set_seq(struct mmu_interval_notifier *interval_sub,
				    unsigned long cur_seq)
{
	mmu_interval_set_seq(interval_sub, cur_seq);
}
