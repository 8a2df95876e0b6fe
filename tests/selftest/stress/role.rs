// SPDX-License-Identifier: GPL-2.0

//! Command line of the processes that the stress starts: this program again (`mn-selftest victim`).

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use clap::{Args, ValueEnum};

/// Role of a process of the stress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Works on its memory with several threads, and exits or executes itself again at random.
    Busy,
    /// Works on its memory with one thread until the stress ends. No worker attaches to it.
    Control,
    /// Holds some memory until it is killed.
    Idle,
    /// Takes memory until it is killed, after a byte on its standard input.
    Hog,
    /// Opens the device, writes the lines of its standard input to it, and holds it open.
    Session,
    /// Ends at once.
    Leaf,
}

/// `mn-selftest victim`
#[derive(Clone, Debug, Args)]
pub struct VictimArgs {
    /// Role of the process
    #[arg(value_enum)]
    pub role: Role,
    /// Process id of the parent, with which the process ends
    #[arg(long, default_value_t = 0)]
    pub parent: i32,
    /// Seed of its random choices
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
}

/// Makes the command line of a victim.
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

/// Makes the command that starts this program as a victim, in a process group of its own.
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
    fn the_command_line_of_a_victim_can_be_parsed() {
        let words = arguments(Role::Session, 12, u64::MAX);
        let cli = Cli::try_parse_from(words).unwrap();
        assert_eq!(cli.word, "victim");
        assert_eq!(cli.args.role, Role::Session);
        assert_eq!((cli.args.parent, cli.args.seed), (12, u64::MAX));
    }
}
