//! What each file of a package knows of the others, read from its paths; a circle is refused.
//!
//! An arrow is a `use`, or a path that begins with `crate`, `super`, `self` or a module's own child,
//! wherever it stands, except in tests. `mod x;` alone is no arrow: a folder does not know its files
//! because it lists them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context;
use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A module's path below the crate: `["webrtc", "session"]`; the crate itself is empty.
type Module = Vec<String>;

/// The files of a package, and what each knows.
#[derive(Debug)]
pub(crate) struct Files {
    /// From a file, relative to `src`, to those that it knows.
    knows: BTreeMap<String, BTreeSet<String>>,
}

/// A source file, before its paths are resolved.
struct Read {
    file: String,
    paths: Vec<(Module, Vec<String>)>,
}

impl Files {
    /// Reads what is below `src`, from `lib.rs`, `main.rs` and the programs in `bin`.
    pub(crate) fn read(src: &Path) -> anyhow::Result<Self> {
        let mut files = BTreeMap::new();
        for root in roots(src) {
            let name = root.to_string_lossy().into_owned();
            walk(src, &name, &root, &Vec::new(), &mut files)?;
        }
        Ok(Self::resolve(&files))
    }

    fn resolve(files: &BTreeMap<(String, Module), Read>) -> Self {
        let mut knows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for ((root, _), read) in files {
            let known = knows.entry(read.file.clone()).or_default();
            for (from, path) in &read.paths {
                if let Some(file) = find(files, root, from, path)
                    && file != read.file
                {
                    known.insert(file);
                }
            }
        }
        Self { knows }
    }

    /// The groups of files that know each other in a circle.
    pub(crate) fn circles(&self) -> Vec<Vec<String>> {
        let mut graph = DiGraphMap::<&str, ()>::new();
        for (file, known) in &self.knows {
            graph.add_node(file);
            for other in known {
                graph.add_edge(file, other, ());
            }
        }
        let groups = tarjan_scc(&graph);
        let circles = groups.into_iter().filter(|group| group.len() > 1);
        let mut circles: Vec<Vec<String>> = circles
            .map(|group| {
                let mut group: Vec<String> = group.into_iter().map(str::to_owned).collect();
                group.sort_unstable();
                group
            })
            .collect();
        circles.sort_unstable();
        circles
    }

    /// The arrows within a group of files, for a message.
    pub(crate) fn arrows_within(&self, group: &[String]) -> String {
        let known = |file: &String| {
            let known = self.knows.get(file).into_iter().flatten();
            let known: Vec<&str> = known
                .filter(|other| group.contains(other))
                .map(String::as_str)
                .collect();
            format!("    {file} knows {}", known.join(", "))
        };
        group.iter().map(known).collect::<Vec<_>>().join("\n")
    }

    /// A list in Markdown, from what knows nothing up to what knows all.
    pub(crate) fn list(&self) -> String {
        let mut left: BTreeSet<&String> = self.knows.keys().collect();
        let mut lines = Vec::new();
        while !left.is_empty() {
            // Those of which all that they know has been listed.
            let ready = |file: &&&String| {
                let known = self.knows.get(**file).into_iter().flatten();
                known.clone().all(|other| !left.contains(other))
            };
            let mut layer: Vec<&String> = left.iter().filter(ready).copied().collect();
            if layer.is_empty() {
                layer = left.iter().copied().collect();
            }
            for file in layer {
                left.remove(file);
                let known = self.knows.get(file).into_iter().flatten();
                let known: Vec<String> = known.map(|other| format!("`{other}`")).collect();
                lines.push(match known.as_slice() {
                    [] => format!("- `{file}`"),
                    known => format!("- `{file}`: {}", known.join(", ")),
                });
            }
        }
        lines.join("\n")
    }
}

/// Files that are a crate of their own, as cargo finds them by itself.
fn roots(src: &Path) -> Vec<PathBuf> {
    let mut roots: Vec<PathBuf> = ["lib.rs", "main.rs"].map(PathBuf::from).to_vec();
    let programs = std::fs::read_dir(src.join("bin"));
    let mut programs: Vec<PathBuf> = programs
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| Path::new("bin").join(entry.file_name()))
        .collect();
    programs.sort();
    for program in programs {
        match program.extension() {
            Some(extension) if extension == "rs" => roots.push(program),
            _ => roots.push(program.join("main.rs")),
        }
    }
    roots.retain(|root| src.join(root).is_file());
    roots
}

/// The file that a path leads to: that of the longest part of it that is a module.
fn find(
    files: &BTreeMap<(String, Module), Read>,
    root: &str,
    from: &Module,
    path: &[String],
) -> Option<String> {
    let mut module = from.clone();
    let mut relative = true;
    let mut rest = path;
    while let Some((first, more)) = rest.split_first() {
        match first.as_str() {
            "crate" => module.clear(),
            "super" => drop(module.pop()),
            "self" => {}
            _ => break,
        }
        (rest, relative) = (more, false);
    }
    let mut found = (!relative).then(|| module.clone());
    for segment in rest {
        module.push(segment.clone());
        if !files.contains_key(&(root.to_owned(), module.clone())) {
            break;
        }
        found = Some(module.clone());
    }
    // What a module defines within its own file is in the file.
    let mut found = found?;
    loop {
        if let Some(read) = files.get(&(root.to_owned(), found.clone())) {
            return Some(read.file.clone());
        }
        found.pop()?;
    }
}

/// Reads a module's file and those of its children.
fn walk(
    src: &Path,
    root: &str,
    file: &Path,
    module: &Module,
    files: &mut BTreeMap<(String, Module), Read>,
) -> anyhow::Result<()> {
    let shown = file.to_string_lossy().into_owned();
    let text =
        std::fs::read_to_string(src.join(file)).with_context(|| format!("reading {shown}"))?;
    let parsed = syn::parse_file(&text).with_context(|| format!("parsing {shown}"))?;
    let mut eyes = Eyes {
        module: module.clone(),
        paths: Vec::new(),
        children: Vec::new(),
    };
    eyes.visit_file(&parsed);
    let children = eyes.children;
    let read = Read {
        file: shown,
        paths: eyes.paths,
    };
    files.insert((root.to_owned(), module.clone()), read);
    for child in children {
        let Some(path) = file_of(src, file, &child) else {
            continue;
        };
        walk(src, root, &path, &child, files)?;
    }
    Ok(())
}

/// Where a child module's file is: beside its parent, or in the folder of that name.
fn file_of(src: &Path, parent: &Path, module: &Module) -> Option<PathBuf> {
    let name = module.last()?;
    let is_root = module.len() == 1;
    let folder = if is_root || parent.file_stem()? == "mod" {
        parent.parent()?.to_owned()
    } else {
        parent.with_extension("")
    };
    let candidates = [
        folder.join(format!("{name}.rs")),
        folder.join(name).join("mod.rs"),
    ];
    candidates.into_iter().find(|path| src.join(path).exists())
}

/// Collects paths and child modules, and does not look into tests.
struct Eyes {
    module: Module,
    paths: Vec<(Module, Vec<String>)>,
    children: Vec<Module>,
}

impl Eyes {
    fn path(&mut self, path: Vec<String>) {
        self.paths.push((self.module.clone(), path));
    }

    fn tree(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |ident: &syn::Ident| {
            let mut path = before.to_vec();
            path.push(ident.to_string());
            path
        };
        match tree {
            syn::UseTree::Path(path) => self.tree(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) => self.path(with(&name.ident)),
            syn::UseTree::Rename(name) => self.path(with(&name.ident)),
            syn::UseTree::Glob(_) => self.path(before.to_vec()),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.tree(item, before));
            }
        }
    }

    /// Paths in a macro's tokens that begin with `crate` or `super`.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    let ident = ident.to_string();
                    if !path.is_empty() || matches!(ident.as_str(), "crate" | "super") {
                        path.push(ident);
                    }
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {}
                other => {
                    self.end_of_path(&mut path);
                    if let TokenTree::Group(group) = other {
                        self.tokens(group.stream());
                    }
                }
            }
        }
        self.end_of_path(&mut path);
    }

    fn end_of_path(&mut self, path: &mut Vec<String>) {
        let path = std::mem::take(path);
        // `pub(crate)` is none.
        if path.len() > 1 {
            self.path(path);
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let syn::Meta::List(list) = &attribute.meta else {
            return attribute.path().is_ident("test");
        };
        // `any(test, …)` is part of other builds too.
        list.path.is_ident("cfg")
            && list
                .tokens
                .clone()
                .into_iter()
                .next()
                .is_some_and(|first| matches!(first, TokenTree::Ident(i) if i == "test"))
    })
}

impl<'ast> Visit<'ast> for Eyes {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes = match item {
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Use(item) => &item.attrs,
            syn::Item::Struct(item) => &item.attrs,
            syn::Item::Const(item) => &item.attrs,
            _ => &Vec::new(),
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let mut child = self.module.clone();
        child.push(item.ident.to_string());
        match &item.content {
            None => self.children.push(child),
            Some((_, items)) => {
                let parent = std::mem::replace(&mut self.module, child);
                items.iter().for_each(|item| self.visit_item(item));
                self.module = parent;
            }
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            self.tree(&item.tree, &[]);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() && path.segments.len() > 1 {
            let segments = path.segments.iter().map(|s| s.ident.to_string());
            self.path(segments.collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(files: &[(&str, &str)]) -> Files {
        let folder = std::env::temp_dir().join(format!(
            "taimat-files-{}-{:p}",
            std::process::id(),
            files.as_ptr()
        ));
        for (name, text) in files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let read = Files::read(&folder).unwrap();
        std::fs::remove_dir_all(folder).unwrap();
        read
    }

    #[test]
    fn a_circle_is_found_and_a_list_is_none() {
        let files = package(&[
            ("lib.rs", "mod a; mod b; mod c; pub use a::A;"),
            ("a.rs", "use crate::b::B; pub struct A(B);"),
            ("b.rs", "use super::c; pub struct B(c::C);"),
            (
                "c.rs",
                "pub struct C; #[cfg(test)] mod tests { use crate::a::A; }",
            ),
        ]);
        assert!(files.circles().is_empty());
        let list = "- `c.rs`\n- `b.rs`: `c.rs`\n- `a.rs`: `b.rs`\n- `lib.rs`: `a.rs`";
        assert_eq!(files.list(), list);
        let files = package(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::b::B; pub struct A(B);"),
            (
                "b.rs",
                "pub struct B; fn f() { println!(\"{}\", crate::c::x()) }",
            ),
            ("c.rs", "pub fn x() -> u8 { super::a::y() }"),
        ]);
        assert_eq!(files.circles(), [["a.rs", "b.rs", "c.rs"]]);
    }

    #[test]
    fn who_takes_from_the_crate_what_the_crate_takes_from_below_makes_a_circle() {
        let files = package(&[
            ("lib.rs", "mod a; pub struct Own; pub use a::A;"),
            ("a.rs", "use crate::Own; pub struct A(Own);"),
        ]);
        assert_eq!(files.circles(), [["a.rs", "lib.rs"]]);
    }

    #[test]
    fn folders_are_followed() {
        let files = package(&[
            ("lib.rs", "pub mod host; mod run;"),
            ("host/mod.rs", "mod log; pub use log::Log;"),
            (
                "host/log.rs",
                "use super::super::run::deep::Deep; pub struct Log(Deep);",
            ),
            ("run.rs", "pub mod deep;"),
            ("run/deep.rs", "pub struct Deep;"),
        ]);
        assert!(files.circles().is_empty(), "{files:?}");
        let log = files.knows.get("host/log.rs").unwrap();
        assert_eq!(log.iter().collect::<Vec<_>>(), ["run/deep.rs"]);
    }

    #[test]
    fn programs_are_looked_into_too() {
        let circle = "pub fn x() -> u8 { crate::two::y() }";
        let files = package(&[
            ("lib.rs", ""),
            ("bin/one.rs", "mod two; mod three;"),
            ("bin/two.rs", "pub fn y() -> u8 { crate::three::x() }"),
            ("bin/three.rs", circle),
            ("bin/other/main.rs", "mod two; mod three;"),
            ("bin/other/two.rs", "pub fn y() -> u8 { 0 }"),
            ("bin/other/three.rs", circle),
        ]);
        assert_eq!(files.circles(), [["bin/three.rs", "bin/two.rs"]]);
        assert!(files.knows.contains_key("bin/other/three.rs"));
    }
}
