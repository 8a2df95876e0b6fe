// SPDX-License-Identifier: GPL-2.0

//! The processes that the stress starts, which are this program again (`mn-selftest victim`), and
//! their command line.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use clap::{Args, ValueEnum};

/// What a victim is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Works on its memory with several threads, and ends or becomes another program at random.
    Busy,
    /// Works on its memory with one thread, and never ends: nobody attaches to it.
    Control,
    /// Waits with some memory until it is killed.
    Idle,
    /// Takes memory until it is killed, from when its standard input says so.
    Hog,
    /// Opens the device, writes what its standard input says, and holds it open.
    Session,
    /// Nothing: a program to become.
    Leaf,
}

/// `mn-selftest victim`
#[derive(Clone, Debug, Args)]
pub struct VictimArgs {
    /// What it is for
    #[arg(value_enum)]
    pub role: Role,
    /// The process that it dies with
    #[arg(long, default_value_t = 0)]
    pub parent: i32,
    /// Where its random choices start
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// The whole command line of a victim.
pub fn arguments(role: Role, parent: i32, seed: u64) -> Vec<String> {
    let role = role
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default();
    vec![
        "mn-selftest".to_owned(),
        "victim".to_owned(),
        role,
        format!("--parent={parent}"),
        format!("--seed={seed}"),
    ]
}

/// A command that is this program again, in a process group of its own.
pub fn command(role: Role, seed: u64) -> Command {
    let parent = i32::try_from(std::process::id()).unwrap_or(0);
    let arguments = arguments(role, parent, seed);
    let mut command = Command::new("/proc/self/exe");
    command.args(&arguments[1..]).process_group(0);
    command
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        word: String,
        #[command(flatten)]
        args: VictimArgs,
    }

    #[test]
    fn a_victim_understands_how_it_is_started() {
        let words = arguments(Role::Session, 12, u64::MAX);
        let cli = Cli::try_parse_from(words).unwrap();
        assert_eq!(cli.word, "victim");
        assert_eq!(cli.args.role, Role::Session);
        assert_eq!((cli.args.parent, cli.args.seed), (12, u64::MAX));
    }
}
