use super::*;
use crate::packages::Index;
use contract::Digest;

/// An index from lines such as `a 1.0; Depends: b (>= 2) | c; Essential: yes`.
fn index(lines: &str) -> String {
    let mut text = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut parts = line.split("; ");
        let (name, version) = parts.next().unwrap().split_once(' ').unwrap();
        let digest = Digest::of(line.as_bytes());
        text += &format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: pool/{name}\nSize: 1\n"
        );
        text += &format!("SHA256: {digest}\n");
        parts.for_each(|field| text += &format!("{field}\n"));
        text.push('\n');
    }
    text
}

fn request(roots: &str) -> Request {
    Request { roots: roots.split_ascii_whitespace().map(str::to_owned).collect(), ..Request::default() }
}

fn solve_in(indexes: &[(&str, &str)], request: &Request) -> Result<String, String> {
    let texts: Vec<_> = indexes.iter().map(|(suite, lines)| (*suite, index(lines))).collect();
    let indexes = texts.iter().map(|(suite, text)| Index::parse(text, suite).unwrap()).collect();
    let catalog = Catalog::new("amd64", indexes).unwrap();
    let selection = resolve(&catalog, request).map_err(|error| error.to_string())?;
    let shown = selection.packages.values().map(|c| format!("{}={}", c.package.name, c.package.version));
    Ok(shown.collect::<Vec<_>>().join(" "))
}

fn solve(lines: &str, request: &Request) -> Result<String, String> {
    solve_in(&[("trixie", lines)], request)
}

#[test]
fn closures() {
    for (what, lines, roots, expected) in [
        ("depends and pre-depends", "a 1; Depends: b; Pre-Depends: c\nb 1\nc 1\nd 1", "a", "a=1 b=1 c=1"),
        ("essential", "a 1\ne 1; Essential: yes; Depends: f\nf 1", "a", "a=1 e=1 f=1"),
        ("the first alternative", "a 1; Depends: x | b | c\nb 1\nc 1", "a", "a=1 b=1"),
        ("an alternative already there", "a 1; Depends: b | c\nb 1\nc 1", "a c", "a=1 c=1"),
        (
            "what only one way meets comes first",
            "a 1; Depends: b | c, d\nb 1\nc 1\nd 1; Depends: c",
            "a",
            "a=1 c=1 d=1",
        ),
        ("provided", "a 1; Depends: v\nb 1; Provides: v", "a", "a=1 b=1"),
        ("real before provided", "a 1; Depends: v\nb 1; Provides: v\nv 1", "a", "a=1 v=1"),
        (
            "important providers first",
            "a 1; Depends: v\nb 1; Provides: v\nc 1; Provides: v; Priority: required",
            "a",
            "a=1 c=1",
        ),
        (
            "versioned provides",
            "a 1; Depends: v (>= 2)\nb 1; Provides: v (= 1)\nc 1; Provides: v (= 2)",
            "a",
            "a=1 c=1",
        ),
        (
            "unversioned provides do not do",
            "a 1; Depends: v (>= 2) | c\nb 1; Provides: v\nc 1",
            "a",
            "a=1 c=1",
        ),
        ("the highest version", "a 1\na 2\na 1.5", "a", "a=2"),
        ("a pinned version", "a 1\na 2", "a=1", "a=1"),
        ("an older version where needed", "a 1; Depends: b (<< 2)\nb 1\nb 2", "a", "a=1 b=1"),
        (
            "other architectures",
            "a 1; Depends: b [arm64], c [amd64], d:any\nc 1\nd 1; Multi-Arch: allowed",
            "a",
            "a=1 c=1 d=1",
        ),
        ("a circle", "a 1; Depends: b\nb 1; Depends: a", "a", "a=1 b=1"),
        ("a virtual root of one package", "b 1; Provides: v", "v", "b=1"),
        ("conflicts with what oneself provides", "a 1; Provides: v; Conflicts: v", "a", "a=1"),
        (
            "back to another alternative",
            "a 1; Depends: b | c\nb 1; Depends: d\nc 1\nd 1; Conflicts: a",
            "a",
            "a=1 c=1",
        ),
        ("back to an older version", "a 1\na 2; Breaks: b\nb 1", "a b", "a=1 b=1"),
        ("a missing dependency", "a 1; Depends: b | c\nb 1; Depends: nowhere\nc 1", "a", "a=1 c=1"),
        ("recommends are off", "a 1; Recommends: b\nb 1", "a", "a=1"),
    ] {
        assert_eq!(solve(lines, &request(roots)).as_deref(), Ok(expected), "{what}");
    }
}

#[test]
fn what_was_learned_from_a_dead_end_is_not_tried_again() {
    // 40 choices of two between the one that matters and the conflict: trying them all would take 2^40 steps.
    let mut lines = "root 1; Depends: first | second, last\nfirst 1\nsecond 1\n".to_owned();
    lines += "last 1; Depends: m0 | n0\n";
    for i in 0..40 {
        lines += &format!(
            "m{i} 1; Depends: m{next} | n{next}\nn{i} 1; Depends: m{next} | n{next}\n",
            next = i + 1
        );
    }
    lines += "m40 1; Conflicts: first\nn40 1; Conflicts: first\n";
    let solved = solve(&lines, &request("root")).unwrap();
    assert!(solved.contains("second=1") && !solved.contains("first=1"), "{solved}");
}

#[test]
fn several_reasons_make_a_list() {
    let lines = "x 1; Depends: a | b\na 1; Depends: c (>= 2)\nb 1; Conflicts: x\nc 1";
    let expected = "cannot install `x`: x 1 depends on `a | b`, but no candidate will do:\n  \
                    - a 1 (needed by x 1) depends on `c (>= 2)`, but trixie has c 1\n  \
                    - b 1 conflicts with `x`, and x 1 (asked for) is chosen";
    assert_eq!(solve(lines, &request("x")).unwrap_err(), expected);
}

#[test]
fn keep_exclude_and_recommends() {
    let lines = "a 1; Depends: b | c\nb 1\nb 2\nc 1\nd 1; Recommends: e, nowhere, f\ne 1; Recommends: g\nf 1; Conflicts: d\ng 1";
    let mut kept = request("a");
    kept.keep = BTreeMap::from([("b".to_owned(), "1".to_owned()), ("c".to_owned(), "9".to_owned())]);
    assert_eq!(solve(lines, &kept).unwrap(), "a=1 b=1");
    kept.keep = BTreeMap::from([("c".to_owned(), "1".to_owned())]);
    assert_eq!(solve(lines, &kept).unwrap(), "a=1 c=1");
    let forced = Request { roots: vec!["a".to_owned(), "b=2".to_owned()], ..kept };
    assert_eq!(solve(lines, &forced).unwrap(), "a=1 b=2");

    let mut excluding = request("a");
    excluding.exclude = BTreeSet::from(["b".to_owned()]);
    assert_eq!(solve(lines, &excluding).unwrap(), "a=1 c=1");
    excluding.exclude.insert("c".to_owned());
    let error = solve(lines, &excluding).unwrap_err();
    assert!(error.contains("`b` is excluded") && error.contains("`c` is excluded"), "{error}");

    let mut recommending = request("d");
    recommending.recommends = Recommends::All;
    assert_eq!(solve(lines, &recommending).unwrap(), "d=1 e=1 g=1");
    recommending.recommends = Recommends::Of(BTreeSet::from(["d".to_owned()]));
    assert_eq!(solve(lines, &recommending).unwrap(), "d=1 e=1");
}

#[test]
fn every_package_says_why() {
    let text = index("a 1; Depends: v | c\nb 1; Provides: v\ne 1; Essential: yes");
    let catalog = Catalog::new("amd64", vec![Index::parse(&text, "s").unwrap()]).unwrap();
    let selection = resolve(&catalog, &request("a")).unwrap();
    let why: Vec<_> =
        selection.packages.iter().map(|(name, chosen)| format!("{name}: {}", chosen.why)).collect();
    assert_eq!(why, ["a: asked for", "b: a depends on `v | c`", "e: essential"]);
}

#[test]
fn refusals_explain_themselves() {
    for (lines, roots, expected) in [
        (
            "x 1; Depends: y (>= 2)\ny 1.9",
            "x",
            "cannot install `x`: x 1 depends on `y (>= 2)`, but trixie has y 1.9",
        ),
        (
            "x 1; Depends: y",
            "x",
            "cannot install `x`: x 1 depends on `y`, but no package is called or provides `y`",
        ),
        ("samba 1", "smaba", "cannot install `smaba`: no package is called or provides `smaba`"),
        ("openssh-server 1", "openssh-sever", "`openssh-sever`; did you mean `openssh-server`?"),
        ("x 1", "x=2", "cannot install `x (= 2)`: trixie has x 1"),
        (
            "a 1; Provides: v\nb 1; Provides: v",
            "v",
            "`v` is provided by several packages, name one of them: a, b",
        ),
        ("x 1; Depends: y:arm64\ny 1", "x", "`y:arm64` asks for another architecture"),
        ("x 1; Depends: v (>= 2)\nb 1; Provides: v", "x", "but b 1 provides `v` without a version"),
        (
            "r 1; Depends: b\nb 1; Depends: a\na 1; Depends: z\nz 1\nx 1; Conflicts: z",
            "r x",
            "cannot install `r`: a 1 (needed by b 1 <- r 1) depends on `z`, but x 1 (asked for) conflicts with `z`, which is z 1",
        ),
        (
            "x 1; Breaks: y (<< 2)\ny 1",
            "x y",
            "cannot install `x`: `y` cannot be installed with it: x 1 (asked for) breaks `y (<< 2)`, which is y 1",
        ),
        ("a 1; Depends: b (= 1)\nc 1; Depends: b (= 2)\nb 1\nb 2", "a c", "is not possible, b"),
    ] {
        let error = solve(lines, &request(roots)).unwrap_err();
        assert!(error.contains(expected), "{roots}: {error}");
    }
    let error = solve("x 1; Depends: y <nodoc>", &request("x")).unwrap_err();
    assert_eq!(error, "Depends of `x 1`: relation `y <nodoc>`: unexpected `<nodoc>`");
    let error = solve("x 1", &request("x=1_2")).unwrap_err();
    assert!(
        error.starts_with("`x=1_2` is not `name` or `name=version`: `1_2` is not a Debian version"),
        "{error}"
    );
}

#[test]
fn suites_go_by_version_and_ties_by_order() {
    let (stable, security) = ("a 1; Depends: b (>= 2)\nb 1", "b 2\na 1");
    let solved = solve_in(&[("trixie", stable), ("trixie-security", security)], &request("a")).unwrap();
    assert_eq!(solved, "a=1 b=2");
}
