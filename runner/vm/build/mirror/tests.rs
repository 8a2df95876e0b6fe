// SPDX-License-Identifier: GPL-2.0

//! Tests of mirrors, with small trees.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::Result;

use crate::vm::build::mirror::{Mirror, files, root_of};
use crate::vm::build::stage;
use crate::vm::host::cache::{self, Cache};
use crate::vm::host::progress::Ui;

/// A tree and a cache. The path of the tree has everything in it that no kernel can be built in.
struct Rig {
    dir: tempfile::TempDir,
    tree: PathBuf,
    cache: Cache,
    ui: Ui,
}

impl Rig {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let tree = dir.path().join("a tree: mine");
        let rig = Rig {
            cache: Cache::open_at(dir.path().join("cache"))?,
            ui: Ui::new(),
            tree,
            dir,
        };
        rig.write("Kconfig", "config A\n")?;
        rig.write("mm/x.c", "one")?;
        rig.write("mm/x.h", "one")?;
        Ok(rig)
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        cache::write_atomically(&self.tree.join(path), text.as_bytes())
    }

    fn git(&self, arguments: &[&str]) -> Result<String> {
        stage::output(
            Command::new("git")
                .current_dir(&self.tree)
                .args(["-c", "user.name=x", "-c", "user.email=x@x.invalid"])
                .args(arguments),
        )
    }

    fn commit_all(&self) -> Result<()> {
        self.git(&["init", "--quiet"])?;
        self.git(&["add", "."])?;
        self.git(&["commit", "--quiet", "--message=x"])?;
        Ok(())
    }

    fn take(&self) -> Result<Mirror> {
        Mirror::take(&self.tree, &self.cache, &self.ui)
    }

    /// Takes the tree, and returns all files of the mirror with their contents; of a link the target.
    fn mirrored(&self) -> Result<Vec<(String, String)>> {
        contents(&self.take()?.path())
    }

    fn names(&self) -> Result<Vec<String>> {
        Ok(self.mirrored()?.into_iter().map(|(name, _)| name).collect())
    }
}

/// The files below a directory, sorted, with their contents; of a link the target.
fn contents(top: &Path) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    let mut dirs = vec![top.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let meta = fs::symlink_metadata(&path)?;
            let name = path.strip_prefix(top)?.display().to_string();
            if meta.is_dir() {
                dirs.push(path);
            } else if meta.is_symlink() {
                found.push((name, fs::read_link(&path)?.display().to_string()));
            } else {
                found.push((name, fs::read_to_string(&path)?));
            }
        }
    }
    found.sort();
    Ok(found)
}

fn mtime(path: &Path) -> Result<SystemTime> {
    Ok(fs::metadata(path)?.modified()?)
}

#[test]
fn only_what_changed_is_written() -> Result<()> {
    let rig = Rig::new()?;
    rig.write("mm/gone.c", "gone")?;
    rig.write("mm/deep/gone.c", "gone")?;
    let mirror = rig.take()?.path();
    let [source, header] = ["mm/x.c", "mm/x.h"].map(|path| mirror.join(path));
    // As if they had been copied long ago.
    let old = SystemTime::now() - Duration::from_secs(3600);
    for path in [&source, &header] {
        File::open(path)?.set_modified(old)?;
    }
    rig.take()?;
    assert_eq!(mtime(&header)?, old);

    // A change that sets the clock back is a change all the same.
    rig.write("mm/x.c", "two")?;
    File::open(rig.tree.join("mm/x.c"))?.set_modified(SystemTime::UNIX_EPOCH)?;
    // As `git checkout` of another commit and back.
    rig.write("mm/x.h", "one")?;
    fs::remove_file(rig.tree.join("mm/gone.c"))?;
    fs::remove_dir_all(rig.tree.join("mm/deep"))?;
    rig.write("mm/new.c", "new")?;
    assert_eq!(rig.mirrored()?, contents(&rig.tree)?);
    assert!(mtime(&source)? > old, "make would not see the change");
    assert_eq!(mtime(&header)?, old, "make would see a change");
    assert!(!mirror.join("mm/deep").exists());
    Ok(())
}

#[test]
fn the_kind_and_the_mode_of_a_file_may_change() -> Result<()> {
    let rig = Rig::new()?;
    rig.write("a", "file")?;
    rig.write("b/c/d", "in a directory")?;
    symlink("a", rig.tree.join("e"))?;
    assert_eq!(rig.mirrored()?, contents(&rig.tree)?);

    fs::remove_file(rig.tree.join("a"))?;
    rig.write("a/f", "in a directory")?;
    fs::remove_dir_all(rig.tree.join("b"))?;
    rig.write("b", "file")?;
    fs::remove_file(rig.tree.join("e"))?;
    symlink("a/f", rig.tree.join("e"))?;
    assert_eq!(rig.mirrored()?, contents(&rig.tree)?);

    let mirror = rig.take()?.path();
    let mode = || Ok::<_, anyhow::Error>(fs::metadata(mirror.join("b"))?.mode() & 0o111);
    assert_eq!(mode()?, 0);
    fs::set_permissions(rig.tree.join("b"), fs::Permissions::from_mode(0o755))?;
    rig.take()?;
    assert_eq!(mode()?, 0o111);
    Ok(())
}

#[test]
fn a_mirror_that_is_damaged_is_mended() -> Result<()> {
    let rig = Rig::new()?;
    let root = root_of(&rig.tree, &rig.cache);
    let mirror = rig.take()?.path();
    let check = || {
        assert_eq!(rig.mirrored()?, contents(&rig.tree)?);
        anyhow::Ok(())
    };
    fs::write(mirror.join("mm/x.c"), "not the content")?;
    fs::remove_file(mirror.join("Kconfig"))?;
    check()?;
    // A run that was killed has not written the record.
    fs::write(mirror.join("mm/y.c"), "x")?;
    fs::write(root.join("incomplete"), "")?;
    check()?;
    fs::write(mirror.join("mm/y.c"), "x")?;
    fs::remove_file(root.join("files.json"))?;
    check()
}

#[test]
fn the_source_is_what_git_does_not_ignore() -> Result<()> {
    let rig = Rig::new()?;
    rig.write(".gitignore", "*.o\n.*\n/include/generated/\n")?;
    rig.write("mm/deleted.c", "x")?;
    rig.write("mm/kept.o", "tracked")?;
    rig.commit_all()?;
    rig.git(&["add", "--force", ".gitignore", "mm/kept.o"])?;
    fs::remove_file(rig.tree.join("mm/deleted.c"))?;
    for product in [".config", "mm/x.o", "mm/.x.o.cmd", "include/generated/a.h"] {
        rig.write(product, "x")?;
    }
    rig.write("mm/new.c", "x")?;
    rig.write("other/Kconfig", "x")?;
    rig.git(&["init", "--quiet", "other"])?;
    assert_eq!(
        rig.names()?,
        [
            ".gitignore",
            "Kconfig",
            "mm/kept.o",
            "mm/new.c",
            "mm/x.c",
            "mm/x.h"
        ]
    );
    assert_eq!(files::list(&rig.tree)?.left_out, ["other/"]);
    Ok(())
}

#[test]
fn a_product_that_was_committed_is_no_source() -> Result<()> {
    let rig = Rig::new()?;
    for product in [
        ".config",
        "include/config/auto.conf",
        "include/generated/a.h",
        "arch/x86/include/generated/a.h",
    ] {
        rig.write(product, "x")?;
    }
    rig.write("arch/x86/include/generated.h", "x")?;
    let source = [
        "Kconfig",
        "arch/x86/include/generated.h",
        "mm/x.c",
        "mm/x.h",
    ];
    assert_eq!(rig.names()?, source);
    rig.commit_all()?;
    assert_eq!(rig.names()?, source);
    Ok(())
}

#[test]
fn without_git_the_source_is_what_the_tree_does_not_ignore() -> Result<()> {
    let rig = Rig::new()?;
    // The last line is from Debian's sources.
    rig.write(
        ".gitignore",
        "*.o\n.config\n/vmlinux\n/include/generated/\n/*\n",
    )?;
    rig.write("mm/.gitignore", "!kept.o\n/made.c\n")?;
    rig.write("build/.gitignore", "*\n")?;
    for product in [
        ".config",
        "vmlinux",
        "mm/x.o",
        "mm/made.c",
        "include/generated/a.h",
        "build/vmlinux",
    ] {
        rig.write(product, "x")?;
    }
    rig.write("mm/kept.o", "x")?;
    rig.write("other/.git", "gitdir: nowhere\n")?;
    rig.write("other/Kconfig", "x")?;
    let source = [
        ".gitignore",
        "Kconfig",
        "mm/.gitignore",
        "mm/kept.o",
        "mm/x.c",
        "mm/x.h",
    ];
    assert_eq!(rig.names()?, source);
    assert_eq!(files::list(&rig.tree)?.left_out, ["other/"]);
    assert_eq!(rig.take()?.commit(), None);

    // A worktree whose repository is not there any more.
    rig.write(".git", "gitdir: /no/such/repository\n")?;
    assert_eq!(rig.names()?, source);
    assert!(files::list(&rig.tree)?.no_git.is_some());
    Ok(())
}

/// An unpacked tarball in the repository of something else is not a tree of git.
#[test]
fn a_repository_that_does_not_track_the_tree_does_not_count() -> Result<()> {
    let rig = Rig::new()?;
    let home = rig.dir.path();
    stage::output(Command::new("git").args(["init", "--quiet"]).arg(home))?;
    fs::write(home.join(".gitignore"), "*\n")?;
    assert_eq!(rig.names()?, ["Kconfig", "mm/x.c", "mm/x.h"]);
    Ok(())
}

#[test]
fn the_commit_is_named_and_the_repository_is_not_written() -> Result<()> {
    let rig = Rig::new()?;
    rig.commit_all()?;
    let head = rig.git(&["rev-parse", "HEAD"])?.trim().to_owned();
    assert_eq!(rig.take()?.commit(), Some(head.as_str()));
    rig.write("untracked.c", "x")?;
    assert_eq!(rig.take()?.commit(), Some(head.as_str()));
    // Now `git status` would note in the index that the file is as it was.
    File::open(rig.tree.join("mm/x.c"))?.set_modified(SystemTime::UNIX_EPOCH)?;
    let index = rig.tree.join(".git/index");
    let before = (
        fs::read(&index)?,
        mtime(&index)?,
        mtime(&rig.tree.join(".git"))?,
    );
    assert_eq!(rig.take()?.commit(), Some(head.as_str()));
    rig.write("mm/x.c", "two")?;
    assert_eq!(rig.take()?.commit(), Some(format!("{head}-dirty").as_str()));
    let after = (
        fs::read(&index)?,
        mtime(&index)?,
        mtime(&rig.tree.join(".git"))?,
    );
    assert_eq!(before, after);

    let other = rig.dir.path().join("worktree");
    rig.git(&["worktree", "add", "--quiet", &other.display().to_string()])?;
    let mirror = Mirror::take(&other, &rig.cache, &rig.ui)?;
    assert_eq!(mirror.commit(), Some(head.as_str()));
    assert_eq!(fs::read_to_string(mirror.path().join("mm/x.c"))?, "one");
    Ok(())
}

#[test]
fn a_link_out_of_the_tree_leads_to_the_same_place() -> Result<()> {
    let rig = Rig::new()?;
    let outside = rig.dir.path().join("driver");
    cache::write_atomically(&outside.join("a.c"), b"one")?;
    fs::create_dir(rig.tree.join("drivers"))?;
    symlink("../../driver", rig.tree.join("drivers/mine"))?;
    symlink("../mm/x.c", rig.tree.join("drivers/x.c"))?;
    symlink("nowhere", rig.tree.join("broken"))?;
    let mirror = rig.take()?;
    let read = |path: &str| fs::read_to_string(mirror.path().join(path));
    assert_eq!(read("drivers/mine/a.c")?, "one");
    let inside = fs::read_link(mirror.path().join("drivers/x.c"))?;
    assert_eq!(inside, Path::new("../mm/x.c"));
    let before = mirror.fingerprint(|_| true);
    drop(mirror);
    assert_eq!(rig.take()?.fingerprint(|_| true), before);
    cache::write_atomically(&outside.join("a.c"), b"two")?;
    assert_ne!(rig.take()?.fingerprint(|_| true), before);
    Ok(())
}

/// git lists the files of a directory also after it was replaced by a link.
#[test]
fn nothing_is_written_through_a_link() -> Result<()> {
    let rig = Rig::new()?;
    rig.commit_all()?;
    rig.take()?;
    let outside = rig.dir.path().join("outside");
    cache::write_atomically(&outside.join("x.c"), b"other")?;
    fs::remove_dir_all(rig.tree.join("mm"))?;
    symlink(&outside, rig.tree.join("mm"))?;
    let target = outside.display().to_string();
    let expected = [
        ("Kconfig".to_owned(), "config A\n".to_owned()),
        ("mm".to_owned(), target),
    ];
    assert_eq!(rig.mirrored()?, expected);
    assert_eq!(
        contents(&outside)?,
        [("x.c".to_owned(), "other".to_owned())]
    );
    Ok(())
}

#[test]
fn the_fingerprint_follows_contents_and_names() -> Result<()> {
    let rig = Rig::new()?;
    let not_in_mm = |path: &Path| !path.starts_with("mm");
    let now = || {
        let mirror = rig.take()?;
        anyhow::Ok((mirror.fingerprint(|_| true), mirror.fingerprint(not_in_mm)))
    };
    let first = now()?;
    rig.write("mm/x.c", "two")?;
    let second = now()?;
    assert!(first.0 != second.0 && first.1 == second.1);
    rig.write("mm/x.c", "one")?;
    assert_eq!(now()?, first);
    fs::rename(rig.tree.join("Kconfig"), rig.tree.join("Kconfig.2"))?;
    assert_ne!(now()?.1, first.1);
    Ok(())
}

#[test]
fn a_mirror_stays_as_it_is_while_it_is_used() -> Result<()> {
    let rig = Rig::new()?;
    let mirror = rig.take()?;
    rig.write("mm/x.c", "two")?;
    std::thread::scope(|scope| {
        let (sender, receiver) = std::sync::mpsc::channel();
        let rig = &rig;
        scope.spawn(move || sender.send(rig.mirrored()).is_ok());
        let file = mirror.path().join("mm/x.c");
        let waits = receiver.recv_timeout(Duration::from_millis(200));
        assert!(waits.is_err(), "it did not wait");
        assert_eq!(fs::read_to_string(&file)?, "one");
        drop(mirror);
        receiver.recv()??;
        assert_eq!(fs::read_to_string(&file)?, "two");
        Ok(())
    })
}

#[test]
fn the_trees_used_last_are_kept() -> Result<()> {
    let rig = Rig::new()?;
    let tree = |name: &str| {
        let tree = rig.dir.path().join(name);
        cache::write_atomically(&tree.join("Kconfig"), b"x")?;
        anyhow::Ok(tree)
    };
    let take = |tree: &Path| Mirror::take(tree, &rig.cache, &rig.ui);
    let is_there = |tree: &Path| root_of(tree, &rig.cache).exists();
    let in_use = rig.take()?;
    let mut trees = Vec::new();
    for number in 0..5 {
        let tree = tree(&number.to_string())?;
        drop(take(&tree)?);
        trees.push(tree);
        // The first one is used again and again.
        drop(take(&trees[0])?);
    }
    assert!(is_there(&rig.tree), "it is in use");
    assert!(is_there(&trees[0]) && is_there(&trees[4]));
    let removes = |last: &Path, unused: &Path| take(last).is_ok() && !is_there(unused);
    assert!(cache::comes_true(|| removes(&trees[0], &trees[1])));
    drop(in_use);
    // Another one each time: where this one cannot be removed yet, the next oldest goes instead.
    let mut number = trees.len();
    assert!(cache::comes_true(|| {
        number += 1;
        tree(&number.to_string()).is_ok_and(|another| removes(&another, &rig.tree))
    }));
    Ok(())
}
