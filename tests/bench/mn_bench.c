// SPDX-License-Identifier: GPL-2.0
/*
 * A notifier in C that does nothing, attached to the process whose pid is given: the least that
 * any notifier costs. For `mn-selftest bench` only.
 */

#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>

static int pid;
module_param(pid, int, 0400);
MODULE_PARM_DESC(pid, "process to attach the notifier to");

static int mn_bench_start(struct mmu_notifier *subscription,
			  const struct mmu_notifier_range *range)
{
	return 0;
}

static const struct mmu_notifier_ops mn_bench_ops = {
	.invalidate_range_start = mn_bench_start,
};

static struct mmu_notifier mn_bench = { .ops = &mn_bench_ops };

static int __init mn_bench_init(void)
{
	struct task_struct *task;
	struct mm_struct *mm;
	struct pid *ref;
	int ret;

	ref = find_get_pid(pid);
	task = get_pid_task(ref, PIDTYPE_PID);
	put_pid(ref);
	if (!task)
		return -ESRCH;
	mm = get_task_mm(task);
	put_task_struct(task);
	if (!mm)
		return -ESRCH;
	ret = mmu_notifier_register(&mn_bench, mm);
	mmput(mm);
	return ret;
}
module_init(mn_bench_init);

static void __exit mn_bench_exit(void)
{
	mmu_notifier_unregister(&mn_bench, mn_bench.mm);
}
module_exit(mn_bench_exit);

MODULE_DESCRIPTION("mmu notifier that does nothing");
MODULE_LICENSE("GPL");
