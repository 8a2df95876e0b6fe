// SPDX-License-Identifier: GPL-2.0

//! The distribution of the host, and the commands of its package manager.

/// Distribution with package names of its own: a column of
/// [`NEEDS`](crate::vm::build::packages::NEEDS).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Debian 12.
    Bookworm,
    /// Debian 13.
    Trixie,
    /// Ubuntu from 24.04 to 25.10, where the compilers that are new enough have the version in
    /// their names (Documentation/rust/quick-start.rst).
    Noble,
    /// Debian after 13, Ubuntu 26.04 and later, and others with apt.
    Apt,
    /// Fedora.
    Fedora,
    /// Arch Linux.
    Arch,
    /// openSUSE Tumbleweed and Slowroll.
    Suse,
}

/// Debian and Ubuntu releases that are too old: their archives have no LLVM that is new enough.
const TOO_OLD: &[&str] = &[
    "buster", "bullseye", "bionic", "focal", "jammy", "kinetic", "lunar", "mantic",
];

impl System {
    /// All, in the order of the columns.
    #[cfg(test)]
    pub const ALL: [System; 7] = [
        System::Bookworm,
        System::Trixie,
        System::Noble,
        System::Apt,
        System::Fedora,
        System::Arch,
        System::Suse,
    ];

    /// Program that installs packages.
    pub const fn manager(self) -> &'static str {
        match self {
            System::Bookworm | System::Trixie | System::Noble | System::Apt => "apt-get",
            System::Fedora => "dnf",
            System::Arch => "pacman",
            System::Suse => "zypper",
        }
    }

    /// Recognises a system by its `os-release`, or else by its package manager. `has` says whether
    /// a program exists.
    ///
    /// `None` if the names of the packages are not known, or the package manager is not there, as
    /// where the system is an image that is replaced as a whole.
    pub fn recognise(os_release: &str, has: impl Fn(&str) -> bool) -> Option<Self> {
        let release = OsRelease(os_release);
        let id = release.value("ID").unwrap_or_default();
        let like = release.value("ID_LIKE").unwrap_or_default();
        let known =
            std::iter::once(id)
                .chain(like.split_whitespace())
                .find_map(|word| match word {
                    "debian" => Some(debian(&release)),
                    "ubuntu" => Some(ubuntu(&release)),
                    "fedora" => Some(fedora(&release)),
                    "arch" => Some(Some(System::Arch)),
                    "opensuse" | "suse" => Some(Some(System::Suse)),
                    _ => None,
                });
        let system = known.unwrap_or_else(|| {
            [System::Apt, System::Fedora, System::Arch, System::Suse]
                .into_iter()
                .find(|system| has(system.manager()))
        })?;
        has(system.manager()).then_some(system)
    }

    /// Commands that install packages, each as its words. They ask nothing.
    pub fn install(self, packages: &[&str], is_root: bool) -> Vec<Vec<String>> {
        let command = |words: &[&str], packages: &[&str]| -> Vec<String> {
            let sudo = (!is_root).then_some("sudo");
            let manager = [self.manager()];
            let words = sudo.iter().chain(&manager).chain(words).chain(packages);
            words.map(|&word| word.to_owned()).collect()
        };
        match self.manager() {
            "dnf" => vec![command(
                &["install", "-y", "--setopt=install_weak_deps=False"],
                packages,
            )],
            // Without -y, since a system is not to be updated in part.
            "pacman" => vec![command(&["-S", "--needed", "--noconfirm"], packages)],
            "zypper" => vec![command(
                &["--non-interactive", "install", "--no-recommends"],
                packages,
            )],
            _ => vec![
                command(&["update"], &[]),
                command(&["install", "-y", "--no-install-recommends"], packages),
            ],
        }
    }
}

/// Text of `/etc/os-release`.
struct OsRelease<'a>(&'a str);

impl<'a> OsRelease<'a> {
    fn value(&self, key: &str) -> Option<&'a str> {
        self.0.lines().find_map(|line| {
            let (name, value) = line.split_once('=')?;
            (name == key).then(|| value.trim().trim_matches(['"', '\'']))
        })
    }
}

fn debian(release: &OsRelease<'_>) -> Option<System> {
    let codename = ["DEBIAN_CODENAME", "VERSION_CODENAME"];
    match codename.iter().find_map(|key| release.value(key)) {
        Some("bookworm") => Some(System::Bookworm),
        Some("trixie") => Some(System::Trixie),
        Some(old) if TOO_OLD.contains(&old) => None,
        _ => Some(System::Apt),
    }
}

fn ubuntu(release: &OsRelease<'_>) -> Option<System> {
    let codename = ["UBUNTU_CODENAME", "VERSION_CODENAME"];
    match codename.iter().find_map(|key| release.value(key)) {
        Some("noble" | "oracular" | "plucky" | "questing") => Some(System::Noble),
        Some(old) if TOO_OLD.contains(&old) => None,
        _ => Some(System::Apt),
    }
}

/// Fedora, and not the enterprise distributions that name it in `ID_LIKE`: their QEMU has another
/// name and no TCG.
fn fedora(release: &OsRelease<'_>) -> Option<System> {
    let platform = release.value("PLATFORM_ID");
    platform
        .is_none_or(|platform| platform.starts_with("platform:f"))
        .then_some(System::Fedora)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parts of real files, with the system that each is.
    const SAMPLES: &[(&str, Option<System>)] = &[
        (
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n",
            Some(System::Bookworm),
        ),
        (
            "ID=\"debian\"\nVERSION_CODENAME=\"trixie\"\n",
            Some(System::Trixie),
        ),
        ("ID=debian\nVERSION_CODENAME=forky\n", Some(System::Apt)),
        ("ID=debian\nVERSION_CODENAME=bullseye\n", None),
        (
            "NAME=\"Ubuntu\"\nVERSION_ID=\"24.04\"\nVERSION_CODENAME=noble\nID=ubuntu\nID_LIKE=debian\nUBUNTU_CODENAME=noble\n",
            Some(System::Noble),
        ),
        (
            "ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"26.04\"\nVERSION_CODENAME=resolute\n",
            Some(System::Apt),
        ),
        ("ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME=jammy\n", None),
        (
            "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_CODENAME=wilma\nUBUNTU_CODENAME=noble\n",
            Some(System::Noble),
        ),
        (
            "ID=linuxmint\nID_LIKE=debian\nVERSION_CODENAME=faye\nDEBIAN_CODENAME=bookworm\n",
            Some(System::Bookworm),
        ),
        (
            "ID=kali\nID_LIKE=debian\nVERSION_CODENAME=kali-rolling\n",
            Some(System::Apt),
        ),
        (
            "NAME=\"Fedora Linux\"\nID=fedora\nVERSION_ID=42\nVERSION_CODENAME=\"\"\nPLATFORM_ID=\"platform:f42\"\n",
            Some(System::Fedora),
        ),
        (
            "ID=\"rhel\"\nID_LIKE=\"fedora\"\nPLATFORM_ID=\"platform:el9\"\n",
            None,
        ),
        (
            "ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\nPLATFORM_ID=\"platform:el9\"\n",
            None,
        ),
        ("ID=arch\nBUILD_ID=rolling\n", Some(System::Arch)),
        ("ID=manjaro\nID_LIKE=arch\n", Some(System::Arch)),
        (
            "ID=\"opensuse-tumbleweed\"\nID_LIKE=\"opensuse suse\"\n",
            Some(System::Suse),
        ),
        ("ID=nixos\n", None),
        ("", None),
    ];

    /// The package managers that those systems have.
    fn has(os_release: &str) -> impl Fn(&str) -> bool {
        let manager = [
            ("debian", "apt-get"),
            ("ubuntu", "apt-get"),
            ("fedora", "dnf"),
            ("arch", "pacman"),
            ("suse", "zypper"),
        ]
        .iter()
        .find(|(word, _)| os_release.contains(word))
        .map(|(_, manager)| *manager);
        move |program| Some(program) == manager
    }

    #[test]
    fn a_system_is_recognised_by_os_release() {
        for (text, system) in SAMPLES {
            assert_eq!(System::recognise(text, has(text)), *system, "{text}");
        }
    }

    #[test]
    fn without_its_package_manager_it_is_not_known() {
        for (text, _) in SAMPLES {
            assert_eq!(System::recognise(text, |_| false), None, "{text}");
        }
    }

    #[test]
    fn an_unknown_system_is_recognised_by_its_package_manager() {
        for text in ["", "ID=mine\n"] {
            for system in [System::Apt, System::Fedora, System::Arch, System::Suse] {
                let has = |program: &str| program == system.manager();
                assert_eq!(System::recognise(text, has), Some(system));
            }
        }
        // RHEL has dnf, and packages of other names.
        let rhel = "ID=rhel\nID_LIKE=fedora\nPLATFORM_ID=platform:el10\n";
        assert_eq!(System::recognise(rhel, |program| program == "dnf"), None);
    }

    #[test]
    fn each_package_manager_installs_without_a_question() {
        let typed = |system: System, is_root| -> Vec<String> {
            let commands = system.install(&["one", "two"], is_root);
            commands.iter().map(|words| words.join(" ")).collect()
        };
        assert_eq!(
            typed(System::Noble, false),
            [
                "sudo apt-get update",
                "sudo apt-get install -y --no-install-recommends one two"
            ]
        );
        for (system, due) in [
            (
                System::Fedora,
                "dnf install -y --setopt=install_weak_deps=False one two",
            ),
            (System::Arch, "pacman -S --needed --noconfirm one two"),
            (
                System::Suse,
                "zypper --non-interactive install --no-recommends one two",
            ),
        ] {
            assert_eq!(typed(system, true), [due]);
            assert_eq!(typed(system, false), [format!("sudo {due}")]);
        }
    }
}
