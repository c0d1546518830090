//! Playbooks on disk: `tests/faults/*.yaml` each give exactly the faults in the `.expected` beside them,
//! `tests/good/*.yaml`, the library and the README's examples give none and are read as the `.json` beside them says.
//! `tests/library.ways` says which phases each operation of the library takes a host through.
//! `ECHELON_BLESS=1 cargo test -p echelon-playbooks` writes all of them anew: read the difference before you commit it.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use echelon_playbooks::{Given, LIBRARY, Playbook, Severity, model::ReleaseGoal, read, read_with};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

fn playbooks(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    files
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_bad_playbook_gives_exactly_the_faults_written_beside_it() {
    let bless = std::env::var_os("ECHELON_BLESS").is_some();
    let files = playbooks(&folder("faults"));
    assert!(files.len() >= 100, "the corpus has shrunk to {}", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let name = file_name(&file);
        let faults = read(&fs::read_to_string(&file).unwrap()).expect_err(&name);
        assert!(faults.0.iter().any(|fault| fault.severity == Severity::Error), "{name}");
        let found = format!("{}\n", faults.in_file(&name));
        let expected = file.with_extension("expected");
        if bless {
            fs::write(&expected, &found).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(found);
        }
    }
    assert!(wrong.is_empty(), "not as expected:\n\n{}", wrong.join("\n\n"));
}

#[test]
fn every_expected_file_has_its_playbook() {
    let entries = fs::read_dir(folder("faults"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for path in entries {
        assert!(
            path.with_extension("yaml").exists() && path.with_extension("expected").exists(),
            "{path:?}"
        );
    }
}

#[test]
fn every_code_is_in_the_corpus_and_in_the_readme() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let codes = fs::read_to_string(root.join("src/fault/code.rs")).unwrap();
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let files = playbooks(&folder("faults"));
    let expected: String = files
        .iter()
        .map(|file| fs::read_to_string(file.with_extension("expected")).unwrap())
        .collect();
    for code in codes.split('"').skip(1).step_by(2) {
        assert!(
            readme.contains(&format!("| {code} |")),
            "README.md does not explain {code}"
        );
        // The one takes more faults than a person would read, the other a base: `tests/hostile.rs` and `tests/params.rs`
        // have them.
        if !["E008", "E065"].contains(&code) {
            assert!(
                expected.contains(&format!("[{code}]")),
                "no playbook of the corpus shows {code}"
            );
        }
    }
}

#[test]
fn good_playbooks_and_the_library_have_no_faults_and_no_warnings() {
    for file in playbooks(&folder("good")) {
        clean(&file_name(&file), &fs::read_to_string(&file).unwrap());
    }
    for (name, text) in LIBRARY {
        clean(name, text);
        assert_eq!(read(text).unwrap().playbook.name.as_str(), name);
    }
}

#[test]
fn what_is_written_is_what_is_read() {
    let bless = std::env::var_os("ECHELON_BLESS").is_some();
    for file in playbooks(&folder("good")) {
        let playbook = read(&fs::read_to_string(&file).unwrap()).unwrap().playbook;
        let found = serde_json::to_string_pretty(&playbook).unwrap() + "\n";
        let expected = file.with_extension("json");
        if bless {
            fs::write(&expected, &found).unwrap();
        }
        assert_eq!(fs::read_to_string(&expected).unwrap(), found, "{}", file_name(&file));
        assert_eq!(serde_json::from_str::<Playbook>(&found).unwrap(), playbook);
    }
}

/// From nothing, and from every state that an operation ends in, with a release that is not the one aimed at: a shorter
/// way than the one meant is seen here.
#[test]
fn the_operations_of_the_library_go_the_ways_written_down() {
    let given = Given {
        params: [("command".parse().unwrap(), "true".to_owned())].into(),
        ..Given::default()
    };
    let mut ways = String::new();
    for (name, text) in LIBRARY {
        let given = if name == "command" { &given } else { &Given::default() };
        let machine = read_with(text, given).unwrap().playbook.machine;
        let ends = machine.operations.values().map(|operation| &operation.to);
        let starts: BTreeSet<_> = ends.chain([&machine.initial]).collect();
        for (operation, goal) in &machine.operations {
            for from in &starts {
                let path = machine.path(from, goal.release == ReleaseGoal::Same, goal);
                let path = path.unwrap_or_else(|| panic!("{name}: no way from {from} by {operation}"));
                let path: Vec<_> = path.iter().map(ToString::to_string).collect();
                writeln!(ways, "{name} {operation} from {from}: {}", path.join(", ")).unwrap();
            }
        }
    }
    let written = folder("library.ways");
    if std::env::var_os("ECHELON_BLESS").is_some() {
        fs::write(&written, &ways).unwrap();
    }
    assert_eq!(fs::read_to_string(&written).unwrap(), ways);
}

#[test]
fn the_examples_of_the_readme_are_playbooks() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let blocks = readme
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap());
    let examples: Vec<&str> = blocks.collect();
    assert!(examples.len() >= 2, "{} examples", examples.len());
    // `tests/good/everything.json` shows what each of its keys is read as.
    let everything = fs::read_to_string(folder("good").join("everything.yaml")).unwrap();
    assert!(
        examples.contains(&everything.as_str()),
        "the example of all keys is not everything.yaml"
    );
    // What extends a pushed playbook cannot be read alone: `tests/params.rs` reads it.
    let alone = |example: &&&str| !example.starts_with("# not-alone");
    assert_eq!(examples.iter().filter(alone).count(), examples.len() - 1);
    for (at, example) in examples.iter().filter(alone).enumerate() {
        clean(&format!("README.md, example {}", at + 1), example);
    }
}

fn clean(name: &str, text: &str) {
    match read(text) {
        Ok(checked) => {
            let warnings: Vec<String> = checked
                .warnings
                .iter()
                .map(|fault| fault.in_file(name).to_string())
                .collect();
            assert!(warnings.is_empty(), "{}", warnings.join("\n\n"));
        }
        Err(faults) => panic!("{}", faults.in_file(name)),
    }
}
