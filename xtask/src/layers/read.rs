//! From the text of a crate's files to its [`Modules`]: follows every `mod`, and leaves out code that only tests
//! compile.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context as _, Result, bail, ensure};
use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, Meta, TraitItem, UseTree, Visibility};

use super::modules::{Binding, FileId, Kind, Mention, Module, ModuleId, Modules};

/// The text of every file of a crate, by its path below the source folder.
pub(super) type Texts = BTreeMap<String, String>;

/// Reads the crate whose root is `lib.rs` or `main.rs`.
pub(super) fn read(texts: &Texts) -> Result<Modules> {
    let root = ["lib.rs", "main.rs"].into_iter().find(|name| texts.contains_key(*name));
    let root = root.context("there is neither lib.rs nor main.rs")?;
    let mut reader = Reader { texts, modules: Modules::default(), tests: BTreeSet::new() };
    let file = reader.add_file(root);
    reader.read_file(file, None, "crate", "")?;
    for name in texts.keys() {
        ensure!(
            reader.modules.files.contains(name) || reader.is_for_tests(name),
            "{name} is in no module, so it is never compiled: declare it with `mod` or delete it"
        );
    }
    Ok(reader.modules)
}

struct Reader<'a> {
    texts: &'a Texts,
    modules: Modules,
    /// Files and folders of modules that are compiled for tests alone.
    tests: BTreeSet<String>,
}

impl Reader<'_> {
    fn add_file(&mut self, name: &str) -> FileId {
        self.modules.files.push(name.to_owned());
        self.modules.files.len() - 1
    }

    fn is_for_tests(&self, name: &str) -> bool {
        self.tests.iter().any(|test| name == test || test.ends_with('/') && name.starts_with(test))
    }

    /// Reads a file whose modules lie in the folder `below`, which is empty or ends in a slash.
    fn read_file(&mut self, file: FileId, parent: Option<ModuleId>, name: &str, below: &str) -> Result<ModuleId> {
        let path = self.modules.files[file].clone();
        let syntax = syn::parse_file(&self.texts[&path]).with_context(|| format!("{path} is not valid Rust"))?;
        self.read_items(file, parent, name, below, &syntax.items)
    }

    fn read_items(
        &mut self,
        file: FileId,
        parent: Option<ModuleId>,
        name: &str,
        below: &str,
        items: &[Item],
    ) -> Result<ModuleId> {
        let mut scope = Scope::default();
        for item in items {
            scope.visit_item(item);
        }
        let module = self.modules.all.len();
        self.modules.all.push(Module {
            file,
            parent,
            name: name.to_owned(),
            bindings: bindings(items),
            globs: scope.mentions.iter().filter(|mention| mention.kind == Kind::Glob).cloned().collect(),
            mentions: scope.mentions,
            words: scope.words,
        });
        for item in items {
            if let Item::Mod(inner) = item {
                self.read_module(file, module, below, inner)?;
            }
        }
        Ok(module)
    }

    fn read_module(&mut self, file: FileId, parent: ModuleId, below: &str, inner: &syn::ItemMod) -> Result<()> {
        let name = plain(&inner.ident);
        let below_it = format!("{below}{name}/");
        let test = is_test(&inner.attrs);
        let id = if let Some((_, items)) = &inner.content {
            if test {
                return Ok(());
            }
            self.read_items(file, Some(parent), &name, &below_it, items)?
        } else {
            ensure!(
                !inner.attrs.iter().any(|attribute| attribute.path().is_ident("path")),
                "{}: `mod {name}` has a #[path], which is not followed: name the file after its module",
                self.modules.files[file]
            );
            let candidates = [format!("{below}{name}.rs"), format!("{below_it}mod.rs")];
            if test {
                self.tests.extend(candidates);
                self.tests.insert(below_it);
                return Ok(());
            }
            let Some(path) = candidates.iter().find(|path| self.texts.contains_key(*path)) else {
                bail!("{}: there is neither {} nor {}", self.modules.files[file], candidates[0], candidates[1]);
            };
            let file = self.add_file(path);
            self.read_file(file, Some(parent), &name, &below_it)?
        };
        self.modules.all[parent].bindings.entry(name).or_default().push(Binding::Module(id));
        Ok(())
    }
}

/// The mentions and words of one module, without the modules inside it.
#[derive(Default)]
struct Scope {
    mentions: Vec<Mention>,
    words: HashMap<String, usize>,
}

impl Scope {
    fn mention(&mut self, segments: &[&Ident], kind: Kind) {
        let (Some(first), Some(last)) = (segments.first(), segments.last()) else { return };
        let line = last.span().start().line;
        if segments.len() > 1 {
            self.mentions.push(Mention { segments: segments.iter().map(|ident| plain(ident)).collect(), line, kind });
        }
        self.words.entry(plain(first)).or_insert(first.span().start().line);
    }

    /// Collects paths from the tokens of a macro or an attribute, which are not parsed as Rust.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<Ident> = Vec::new();
        let mut colons = 0;
        let mut after_dot = false;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end_path(&mut path);
                    }
                    if !after_dot {
                        path.push(ident);
                    }
                    (colons, after_dot) = (0, false);
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
                other => {
                    self.end_path(&mut path);
                    colons = 0;
                    after_dot = matches!(&other, TokenTree::Punct(punct) if punct.as_char() == '.');
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.end_path(&mut path);
    }

    fn end_path(&mut self, path: &mut Vec<Ident>) {
        self.mention(&path.iter().collect::<Vec<_>>(), Kind::Code);
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Scope {
    fn visit_item(&mut self, item: &'ast Item) {
        // A module inside this one is a scope of its own.
        if !is_test(attributes(item)) && !matches!(item, Item::Mod(_)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        if import.leading_colon.is_some() {
            return;
        }
        for (segments, name, line) in leaves(&import.tree) {
            let kind = match &import.vis {
                _ if name == "*" => Kind::Glob,
                Visibility::Inherited => Kind::Use,
                _ => Kind::Export(name),
            };
            self.mentions.push(Mention { segments, line, kind });
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let segments: Vec<&Ident> = path.segments.iter().map(|segment| &segment.ident).collect();
            self.mention(&segments, Kind::Code);
        }
        visit::visit_path(self, path);
    }

    fn visit_visibility(&mut self, _: &'ast Visibility) {
        // `pub(super)` imports nothing.
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        if !list.path.is_ident("cfg") && !list.path.is_ident("cfg_attr") {
            self.tokens(list.tokens.clone());
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => return,
        };
        if !is_test(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'ast TraitItem) {
        let attributes = match item {
            TraitItem::Const(item) => &item.attrs,
            TraitItem::Fn(item) => &item.attrs,
            TraitItem::Type(item) => &item.attrs,
            TraitItem::Macro(item) => &item.attrs,
            _ => return,
        };
        if !is_test(attributes) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !is_test(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_stmt_macro(&mut self, call: &'ast syn::StmtMacro) {
        if !is_test(&call.attrs) {
            visit::visit_stmt_macro(self, call);
        }
    }

    fn visit_field(&mut self, field: &'ast syn::Field) {
        if !is_test(&field.attrs) {
            visit::visit_field(self, field);
        }
    }

    fn visit_field_value(&mut self, field: &'ast syn::FieldValue) {
        if !is_test(&field.attrs) {
            visit::visit_field_value(self, field);
        }
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        if !is_test(&arm.attrs) {
            visit::visit_arm(self, arm);
        }
    }
}

/// Returns the names that the items of a module bind, apart from its modules.
fn bindings(items: &[Item]) -> HashMap<String, Vec<Binding>> {
    let mut bindings: HashMap<String, Vec<Binding>> = HashMap::new();
    for item in items.iter().filter(|item| !is_test(attributes(item))) {
        if let Item::Use(import) = item {
            for (path, name, _) in leaves(&import.tree) {
                if name != "*" {
                    bindings.entry(name).or_default().push(Binding::Use(path));
                }
            }
        } else if let Some(name) = name_of(item) {
            bindings.entry(plain(name)).or_default().push(Binding::Item);
        }
    }
    bindings
}

/// Returns every import of a `use`: its path without `self` at its end, the name that it binds (`*` for a glob), and
/// its line.
fn leaves(tree: &UseTree) -> Vec<(Vec<String>, String, usize)> {
    fn walk(tree: &UseTree, prefix: &[String], into: &mut Vec<(Vec<String>, String, usize)>) {
        let mut leaf = |ident: &Ident, name: &Ident| {
            let mut path = prefix.to_vec();
            if ident != "self" || path.is_empty() {
                path.push(plain(ident));
            }
            let name = if name == "self" { path.last().cloned().unwrap_or_default() } else { plain(name) };
            into.push((path, name, ident.span().start().line));
        };
        match tree {
            UseTree::Path(path) => walk(&path.tree, &[prefix, &[plain(&path.ident)]].concat(), into),
            UseTree::Name(name) => leaf(&name.ident, &name.ident),
            UseTree::Rename(rename) => leaf(&rename.ident, &rename.rename),
            UseTree::Glob(glob) => {
                into.push((prefix.to_vec(), "*".into(), glob.star_token.spans[0].start().line));
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| walk(tree, prefix, into)),
        }
    }
    let mut found = Vec::new();
    walk(tree, &[], &mut found);
    found
}

/// A name without the `r#` of a raw identifier.
fn plain(ident: &Ident) -> String {
    let name = ident.to_string();
    name.strip_prefix("r#").unwrap_or(&name).to_owned()
}

/// Whether an item with these attributes is compiled for tests alone.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("cfg") => list.parse_args().is_ok_and(|meta| asks_for_test(&meta)),
        _ => false,
    })
}

fn asks_for_test(condition: &Meta) -> bool {
    let parts = |list: &syn::MetaList| {
        list.parse_args_with(syn::punctuated::Punctuated::<Meta, syn::Token![,]>::parse_terminated).unwrap_or_default()
    };
    match condition {
        Meta::Path(path) => path.is_ident("test") || path.is_ident("doctest"),
        Meta::List(list) if list.path.is_ident("all") => parts(list).iter().any(asks_for_test),
        Meta::List(list) if list.path.is_ident("any") => parts(list).iter().all(asks_for_test),
        _ => false,
    }
}

fn name_of(item: &Item) -> Option<&Ident> {
    match item {
        Item::Const(item) => Some(&item.ident),
        Item::Enum(item) => Some(&item.ident),
        Item::Fn(item) => Some(&item.sig.ident),
        Item::Macro(item) => item.ident.as_ref(),
        Item::Static(item) => Some(&item.ident),
        Item::Struct(item) => Some(&item.ident),
        Item::Trait(item) => Some(&item.ident),
        Item::TraitAlias(item) => Some(&item.ident),
        Item::Type(item) => Some(&item.ident),
        Item::Union(item) => Some(&item.ident),
        _ => None,
    }
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
