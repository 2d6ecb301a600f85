//! Holds the contract against the versions that were released: what was built against one of them
//! has to go on running. The promise is in `wit/README.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;
use wit_parser::{Resolve, Type, TypeDefKind, WorldItem, WorldKey};

/// A version of the contract, as far as it is promised: drafts are not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Contract {
    version: (u64, u64, u64),
    /// By interface: name and shape of its types and functions.
    interfaces: BTreeMap<String, Interface>,
    /// By world: imports and exports.
    worlds: BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Interface {
    types: BTreeMap<String, String>,
    functions: BTreeMap<String, String>,
}

/// Checks `wit/plugin.wit` against everything in `wit/released`; returns how many versions.
pub(crate) fn check(root: &Path) -> anyhow::Result<usize> {
    let now = read(&root.join("wit/plugin.wit"))?;
    let folder = root.join("wit/released");
    let mut count = 0;
    let mut wrong = Vec::new();
    for entry in std::fs::read_dir(&folder).context("wit/released")? {
        let entry = entry?.path();
        let released = read(&entry.join("plugin.wit"))?;
        let (major, minor, patch) = released.version;
        anyhow::ensure!(
            entry.ends_with(format!("{major}.{minor}.{patch}")),
            "{} holds version {major}.{minor}.{patch}",
            entry.display()
        );
        wrong.extend(breaks(&released, &now));
        count += 1;
    }
    anyhow::ensure!(
        wrong.is_empty(),
        "wit/plugin.wit breaks what was released; give it a new version or undo:\n{}",
        wrong.join("\n")
    );
    Ok(count)
}

fn read(file: &Path) -> anyhow::Result<Contract> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    parse(&text).with_context(|| file.display().to_string())
}

fn parse(text: &str) -> anyhow::Result<Contract> {
    let mut resolve = Resolve::default();
    let id = resolve.push_str("plugin.wit", text)?;
    let package = resolve.packages.get(id).context("no package")?;
    let version = package.name.version.as_ref().context("no version")?;
    let interface = |(name, id): (&String, &wit_parser::InterfaceId)| {
        let found = &resolve.interfaces[*id];
        let types = found.types.iter();
        let functions = found.functions.iter().map(|(name, function)| {
            let params = function.params.iter();
            let params: Vec<String> = params.map(|p| shape(&resolve, &p.ty)).collect();
            let result = function.result.as_ref().map(|ty| shape(&resolve, ty));
            let result = result.unwrap_or_default();
            (name.clone(), format!("({}) -> {result}", params.join(", ")))
        });
        let shapes = Interface {
            types: types
                .map(|(n, t)| (n.clone(), shape(&resolve, &Type::Id(*t))))
                .collect(),
            functions: functions.collect(),
        };
        (name.clone(), shapes)
    };
    let names = |items: &wit_parser::IndexMap<WorldKey, WorldItem>| {
        let name = |key: &WorldKey| match key {
            WorldKey::Name(name) => Some(name.clone()),
            WorldKey::Interface(id) => resolve.interfaces[*id].name.clone(),
        };
        items.keys().filter_map(name).collect::<BTreeSet<String>>()
    };
    let world = |(name, id): (&String, &wit_parser::WorldId)| {
        let world = &resolve.worlds[*id];
        (name.clone(), (names(&world.imports), names(&world.exports)))
    };
    Ok(Contract {
        version: (version.major, version.minor, version.patch),
        interfaces: package.interfaces.iter().map(interface).collect(),
        worlds: package.worlds.iter().map(world).collect(),
    })
}

/// A type with everything in it, by structure and names of fields: what wasmtime compares.
fn shape(resolve: &Resolve, ty: &Type) -> String {
    let Type::Id(id) = ty else {
        return format!("{ty:?}").to_lowercase();
    };
    let of = |ty: &Type| shape(resolve, ty);
    let maybe = |ty: &Option<Type>| ty.as_ref().map_or("_".into(), of);
    match &resolve.types[*id].kind {
        TypeDefKind::Type(ty) => of(ty),
        TypeDefKind::Option(ty) => format!("option<{}>", of(ty)),
        TypeDefKind::List(ty) => format!("list<{}>", of(ty)),
        TypeDefKind::Result(r) => format!("result<{}, {}>", maybe(&r.ok), maybe(&r.err)),
        TypeDefKind::Tuple(t) => {
            let types: Vec<String> = t.types.iter().map(of).collect();
            format!("tuple<{}>", types.join(", "))
        }
        TypeDefKind::Record(record) => {
            let field = |f: &wit_parser::Field| format!("{}: {}", f.name, of(&f.ty));
            let fields: Vec<String> = record.fields.iter().map(field).collect();
            format!("record {{ {} }}", fields.join(", "))
        }
        TypeDefKind::Enum(cases) => {
            let names: Vec<&str> = cases.cases.iter().map(|c| c.name.as_str()).collect();
            format!("enum {{ {} }}", names.join(", "))
        }
        TypeDefKind::Variant(cases) => {
            let case = |c: &wit_parser::Case| format!("{}({})", c.name, maybe(&c.ty));
            let cases: Vec<String> = cases.cases.iter().map(case).collect();
            format!("variant {{ {} }}", cases.join(", "))
        }
        // Nothing else is in the contract; two that look alike to `Debug` are the same.
        other => format!("{other:?}"),
    }
}

/// Whether what was built against one has to run on a host that serves the other.
fn promised(released: (u64, u64, u64), now: (u64, u64, u64)) -> bool {
    released.0 == now.0 && (released.0 > 0 || released.1 == now.1)
}

/// What a component of the released version would miss.
fn breaks(released: &Contract, now: &Contract) -> Vec<String> {
    if !promised(released.version, now.version) {
        return Vec::new();
    }
    let (major, minor, patch) = released.version;
    let since = format!("since {major}.{minor}.{patch}");
    let mut wrong = Vec::new();
    if now.version < released.version {
        wrong.push(format!("the version went back {since}"));
    }
    let grows = now.version > released.version;
    let exported: BTreeSet<&String> = released.worlds.values().flat_map(|w| &w.1).collect();
    for (name, old) in &released.interfaces {
        let Some(new) = now.interfaces.get(name) else {
            wrong.push(format!("interface {name} is gone {since}"));
            continue;
        };
        for (what, old, new) in [
            ("type", &old.types, &new.types),
            ("function", &old.functions, &new.functions),
        ] {
            for (item, shape) in old {
                match new.get(item) {
                    None => wrong.push(format!("{what} {name}.{item} is gone {since}")),
                    Some(now) if now != shape => wrong.push(format!(
                        "{what} {name}.{item} has changed {since}: {shape} became {now}"
                    )),
                    Some(_) => {}
                }
            }
            for item in new.keys().filter(|item| !old.contains_key(*item)) {
                let required = what == "function" && exported.contains(name);
                if required || !grows {
                    wrong.push(format!("{what} {name}.{item} is new {since}"));
                }
            }
        }
    }
    for (name, (imports, exports)) in &released.worlds {
        let Some((now_imports, now_exports)) = now.worlds.get(name) else {
            wrong.push(format!("world {name} is gone {since}"));
            continue;
        };
        let lost = imports.difference(now_imports);
        wrong.extend(lost.map(|i| format!("world {name} has no {i} any more {since}")));
        let more = now_exports.difference(exports);
        wrong.extend(more.map(|e| format!("world {name} demands {e} {since}")));
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const RELEASED: &str = "package t:p@0.2.0;
        interface types { record r { a: u32 } enum e { x, y } }
        interface log { use types.{r}; write: func(r: r); }
        interface run { go: func() -> result<u32, string>; }
        world w { import log; export run; }";

    fn broken(change: impl Fn(&str) -> String) -> Vec<String> {
        let released = parse(RELEASED).unwrap();
        breaks(&released, &parse(&change(RELEASED)).unwrap())
    }

    #[test]
    fn the_contract_keeps_its_promise() {
        assert!(check(&crate::run::root().unwrap()).unwrap() >= 2);
    }

    #[test]
    fn what_breaks_is_found() {
        let with = |from: &'static str, to: &'static str| broken(|t| t.replace(from, to));
        assert_eq!(with("a: u32", "a: u32"), [""; 0]);
        // Through a function that uses it, too.
        let field = with("a: u32", "a: u32, b: u32");
        for what in ["function log.write", "type types.r"] {
            let said = format!("{what} has changed since 0.2.0");
            assert!(field.iter().any(|f| f.contains(&said)), "{field:?}");
        }
        assert!(with("x, y", "x, y, z")[0].contains("types.e"));
        assert!(with("result<u32, string>", "u32")[0].contains("run.go"));
        assert!(with("import log; ", "")[0].contains("no log any more"));
        assert!(with("export run;", "export run; export types;")[0].contains("demands types"));
    }

    #[test]
    fn what_may_grow_and_what_may_not() {
        let with = |version: &str, from: &str, to: &str| {
            let (version, from, to) = (version.to_owned(), from.to_owned(), to.to_owned());
            broken(move |t| t.replace("0.2.0", &version).replace(&from, &to))
        };
        let (write, more) = ("write: func(r: r);", "write: func(r: r); flush: func();");
        assert_eq!(with("0.2.1", write, more), [""; 0]);
        assert!(with("0.2.0", write, more)[0].contains("log.flush is new"));
        let (go, stop) = ("go: func()", "stop: func(); go: func()");
        assert!(with("0.2.1", go, stop)[0].contains("run.stop is new"));
        // A new version owes nothing.
        assert_eq!(with("0.3.0", "a: u32", "a: u64"), [""; 0]);
        assert!(with("0.1.9", "a: u32", "a: u64").is_empty());
    }
}
