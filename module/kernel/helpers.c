// SPDX-License-Identifier: GPL-2.0
/*
 * Inline functions of the kernel for which its own rust/helpers/ has no helper.
 */

#include <linux/kallsyms.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmap_lock.h>
#include <linux/mmu_notifier.h>
#include <linux/pgtable.h>

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

static u64 mn_entry(unsigned long pfn, bool writable)
{
	return (u64)pfn << 2 | (u64)writable << 1 | 1;
}

static u64 mn_read_entry(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgdp, pgd;
	p4d_t *p4dp, p4d;
	pud_t *pudp, pud;
	pmd_t pmd;
	pte_t pte;

	if (addr >= mm->task_size)
		return 0;
	pgdp = pgd_offset(mm, addr);
	pgd = pgdp_get(pgdp);
	if (pgd_none(pgd) || pgd_bad(pgd))
		return 0;
	p4dp = p4d_offset_lockless(pgdp, pgd, addr);
	p4d = p4dp_get(p4dp);
	if (p4d_none(p4d) || !p4d_present(p4d))
		return 0;
	pudp = pud_offset_lockless(p4dp, p4d, addr);
	pud = pudp_get(pudp);
	if (pud_none(pud) || !pud_present(pud))
		return 0;
#ifdef CONFIG_PGTABLE_HAS_HUGE_LEAVES
	if (pud_leaf(pud))
		return mn_entry(pud_pfn(pud) + ((addr & ~PUD_MASK) >> PAGE_SHIFT), pud_write(pud));
#endif
	pmd = pmdp_get_lockless(pmd_offset_lockless(pudp, pud, addr));
	if (pmd_none(pmd) || !pmd_present(pmd))
		return 0;
#ifdef CONFIG_PGTABLE_HAS_HUGE_LEAVES
	if (pmd_leaf(pmd)) {
		if (pmd_protnone(pmd))
			return 0;
		return mn_entry(pmd_pfn(pmd) + ((addr & ~PMD_MASK) >> PAGE_SHIFT), pmd_write(pmd));
	}
#endif
	pte = ptep_get_lockless(pte_offset_kernel(&pmd, addr));
	if (!pte_present(pte) || pte_protnone(pte))
		return 0;
	return mn_entry(pte_pfn(pte), pte_write(pte));
}

/*
 * Without a lock, as gup_fast() in mm/gup.c: page tables are not freed while interrupts are off on
 * one processor.
 */
void mn_helper_read_page_table(struct mm_struct *mm, unsigned long addr, u64 *entries,
			       unsigned long count)
{
	unsigned long flags, i;

	local_irq_save(flags);
	for (i = 0; i < count; i++)
		entries[i] = mn_read_entry(mm, addr + (i << PAGE_SHIFT));
	local_irq_restore(flags);
}
