//! The floors as text: each room with the rooms that it imports, the top floor first.

use std::fmt::Write as _;

use super::survey::Survey;
use super::table::{House, Room};

/// The widest line of ARCHITECTURE.md.
const WIDTH: usize = 120;

pub(super) fn picture(house: &House, survey: &Survey) -> String {
    let width = house.floors.iter().flatten().map(|room| room.name().len()).max().unwrap_or_default();
    let mut text = String::new();
    for (floor, rooms) in house.floors.iter().enumerate().rev() {
        for (place, room) in rooms.iter().enumerate() {
            let number = if place == 0 { (floor + 1).to_string() } else { String::new() };
            let mut line = format!("{number:<2} {:width$}", Room::name(room));
            let mut arrow = "  → ";
            for to in survey.arrows.get(&(floor, place)).into_iter().flatten().rev() {
                let name = house.name_of(*to);
                if line.chars().count() + arrow.len() + name.len() > WIDTH {
                    let _ = writeln!(text, "{}", line.trim_end());
                    line = " ".repeat(width + 6);
                }
                line = line + arrow + &name;
                arrow = "  ";
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    text
}
