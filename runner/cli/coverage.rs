// SPDX-License-Identifier: GPL-2.0

//! `mn-inject coverage`: the functions of a kernel that call notifiers, and the scenarios that
//! reached each.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use crate::cli::CoverageArgs;
use crate::cli::judge::recordings;
use crate::coverage;
use crate::model::exit::Exit;
use crate::model::{Coverage, Recording, Site, SiteCoverage};
use crate::report::format::SimpleFormat;
use crate::report::text::one_line;

/// Prints the coverage of some recordings.
///
/// # Errors
///
/// A file cannot be read, is no recording, or is one of another kernel.
pub fn run(args: &CoverageArgs) -> Result<Exit> {
    let recordings: Vec<Recording> = recordings(&args.files)?
        .into_iter()
        .map(|(_, recording)| recording)
        .collect();
    let vmlinux = match &args.vmlinux {
        Some(path) => path.clone(),
        None => kernel_of(&recordings)
            .context("no recording says where its kernel is: name it with --vmlinux FILE")?,
    };
    let mut sites = coverage::of_kernel(&vmlinux)?;
    match &args.linux {
        Some(tree) => coverage::place(&mut sites, tree, |path| {
            let path = tree.join(path);
            fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        })?,
        None => copy_places(&mut sites, &recordings),
    }
    let coverage = coverage::coverage(&sites, &recordings)
        .map_err(anyhow::Error::msg)
        .with_context(|| format!("the kernel is {}", vmlinux.display()))?;
    let mut out = io::stdout().lock();
    match args.format {
        SimpleFormat::Human => print(&coverage, &mut out)?,
        SimpleFormat::Json => {
            serde_json::to_writer_pretty(&mut out, &coverage)?;
            writeln!(out)?;
        }
    }
    Ok(match args.fail_under {
        Some(least) if coverage.reached < least => Exit::Fail,
        _ => Exit::Pass,
    })
}

/// The ELF file of the kernel, as a run in a virtual machine records it.
fn kernel_of(recordings: &[Recording]) -> Option<PathBuf> {
    let mut machines = recordings.iter().filter_map(|one| one.vm.as_ref());
    machines.find_map(|vm| vm.log("kernel")).map(PathBuf::from)
}

/// Adds the places that a run in a virtual machine records.
fn copy_places(sites: &mut [Site], recordings: &[Recording]) {
    for site in sites {
        let mut known = recordings.iter().flat_map(|recording| &recording.sites);
        if let Some(same) = known.find(|other| other.function == site.function) {
            site.places.clone_from(&same.places);
        }
    }
}

/// Words for a function of which no reason is known.
const UNREACHED: &str = "no scenario reached it";

fn print(coverage: &Coverage, out: &mut dyn Write) -> io::Result<()> {
    let names = coverage.sites.iter().map(|site| site.function.len());
    let width = names.max().unwrap_or_default();
    let places = |site: &SiteCoverage| site.places.join(", ");
    let lengths = coverage.sites.iter().map(|site| places(site).len());
    let place_width = lengths.max().unwrap_or_default().max("calls".len());
    writeln!(
        out,
        "{:<width$}  {:<place_width$}  scenarios  failed  context                     kinds",
        "function", "calls"
    )?;
    for site in &coverage.sites {
        let name = one_line(&site.function);
        let places = places(site);
        let places = one_line(&places);
        if site.is_reached() {
            let contexts: Vec<_> = site.contexts.iter().map(ToString::to_string).collect();
            let contexts = contexts.join(", ");
            let kinds: Vec<_> = site.kinds.iter().map(|kind| kind.name()).collect();
            let kinds = kinds.join(", ");
            let failed = if site.has_failed { "yes" } else { "no" };
            let count = site.scenarios.len();
            writeln!(
                out,
                "{name:<width$}  {places:<place_width$}  {count:<9}  {failed:<6}  {contexts:<26}  {kinds}"
            )?;
        } else {
            let why = site.why_not.as_deref().unwrap_or(UNREACHED);
            writeln!(
                out,
                "{name:<width$}  {places:<place_width$}  -          {why}"
            )?;
        }
    }
    writeln!(
        out,
        "\n{} of {} functions that call notifiers are reached, {} are not",
        coverage.reached,
        coverage.sites.len(),
        coverage.sites.len() - coverage.reached
    )
}
