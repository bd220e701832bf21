//! Small crates, and the faults that are reported for each. Every house here has the floors `low`, then `high` and
//! `side`, then `lib`.

use super::modules::Modules;
use super::survey::survey;
use super::{read, table};

const TABLE: &str = r#"
[house]
source = "src"
floors = [["low"], ["high", "side"], ["lib"]]
"#;

/// Files that a tree leaves out are empty, so that every room exists.
const EMPTY: [(&str, &str); 4] =
    [("lib.rs", "mod low; mod high; mod side;"), ("low.rs", ""), ("high.rs", ""), ("side.rs", "")];

fn modules(tree: &[(&str, &str)]) -> anyhow::Result<Modules> {
    let is_there = |room: &str| tree.iter().any(|(file, _)| file.split(['/', '.']).next() == room.split('.').next());
    let empty = EMPTY.iter().filter(|(file, _)| !is_there(file));
    let texts = empty.chain(tree).map(|(file, text)| ((*file).to_owned(), (*text).to_owned()));
    read::read(&texts.collect())
}

/// Returns the faults of a tree, as they are printed.
fn faults(tree: &[(&str, &str)]) -> Vec<String> {
    faults_by(TABLE, tree)
}

fn faults_by(table: &str, tree: &[(&str, &str)]) -> Vec<String> {
    let house = table::parse(table).unwrap().remove("house").unwrap();
    survey(&house, &modules(tree).unwrap()).faults.iter().map(ToString::to_string).collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn an_import_downward_is_fine() {
    let high = "use crate::low::Thing;\nfn f(thing: Thing) { crate::low::g(thing) }";
    assert_eq!(faults(&[("low.rs", "pub struct Thing; pub fn g(_: Thing) {}"), ("high.rs", high)]), NOTHING);
}

#[test]
fn an_import_upward_names_both_floors() {
    let low = "//! Low.\n\nuse crate::high::Thing;\n";
    assert_eq!(
        faults(&[("low.rs", low), ("high.rs", "pub struct Thing;")]),
        ["src/low.rs:3: `crate::high::Thing` is an import upward, from `low` on floor 1 to `high` on floor 2"]
    );
}

#[test]
fn a_path_in_code_is_an_import() {
    let upward =
        |what: &str| format!("src/low.rs:2: `{what}` is an import upward, from `low` on floor 1 to `high` on floor 2");
    let high = ("high.rs", "pub fn g() {} pub struct Thing; pub trait Trait {}");
    assert_eq!(faults(&[("low.rs", "fn f() {\ncrate::high::g() }"), high]), [upward("crate::high::g")]);
    assert_eq!(faults(&[("low.rs", "\nimpl super::high::Trait for u8 {}"), high]), [upward("super::high::Trait")]);
    assert_eq!(faults(&[("low.rs", "\nstruct S(Vec<crate::high::Thing>);"), high]), [upward("crate::high::Thing")]);
    // Paths in a macro's arguments, in a macro's body, and in an attribute.
    assert_eq!(
        faults(&[("low.rs", "fn f() {\nassert!(x.y(&[crate::high::g()])) }"), high]),
        [upward("crate::high::g")]
    );
    assert_eq!(
        faults(&[("low.rs", "macro_rules! m { () => {\n$crate::high::g() } }"), high]),
        [upward("crate::high::g")]
    );
    assert_eq!(
        faults(&[("low.rs", "struct S {\n#[arg(parse = crate::high::g)] x: u8 }"), high]),
        [upward("crate::high::g")]
    );
}

#[test]
fn an_import_from_the_same_floor_is_sideways() {
    assert_eq!(
        faults(&[("high.rs", "use crate::side;"), ("side.rs", "pub struct Thing;")]),
        ["src/high.rs:1: `crate::side` is an import sideways, from `high` on floor 2 to `side` on floor 2"]
    );
}

#[test]
fn rooms_that_are_joined_may_import_each_other_but_not_in_a_circle() {
    let table = TABLE.replace("[\"high\", \"side\"]", "[[\"high\", \"side\"]]");
    let side = ("side.rs", "pub struct Thing;");
    assert_eq!(faults_by(&table, &[("high.rs", "use crate::side::Thing; pub struct Other;"), side]), NOTHING);
    let side = ("side.rs", "use crate::high::Other; pub struct Thing;");
    assert_eq!(
        faults_by(&table, &[("high.rs", "use crate::side::Thing; pub struct Other;"), side]),
        ["a circle of 2 files: high.rs → side.rs → high.rs\n    \
         src/high.rs:1: `crate::side::Thing` leads to side.rs\n    \
         src/side.rs:1: `crate::high::Other` leads to high.rs"]
    );
}

#[test]
fn each_name_of_a_group_is_an_import_at_its_own_line() {
    let low =
        "use crate::{\n    high::{self, Thing as Renamed},\n    low::Fine,\n    side::Other,\n};\npub struct Fine;";
    assert_eq!(
        faults(&[("low.rs", low), ("high.rs", "pub struct Thing;"), ("side.rs", "pub struct Other;")]),
        [
            "src/low.rs:2: `crate::high` is an import upward, from `low` on floor 1 to `high` on floor 2",
            "src/low.rs:2: `crate::high::Thing` is an import upward, from `low` on floor 1 to `high` on floor 2",
            "src/low.rs:4: `crate::side::Other` is an import upward, from `low` on floor 1 to `side` on floor 2",
        ]
    );
}

#[test]
fn super_is_followed_as_far_up_as_it_goes() {
    let tree = [
        ("low/mod.rs", "mod inner;"),
        ("low/inner.rs", "mod deep { use super::super::super::high::Thing; use super::Here; } pub struct Here;"),
        ("high.rs", "pub struct Thing;"),
    ];
    let to = "is an import upward, from `low` on floor 1 to `high` on floor 2";
    assert_eq!(faults(&tree), [format!("src/low/inner.rs:1: `super::super::super::high::Thing` {to}")]);
}

#[test]
fn a_glob_and_the_names_that_it_brings_are_imports() {
    let to = "is an import upward, from `low` on floor 1 to `high` on floor 2";
    assert_eq!(
        faults(&[("low.rs", "use crate::high::*;\nfn f(_: Thing) {}"), ("high.rs", "pub struct Thing;")]),
        [format!("src/low.rs:1: `crate::high` {to}"), format!("src/low.rs:2: `Thing` {to}")]
    );
}

#[test]
fn the_way_through_an_upper_file_is_upward_too_and_the_right_path_is_told() {
    let tree = [
        ("lib.rs", "mod low; mod high; mod side; pub use low::Error;"),
        ("low.rs", "pub struct Error;"),
        ("high.rs", "use crate::Error;"),
    ];
    assert_eq!(
        faults(&tree),
        ["src/high.rs:1: `crate::Error` is an import upward, from `high` on floor 2 to `lib` on floor 3; \
         it is defined below: write `crate::low::Error`"]
    );
}

#[test]
fn a_facade_is_in_no_circle_and_is_looked_through() {
    let facade = ("low/mod.rs", "mod a; mod b; pub use a::A; pub(crate) use b::B;");
    // Both import the other through the facade. The circle is of the two alone.
    assert_eq!(faults(&[facade, ("low/a.rs", "pub struct A;"), ("low/b.rs", "use super::A; pub struct B;")]), NOTHING);
    assert_eq!(
        faults(&[
            facade,
            ("low/a.rs", "use crate::low::B; pub struct A;"),
            ("low/b.rs", "use super::A; pub struct B;")
        ]),
        ["a circle of 2 files: low/a.rs → low/b.rs → low/a.rs\n    \
         src/low/a.rs:1: `crate::low::B` leads to low/b.rs\n    \
         src/low/b.rs:1: `super::A` leads to low/a.rs"]
    );
}

#[test]
fn a_module_that_uses_its_child_and_is_used_by_it_is_in_a_circle() {
    let child = ("low/a.rs", "use super::Shared; pub struct A(Shared);");
    // It only lists the child for others.
    assert_eq!(faults(&[("low/mod.rs", "mod a; pub use a::A; pub struct Shared;"), child]), NOTHING);
    let circle = |written: &str| {
        format!(
            "a circle of 2 files: low/mod.rs → low/a.rs → low/mod.rs\n    \
             src/low/mod.rs:1: `{written}` leads to low/a.rs\n    \
             src/low/a.rs:1: `super::Shared` leads to low/mod.rs"
        )
    };
    let uses = "mod a; pub use a::A; pub struct Shared; fn f(_: A) {}";
    assert_eq!(faults(&[("low/mod.rs", uses), child]), [circle("a::A")]);
    let uses = "mod a; pub struct Shared; fn f() { a::A::new() }";
    assert_eq!(faults(&[("low/mod.rs", uses), child]), [circle("a::A::new")]);
}

#[test]
fn the_shortest_circle_of_a_larger_knot_is_shown() {
    let tree = [
        ("low/mod.rs", "mod a; mod b; mod c;"),
        ("low/a.rs", "use super::b::B; pub struct A;"),
        ("low/b.rs", "use super::a::A; use super::c::C; pub struct B;"),
        ("low/c.rs", "use super::a::A; pub struct C;"),
    ];
    assert_eq!(
        faults(&tree),
        ["a circle of 2 files: low/a.rs → low/b.rs → low/a.rs\n    \
         src/low/a.rs:1: `super::b::B` leads to low/b.rs\n    \
         src/low/b.rs:1: `super::a::A` leads to low/a.rs\n    \
         it is part of a knot of 3 files: low/a.rs low/b.rs low/c.rs"]
    );
}

#[test]
fn tests_comments_and_strings_import_nothing() {
    let low = r#"
        //! [`Thing`](crate::high::Thing)
        /// See crate::high::Thing.
        const TEXT: &str = "crate::high::Thing";
        #[cfg(test)] use crate::high::Thing;
        #[cfg(all(test, unix))] fn only() { crate::high::g() }
        struct S { #[cfg(test)] field: crate::high::Thing }
        fn f() { #[cfg(test)] let x = crate::high::g(); }
        #[cfg(test)] mod tests { use super::*; use crate::high::Thing; }
        #[cfg(test)] mod rows;
    "#;
    let high = ("high.rs", "pub struct Thing; pub fn g() {}");
    assert_eq!(faults(&[("low.rs", low), ("low/rows.rs", "use crate::high::Thing;"), high]), NOTHING);
    let not_only = "#[cfg(any(test, unix))] use crate::high::Thing;";
    assert_eq!(faults(&[("low.rs", not_only), high]).len(), 1);
}

#[test]
fn a_name_of_another_crate_is_no_import() {
    let low = "use high::Thing; use anyhow::anyhow; use ::side::Other; fn f() { anyhow::anyhow::g(); lib::h() }";
    assert_eq!(faults(&[("low.rs", low)]), NOTHING);
}

#[test]
fn a_module_is_told_from_a_function_of_its_name() {
    let tree = [
        ("low/mod.rs", "mod run; mod go; use go::go; fn run() { go() }"),
        ("low/run.rs", "pub struct Milestone;"),
        ("low/go.rs", "use super::run::Milestone; pub fn go() {}"),
    ];
    assert_eq!(faults(&tree), NOTHING);
}

#[test]
fn a_name_that_depends_on_the_system_leads_to_each_of_its_files() {
    let tree = [
        (
            "low/mod.rs",
            "#[cfg(unix)] mod a; #[cfg(not(unix))] mod b; mod user; #[cfg(unix)] pub use a::X; #[cfg(not(unix))] pub use b::X;",
        ),
        ("low/a.rs", "pub struct X;"),
        ("low/b.rs", "use super::user::U; pub struct X;"),
        ("low/user.rs", "use super::X; pub struct U;"),
    ];
    assert_eq!(
        faults(&tree),
        ["a circle of 2 files: low/b.rs → low/user.rs → low/b.rs\n    \
         src/low/b.rs:1: `super::user::U` leads to low/user.rs\n    \
         src/low/user.rs:1: `super::X` leads to low/b.rs"]
    );
}

#[test]
fn a_file_without_a_room_and_a_room_without_a_file_are_told() {
    let tree = [("lib.rs", "mod low; mod high; mod side; mod new;"), ("new/mod.rs", "mod a;"), ("new/a.rs", "")];
    assert_eq!(
        faults(&tree),
        [
            "src/new/mod.rs is in no room: `new` is not in xtask/layers.toml",
            "src/new/a.rs is in no room: `new` is not in xtask/layers.toml",
        ]
    );
    assert_eq!(
        faults_by(&TABLE.replace("\"low\"", "\"low\", \"gone\""), &[]),
        ["xtask/layers.toml has a room `gone`, but there is no gone.rs and no folder gone"]
    );
}

#[test]
fn a_folder_can_be_a_house_of_its_own() {
    let table = "[house]\nsource = \"src\"\nwithin = \"high\"\nfloors = [[\"a\"], [\"b\"], [\"mod\"]]";
    let tree = [
        ("high/mod.rs", "mod a; mod b; use b::B; use crate::low::Thing;"),
        ("high/a.rs", "use super::b::B;"),
        ("high/b.rs", "pub struct B;"),
        ("low.rs", "pub struct Thing;"),
    ];
    assert_eq!(
        faults_by(table, &tree),
        ["src/high/a.rs:1: `super::b::B` is an import upward, from `a` on floor 1 to `b` on floor 2"]
    );
}

#[test]
fn a_file_that_no_module_declares_is_an_error() {
    let error = modules(&[("low.rs", ""), ("low/lost.rs", "")]).err().unwrap();
    assert_eq!(
        error.to_string(),
        "low/lost.rs is in no module, so it is never compiled: declare it with `mod` or delete it"
    );
}
