// SPDX-License-Identifier: GPL-2.0

//! Errors of `mn-inject vm` that are found before packages are installed, anything is fetched or a
//! kernel is built: they take no time, and need nothing but the program.

use std::path::Path;
use std::process::Output;

use crate::program;

/// `mn-inject vm` with a cache of its own. It may not install anything, and if it began to fetch or
/// to build something, it would say so.
fn vm(cache: &Path, arguments: &[&str]) -> Output {
    program::vm(arguments)
        .env("MN_INJECT_CACHE", cache)
        .output()
        .expect("cannot start mn-inject")
}

#[track_caller]
fn assert_refused(output: &Output, code: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    for word in words {
        assert!(stderr.contains(word), "{word:?} was not printed: {stderr}");
    }
    for begun in [
        "[packages]",
        "[source]",
        "[bindgen]",
        "[kernel]",
        "missing packages",
    ] {
        assert!(!stderr.contains(begun), "{begun} came first: {stderr}");
    }
}

/// A directory for a cache that does not exist yet.
fn new_cache() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("cannot make a directory");
    let cache = dir.path().join("cache");
    (dir, cache)
}

#[test]
fn usage_errors_exit_64() {
    let (_dir, cache) = new_cache();
    for (arguments, word) in [
        (&["run", "--accel", "none"][..], "--accel"),
        (&["run", "--linux", ".", "--patch", "x"], "--linux"),
        (&["run", "--linux", ".", "--kernel", "7.2"], "--linux"),
        (&["run", "--config-add", "KSM=y"], "CONFIG_"),
        (&["build", "--config-add", "CONFIG_KSM"], "--config-add"),
        (
            &["stress", "--config-add", "CONFIG_KSM=on"],
            "double quotes",
        ),
    ] {
        assert_refused(&vm(&cache, arguments), 64, &[word]);
    }
    for command in ["run", "build", "matrix"] {
        let output = vm(&cache, &[command, "--kernel", "2.4"]);
        assert_refused(&output, 64, &["'2.4'", "7.3, 7.2"]);
    }
    assert!(!cache.exists());
}

/// Every other code below 128 would be a bad commit for `git bisect run`.
#[test]
fn an_error_before_the_build_ends_a_bisection() {
    let (_dir, cache) = new_cache();
    for (arguments, word) in [
        (&["run", "--git-bisect", "--accel", "none"][..], "--accel"),
        (
            &["run", "--git-bisect", "--only", "none-at-all"],
            "none-at-all",
        ),
        (&["run", "--git-bisect", "--linux", "/no/such"], "/no/such"),
        (&["run", "--config=none", "--git-bisect"], "\"none\""),
        // It is no option of this one, whose error must not make a commit bad either.
        (&["build", "--git-bisect"], "--git-bisect"),
    ] {
        assert_refused(&vm(&cache, arguments), 128, &[word]);
    }
    let help = vm(&cache, &["run", "--git-bisect", "--help"]);
    assert_eq!(help.status.code(), Some(0));
}

#[test]
fn an_unknown_configuration_is_named() {
    let (_dir, cache) = new_cache();
    for command in ["build", "run", "matrix", "stress"] {
        let output = vm(&cache, &[command, "--config", "none"]);
        assert_refused(&output, 69, &["\"none\"", "core"]);
    }
}

#[test]
fn a_file_that_is_no_patch_is_named() {
    let (dir, cache) = new_cache();
    let file = dir.path().join("not-a.patch");
    std::fs::write(&file, "hello\n").expect("cannot write");
    let file = file.display().to_string();
    let output = vm(&cache, &["run", "--patch", &file]);
    assert_refused(&output, 69, &["not-a.patch", "not a patch"]);
}

/// The kernel's makefiles end with an error there, once everything was downloaded.
#[test]
fn a_cache_where_no_kernel_can_be_built_is_refused() {
    let dir = tempfile::tempdir().expect("cannot make a directory");
    for name in ["a b", "a:b", "a\tb"] {
        let cache = dir.path().join(name);
        for command in ["run", "build", "matrix"] {
            let output = vm(&cache, &[command]);
            assert_refused(&output, 69, &["colon or white space", "MN_INJECT_CACHE"]);
        }
        assert!(!cache.exists(), "{name:?} was made all the same");

        std::fs::create_dir(&cache).expect("cannot make a directory");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&cache, &link).expect("cannot make a link");
        assert_refused(&vm(&link, &["run"]), 69, &["colon or white space"]);
        std::fs::remove_file(&link).expect("cannot remove the link");
    }
}

#[test]
fn a_directory_that_is_no_kernel_tree_is_refused() {
    let (dir, cache) = new_cache();
    let refused = |tree: &Path, words: &[&str]| {
        let tree = tree.display().to_string();
        for command in ["run", "build"] {
            assert_refused(&vm(&cache, &[command, "--linux", &tree]), 69, words);
        }
    };
    refused(Path::new("/no/such/tree"), &["/no/such/tree", "--linux"]);
    refused(dir.path(), &["not a Linux source tree", "Kconfig"]);
    // It would be copied into itself.
    std::fs::create_dir(dir.path().join("mm")).expect("cannot make a directory");
    for file in ["Kconfig", "Makefile", "mm/mmu_notifier.c"] {
        std::fs::write(dir.path().join(file), "").expect("cannot write");
    }
    refused(
        dir.path(),
        &["the cache is in this tree", "MN_INJECT_CACHE"],
    );
}

#[test]
fn clean_removes_only_what_it_made() {
    let dir = tempfile::tempdir().expect("cannot make a directory");
    let clean = |words: &[&str]| {
        let output = vm(dir.path(), &["clean"]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{stderr}");
        for word in words {
            assert!(stderr.contains(word), "{word:?} was not printed: {stderr}");
        }
    };
    // An unknown configuration ends it after the cache was opened.
    let open = || vm(dir.path(), &["build", "--config", "none"]);
    std::fs::write(dir.path().join("mine"), "x").expect("cannot write");
    assert_refused(&open(), 69, &["not a cache of mn-inject"]);
    clean(&["nothing to remove"]);
    assert!(dir.path().join("mine").exists());

    std::fs::remove_file(dir.path().join("mine")).expect("cannot remove");
    assert_refused(&open(), 69, &["\"none\""]);
    std::fs::write(dir.path().join("mine"), "x").expect("cannot write");
    clean(&["the rest was left"]);
    let left: Vec<_> = std::fs::read_dir(dir.path())
        .expect("cannot read")
        .flatten()
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
