//! `xtask/layers.toml`: the floors of each crate, and the rooms on each floor.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The floors of one crate, or of one folder of it.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct House {
    /// The folder of `lib.rs` or `main.rs`, from the workspace's root.
    pub(super) source: String,
    /// A folder below `source` whose files are the rooms. Without it the files and folders of `source` are.
    #[serde(default)]
    pub(super) within: String,
    /// The floors from bottom to top. Empty until they are settled; then only circles are looked for.
    #[serde(default)]
    pub(super) floors: Vec<Vec<Room>>,
    /// Unset while the floors are not reached yet: faults are counted and do not fail.
    #[serde(default = "yes")]
    pub(super) checked: bool,
}

/// One folder or file, or several that count as one room: they may import each other, but not in a circle of files.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Room {
    One(String),
    Joined(Vec<String>),
}

fn yes() -> bool {
    true
}

/// The place of a room: its floor from 0, and its position there.
pub(super) type Place = (usize, usize);

impl Room {
    fn parts(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Joined(names) => names,
        }
    }

    pub(super) fn name(&self) -> String {
        self.parts().join(" + ")
    }
}

impl House {
    /// Returns the room of a file: `recv/decoder.rs` is in `recv`, and so is `recv.rs`.
    pub(super) fn room_of(&self, file: &str) -> Option<Place> {
        let part = self.part_of(file)?;
        self.floors.iter().enumerate().find_map(|(floor, rooms)| {
            let place = rooms.iter().position(|room| room.parts().iter().any(|name| name == part))?;
            Some((floor, place))
        })
    }

    /// Returns the name of the room that a file belongs to, or nothing if the file is outside of the house.
    pub(super) fn part_of<'a>(&self, file: &'a str) -> Option<&'a str> {
        let first = self.inside(file)?.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first))
    }

    pub(super) fn name_of(&self, (floor, place): Place) -> String {
        self.floors[floor][place].name()
    }

    /// Returns the name of a file inside the house, or nothing if it is outside.
    pub(super) fn inside<'a>(&self, file: &'a str) -> Option<&'a str> {
        if self.within.is_empty() {
            return Some(file);
        }
        match file.strip_prefix(&self.within)? {
            ".rs" => Some("mod.rs"),
            below => below.strip_prefix('/'),
        }
    }

    /// Returns the parts of the table that no file belongs to.
    pub(super) fn empty_rooms(&self, files: &[String]) -> Vec<String> {
        let is_empty = |part: &&String| !files.iter().any(|file| self.part_of(file) == Some(part.as_str()));
        self.floors.iter().flatten().flat_map(Room::parts).filter(is_empty).cloned().collect()
    }
}

/// Parses the table into houses by name, sorted.
pub(super) fn parse(text: &str) -> Result<BTreeMap<String, House>> {
    toml::from_str(text).context("xtask/layers.toml is not what the top of it says")
}
