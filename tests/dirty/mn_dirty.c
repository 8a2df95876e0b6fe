// SPDX-License-Identifier: GPL-2.0
/*
 * Tracks dirty pages of a file as a graphics driver does (mm/mapping_dirty_helpers.c),
 * which user space cannot ask for otherwise. A line "FD FIRST COUNT" is written to one
 * of the files in debugfs: an open file of the writer, the first page, and their number.
 */

#include <linux/bitmap.h>
#include <linux/debugfs.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#define MN_DIRTY_PAGES 4096

static struct dentry *mn_dirty_dir;

static void mn_dirty_protect(struct address_space *mapping, pgoff_t first,
			     pgoff_t count, unsigned long *bitmap)
{
	wp_shared_mapping_range(mapping, first, count);
}

static void mn_dirty_clean(struct address_space *mapping, pgoff_t first,
			   pgoff_t count, unsigned long *bitmap)
{
	pgoff_t start = 0, end = 0;

	clean_record_shared_mapping_range(mapping, first, count, first, bitmap,
					  &start, &end);
}

static ssize_t mn_dirty_write(const char __user *from, size_t len,
			      void (*work)(struct address_space *, pgoff_t,
					   pgoff_t, unsigned long *))
{
	unsigned long *bitmap;
	pgoff_t first, count;
	struct file *file;
	char line[64];
	int fd;

	if (len >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, from, len))
		return -EFAULT;
	line[len] = '\0';
	if (sscanf(line, "%d %lu %lu", &fd, &first, &count) != 3)
		return -EINVAL;
	if (!count || count > MN_DIRTY_PAGES || first > ULONG_MAX - count)
		return -EINVAL;
	bitmap = bitmap_zalloc(count, GFP_KERNEL);
	if (!bitmap)
		return -ENOMEM;
	file = fget(fd);
	if (!file) {
		bitmap_free(bitmap);
		return -EBADF;
	}
	work(file->f_mapping, first, count, bitmap);
	fput(file);
	bitmap_free(bitmap);
	return len;
}

static ssize_t mn_dirty_write_protect(struct file *file, const char __user *from,
				      size_t len, loff_t *pos)
{
	return mn_dirty_write(from, len, mn_dirty_protect);
}

static ssize_t mn_dirty_write_clean(struct file *file, const char __user *from,
				    size_t len, loff_t *pos)
{
	return mn_dirty_write(from, len, mn_dirty_clean);
}

static const struct file_operations mn_dirty_protect_ops = {
	.owner = THIS_MODULE,
	.write = mn_dirty_write_protect,
};

static const struct file_operations mn_dirty_clean_ops = {
	.owner = THIS_MODULE,
	.write = mn_dirty_write_clean,
};

static int __init mn_dirty_init(void)
{
	mn_dirty_dir = debugfs_create_dir("mn_dirty", NULL);
	debugfs_create_file("protect", 0200, mn_dirty_dir, NULL,
			    &mn_dirty_protect_ops);
	debugfs_create_file("clean", 0200, mn_dirty_dir, NULL,
			    &mn_dirty_clean_ops);
	return PTR_ERR_OR_ZERO(mn_dirty_dir);
}
module_init(mn_dirty_init);

static void __exit mn_dirty_exit(void)
{
	debugfs_remove(mn_dirty_dir);
}
module_exit(mn_dirty_exit);

MODULE_DESCRIPTION("Tracks dirty pages of a file, for tests of mmu notifiers");
MODULE_LICENSE("GPL");
