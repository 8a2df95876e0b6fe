// SPDX-License-Identifier: GPL-2.0

//! Trees of a user, with a history of their own, as User Mode Linux, which takes less time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use mn_inject::vm::build::mirror::id_of_tree;
use mn_inject::vm::host::cache::Cache;

use crate::harness::{Ran, folder, mutant, report_in, run_now, suite_alone};
use crate::program;

/// A commit of the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// A comment.
    Harmless,
    /// It does not compile.
    Broken,
    /// It compiles again.
    Mended,
    /// The check is missing.
    Wrong,
}

/// The commits on top of the unmodified kernel. git tries the one in the middle first.
const HISTORY: [Change; 10] = {
    use Change::{Broken, Harmless, Mended, Wrong};
    [
        Harmless, Harmless, Harmless, Harmless, Broken, Mended, Harmless, Wrong, Harmless, Harmless,
    ]
};

/// The file that every commit changes.
const FILE: &str = "mm/mmu_notifier.c";

/// Runs a program in a directory, and returns its output.
fn output(dir: &Path, program: &str, arguments: &[&str]) -> Ran {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(dir)
        .output();
    Ran::new(&output.expect("cannot start a program"))
}

/// git in a tree.
fn git(tree: &Path, arguments: &[&str]) -> String {
    // A history of this size would be packed beside the tests.
    let options = [
        "-c",
        "gc.auto=0",
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@x.invalid",
    ];
    let ran = output(tree, "git", &[&options, arguments].concat());
    ran.expect(0, &[]);
    ran.stdout.trim().to_owned()
}

/// Makes a tree with the history, once, in a directory whose name no makefile can use. The tag
/// `base` is the unmodified kernel. The caller must hold [`suite_alone`].
///
/// The cache finds the objects of a tree by the tree's path. So the tree stands beside the cache, and
/// a later run of the tests, from another clone as well, neither makes nor builds it anew.
fn tree() -> PathBuf {
    static TREE: OnceLock<PathBuf> = OnceLock::new();
    let make = || {
        let cache = Cache::open().expect("cannot open the cache");
        let trees = cache.path("trees");
        let cache = trees.parent().expect("the cache has no parent");
        let top = cache.with_extension("tests").join("a tree: mine");
        // With --werror it is built, and the source is in the state of that kernel.
        let built = run_now(&["build", "--base", "mainline", "--werror"]);
        built.expect(0, &["source "]);
        let lines = built.stdout.lines();
        let source = lines.filter_map(|line| line.strip_prefix("source ")).next();
        let source = source.expect("no source");
        let tree = top.join("linux");
        // Written when all is there.
        let made_of = format!("{source}\n{HISTORY:?}\n");
        let stamp = top.join("made-of");
        if std::fs::read_to_string(&stamp).is_ok_and(|stamp| stamp == made_of) {
            // An earlier run may have ended in the middle of a bisection.
            git(&tree, &["bisect", "reset"]);
            git(&tree, &["checkout", "--quiet", "--force", "master"]);
            return tree;
        }
        if top.exists() {
            std::fs::remove_dir_all(&top).expect("cannot remove the tree of an earlier test");
        }
        std::fs::create_dir_all(&top).expect("cannot make a directory");
        let names = [source, &tree.display().to_string()];
        output(&top, "cp", &[&["-a", "--"][..], &names].concat()).expect(0, &[]);
        git(&tree, &["init", "--quiet", "--initial-branch=master"]);
        // By force: Debian's source ignores everything at the top.
        git(&tree, &["add", "--force", "."]);
        git(&tree, &["commit", "--quiet", "--message=base"]);
        git(&tree, &["tag", "base"]);
        for (number, change) in HISTORY.iter().enumerate() {
            make_change(&tree, *change, number);
            git(&tree, &["commit", "--quiet", "--all", "--message=x"]);
        }
        std::fs::write(&stamp, made_of).expect("cannot write");
        tree
    };
    TREE.get_or_init(make).clone()
}

fn make_change(tree: &Path, change: Change, number: usize) {
    const ERROR: &str = "#error broken\n";
    let file = tree.join(FILE);
    let mut text = std::fs::read_to_string(&file).expect("cannot read");
    match change {
        Change::Harmless => text.push_str(&format!("/* {number} */\n")),
        Change::Broken => text.push_str(ERROR),
        Change::Mended => text = text.replace(ERROR, ""),
        Change::Wrong => {
            git(tree, &["apply", &mutant("check-missing")]);
            return;
        }
    }
    std::fs::write(&file, text).expect("cannot write");
}

/// Lines of the last build of the tree's kernel that say what was compiled from C in mm/.
fn compiled(tree: &Path) -> Vec<String> {
    let tree = tree.canonicalize().expect("cannot find the tree");
    let cache = Cache::open().expect("cannot open the cache");
    let log = cache
        .path("logs")
        .join(format!("kernel-{}.log", id_of_tree(&tree)));
    let log = std::fs::read_to_string(log).expect("there is no log");
    let lines = log.lines().map(str::trim);
    let lines = lines.filter(|line| line.starts_with("CC ") && line.contains(" mm/"));
    lines.map(str::to_owned).collect()
}

/// It was built in place with another configuration, of which nothing may get into this kernel, and
/// is edited all the time.
#[test]
#[ignore = "full: 10 min"]
fn a_tree_is_taken_as_it_is_and_only_a_changed_file_is_compiled() {
    let _alone = suite_alone();
    let tree = tree();
    git(&tree, &["checkout", "--quiet", "base"]);
    for product in [
        ".config",
        "include/config/auto.conf",
        "include/generated/autoconf.h",
        "arch/x86/include/generated/asm/errno.h",
        "lib/crc/crc32table.h",
    ] {
        let path = tree.join(product);
        std::fs::create_dir_all(path.parent().expect("no parent")).expect("cannot make");
        std::fs::write(path, "#error of another build\n").expect("cannot write");
    }
    let name = tree.display().to_string();
    let only = "munmap-whole-eagain";
    let (dir, results) = folder();
    let arguments = [
        "run",
        "--linux",
        &name,
        "--machine",
        "uml",
        "--only",
        only,
        "--expect",
        "mainline",
        "--output",
        &results,
    ];
    let index = || std::fs::read(tree.join(".git/index")).expect("cannot read the index");
    let run = || {
        let before = index();
        let ran = run_now(&arguments);
        assert!(before == index(), "the index was written");
        ran
    };
    run().expect(0, &[]);
    // A kernel that no earlier run of the tests has left in the cache: pids come again.
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let number = now.expect("the clock is wrong").as_nanos() as usize;
    make_change(&tree, Change::Harmless, number);
    run().expect(0, &[&format!("changed since the last run: {FILE}\n")]);
    assert_eq!(compiled(&tree), ["CC      mm/mmu_notifier.o"]);
    let vm = report_in(dir.path()).vm.expect("no virtual machine");
    let head = git(&tree, &["rev-parse", "HEAD"]);
    assert_eq!(
        (vm.source, vm.commit),
        (name.clone(), Some(head + "-dirty"))
    );
    // The kernel that it was before is in the cache.
    git(&tree, &["checkout", "--quiet", "--", FILE]);
    run().expect(0, &["[kernel] cached: "]);
    assert!(tree.join(".config").exists());
}

#[test]
#[ignore = "full: 10 min"]
fn git_bisect_finds_the_commit_without_the_check() {
    let _alone = suite_alone();
    let tree = tree();
    git(&tree, &["checkout", "--quiet", "master"]);
    let commits = git(&tree, &["rev-list", "--reverse", "base..master"]);
    let commits: Vec<_> = commits.lines().collect();
    let commit = |change| {
        let at = HISTORY.iter().position(|one| *one == change);
        commits[at.expect("no such change")]
    };
    git(&tree, &["bisect", "start", "master", "base"]);
    let mut command = program::vm(&["run"]);
    command.args(["--linux", ".", "--machine", "uml", "--expect", "mainline"]);
    command.args(["--only", "munmap-whole-*", "--git-bisect"]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_str().expect("no UTF-8")).collect();
    let ran = output(&tree, "git", &[&["bisect", "run"][..], &words].concat());
    let log = git(&tree, &["bisect", "log"]);
    git(&tree, &["bisect", "reset"]);
    let found = format!("{} is the first bad commit", commit(Change::Wrong));
    ran.expect(0, &[&found, "error: broken"]);
    let skipped = format!("git bisect skip {}", commit(Change::Broken));
    assert!(log.contains(&skipped), "{log}");
}
