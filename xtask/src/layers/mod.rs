//! The floors of our crates, `cargo xtask layers`: a room imports only rooms below its own, and no files need each
//! other in a circle. The floors are data, in `xtask/layers.toml`.

mod circle;
mod fault;
mod modules;
mod picture;
mod read;
mod resolve;
mod survey;
mod table;
#[cfg(test)]
mod trees;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use self::fault::Fault;
use self::read::Texts;
use self::survey::Survey;
use self::table::House;
use crate::steps::Step;
use crate::workspace::Workspace;

/// Checks the named crates, or all whose floors are settled.
pub(crate) fn step(names: &[&str]) -> Step {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    Step::new("layers", "every import points down, and no files need each other in a circle", move |workspace| {
        let mut seen = Vec::new();
        let mut faults = 0;
        for (name, house) in houses(workspace, &names)? {
            let survey = look(workspace, &name, &house)?;
            println!("{}", summary(&name, &house, &survey));
            if !house.checked && names.is_empty() {
                continue;
            }
            tell(&survey.faults);
            faults += survey.faults.len();
            seen.push(name);
        }
        match faults {
            0 => Ok(format!("{}: no upward arrow, no circle", seen.join(", "))),
            1 => bail!("1 import or file is out of place"),
            _ => bail!("{faults} imports or files are out of place"),
        }
    })
}

/// Prints the floors of the named crates, or of all, as text.
pub(crate) fn draw(workspace: &Workspace, names: &[&str]) -> Result<()> {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    for (name, house) in houses(workspace, &names)? {
        let survey = look(workspace, &name, &house)?;
        println!("{}\n{}", summary(&name, &house, &survey), picture::picture(&house, &survey));
    }
    Ok(())
}

fn houses(workspace: &Workspace, names: &[String]) -> Result<Vec<(String, House)>> {
    let path = workspace.root.join("xtask/layers.toml");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let table = table::parse(&text)?;
    if let Some(unknown) = names.iter().find(|name| !table.contains_key(*name)) {
        let known: Vec<&str> = table.keys().map(String::as_str).collect();
        bail!("xtask/layers.toml has no `{unknown}`; it has {}", known.join(", "));
    }
    Ok(table.into_iter().filter(|(name, _)| names.is_empty() || names.contains(name)).collect())
}

fn look(workspace: &Workspace, name: &str, house: &House) -> Result<Survey> {
    let source = workspace.root.join(&house.source);
    let mut texts = Texts::new();
    collect(&source, "", &mut texts)?;
    let modules = read::read(&texts).with_context(|| format!("{name}, in {}", house.source))?;
    Ok(survey::survey(house, &modules))
}

/// Reads every `.rs` file below a folder.
fn collect(folder: &Path, prefix: &str, into: &mut Texts) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let (path, name) = (entry.path(), format!("{prefix}{}", entry.file_name().to_string_lossy()));
        if entry.file_type()?.is_dir() {
            collect(&path, &format!("{name}/"), into)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
            into.insert(name, text);
        }
    }
    Ok(())
}

fn summary(name: &str, house: &House, survey: &Survey) -> String {
    let rooms: usize = house.floors.iter().map(Vec::len).sum();
    let arrows: usize = survey.arrows.values().map(std::collections::BTreeSet::len).sum();
    let size = match house.floors.len() {
        0 => format!("{} files, floors not settled", survey.files),
        floors => format!("{} files in {rooms} rooms on {floors} floors, {arrows} arrows", survey.files),
    };
    match (survey.faults.len(), house.checked) {
        (0, true) => format!("{name}: {size}; no upward arrow, no circle"),
        (0, false) => format!("{name}: {size}; no upward arrow, no circle: take `checked = false` out of the table"),
        (faults, true) => format!("{name}: {size}; {faults} to mend"),
        (faults, false) => format!("{name}: {size}; {faults} to mend, not checked yet: `cargo xtask layers {name}`"),
    }
}

/// Prints all faults. Below the faults of a kind it prints what to do about them.
fn tell(faults: &[Fault]) {
    for (index, fault) in faults.iter().enumerate() {
        println!("{fault}");
        if faults.get(index + 1).is_none_or(|next| next.advice() != fault.advice()) {
            println!("  {}", fault.advice());
        }
    }
}
